"""The README tells the truth: its commands run, its configs load, its reference is the settings'."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipelines.base.config import RunConfig, load_config
from pipelines.base.config_reference import config_reference
from tests.shown_texts import ROOT, ShownText, called

README = ShownText("README.md")
QUALITY_ROW = re.compile(r"│ (\S+)\s+│\s+([\d.]+) │\s+([\d.]+) │\s+([+-][\d.]+) │")


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the README has its reader write, and the project's configs."""
    return README.workplace(tmp_path_factory.mktemp("reader"))


def test_the_config_reference_is_that_of_the_settings() -> None:
    shown = re.search(r"<!-- reference -->\n(.*)<!-- /reference -->", README.text, re.DOTALL)
    assert shown is not None
    assert shown[1].strip() == config_reference().strip(), "renew it: python -m pipelines.base.config_reference"


def test_every_config_that_is_shown_loads(workplace: Path) -> None:
    shown = [block for block in README.blocks("yaml") if "data:" in block]
    assert shown
    for block in shown:
        RunConfig.model_validate(yaml.safe_load(block))


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.name)
def test_every_config_that_ships_loads_and_is_named_by_its_family(path: Path) -> None:
    config = load_config(path)
    assert config.model.family in (None, "qwen3-reranker", "cross-encoder")
    assert config.tracking.experiment


def test_every_file_that_is_linked_exists() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README.text)
    assert len(links) > 5
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_demo_prints_what_the_readme_shows() -> None:
    ((command, shown),) = [(command, output) for command, output in README.sessions() if command == "make demo"]
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


def test_the_other_commands_run_as_shown(workplace: Path) -> None:
    sessions = [(command, output) for command, output in README.sessions() if not command.startswith("make")]
    assert len(sessions) >= 3
    for command, output in sessions:
        done = called(command, workplace)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        assert not output.strip() or done.stdout == output
    assert (workplace / "results" / "latest" / "metrics.json").is_file()


def test_the_notebook_example_runs_line_by_line_and_shows_something(workplace: Path) -> None:
    """After the commands above, whose scores are in the store: no engine has to start."""
    (example,) = README.blocks("python")
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
