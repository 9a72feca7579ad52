"""README and docs/ tell the truth: their commands run, their configs load. See test_texts.py for what they name."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipelines.base.config import RunConfig, load_config
from tests.shown_texts import DOCS, ROOT, ShownText, called

README = ShownText("README.md")
TEXTS = [README, *(ShownText(name) for name in DOCS)]
OF_THE_DEMO = ("make demo", "rerank-eval gate ")  # commands that are run in the repository
QUALITY_ROW = re.compile(r"│ (\S+)\s+│\s+([\d.]+) │\s+([\d.]+) │\s+([+-][\d.]+) │")


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the texts have their reader write, and the project's configs."""
    folder = README.workplace(tmp_path_factory.mktemp("reader"))
    for text in TEXTS[1:]:
        text.write_files(folder)
    return folder


def sessions() -> list[tuple[str, str]]:
    return [session for text in TEXTS for session in text.sessions()]


def test_every_config_that_is_shown_loads() -> None:
    shown = [block for text in TEXTS for block in text.blocks("yaml")]
    assert len(shown) >= 2
    for block in shown:
        RunConfig.model_validate(yaml.safe_load(block))


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.name)
def test_every_config_that_ships_loads_and_is_named_by_its_family(path: Path) -> None:
    config = load_config(path)
    assert config.model.family in (None, "qwen3-reranker", "cross-encoder")
    assert config.tracking.experiment


@pytest.mark.heavy
def test_the_demo_prints_what_the_readme_shows_and_passes_the_gate_that_the_docs_show() -> None:
    (command, shown), (gate, _) = [session for session in sessions() if session[0].startswith(OF_THE_DEMO)]
    done = called(command, ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    expected, printed = QUALITY_ROW.findall(shown), QUALITY_ROW.findall(done.stdout)
    assert [row[0] for row in printed] == [row[0] for row in expected] != []
    for ours, theirs in zip(printed, expected, strict=True):
        # Processors without bfloat16 compute in float32, which moves the third digit.
        assert [float(number) for number in ours[1:]] == pytest.approx(
            [float(number) for number in theirs[1:]], abs=0.01
        )
    assert re.search(r"run folder +results/\S+", done.stdout.splitlines()[-1])
    gated = called(gate, ROOT)
    assert gated.returncode == 0, gated.stdout + gated.stderr
    assert gated.stdout.splitlines()[-1].startswith("passed: ")
    assert [word for word in shlex.split(gate) if "=" in word], "it limits something"


@pytest.mark.heavy
@pytest.mark.thorough
def test_the_other_commands_run_as_shown(workplace: Path) -> None:
    others = [session for session in sessions() if not session[0].startswith(OF_THE_DEMO)]
    assert len(others) >= 4
    for command, output in others:
        done = called(command, workplace)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        assert not output.strip() or done.stdout == output
    assert (workplace / "results" / "latest" / "metrics.json").is_file()


@pytest.mark.heavy
@pytest.mark.thorough
def test_the_notebook_example_runs_line_by_line_and_shows_something(workplace: Path) -> None:
    """After the commands above, whose scores are in the store: no engine has to start."""
    (example,) = [block for text in TEXTS for block in text.blocks("python")]
    lines = ast.parse(example).body
    shown = [
        f"print(repr({ast.unparse(line.value)}))" if isinstance(line, ast.Expr) else ast.unparse(line) for line in lines
    ]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(shown)],
        cwd=workplace,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "verdict     ndcg@10" in done.stdout
    assert "<report of" in done.stdout
    assert "{'ndcg@10': 0.40" in done.stdout.splitlines()[-1]
