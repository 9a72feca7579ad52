"""A run folder of rerank-eval 0.1.0 is read by every command; one of a later version is refused, not misread.

run-0.1.0/ is what 0.1.0 left of ten queries of the demo, ten documents each, without texts and figures.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from pipelines import compare, open_run
from pipelines.base.config import load_config
from pipelines.cli.app import main
from pipelines.runs.read import read_run_folder
from pipelines.tracking.sync import sync_run
from stages.core.errors import RerankEvalError

OLD = Path(__file__).parent / "run-0.1.0"
INTERVAL = [0.00032020943268078493, 0.13573443147099964]


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A copy that a command may write to, under the name that the run had."""
    return Path(shutil.copytree(OLD, tmp_path / "20261129-193318-demo-4dff"))


@pytest.fixture
def now(old: Path, tmp_path: Path) -> Path:
    """The same run as today's version would leave it."""
    path = Path(shutil.copytree(old, tmp_path / "now"))
    metrics = json.loads((path / "metrics.json").read_text())
    analysis = json.dumps({"schema_version": 2} | dict(read_run_folder(old).analysis))
    (path / "metrics.json").write_text(json.dumps(metrics | {"schema_version": 2, "run_id": "now"}))
    (path / "analysis.json").write_text(analysis)
    (path / "config.yaml").write_text(load_config(old / "config.yaml").to_yaml())
    return path


def test_its_numbers_are_read_and_of_two_intervals_the_one_that_it_told(old: Path) -> None:
    run = open_run(old)
    tested = run.analysis["significance"]["ndcg@10"]
    assert tested["interval"] == pytest.approx(INTERVAL)
    assert not {"percentile", "bca"} & set(tested)
    assert run.verdict is not None and "95 % interval 0.000 to 0.136" in run.verdict
    assert len(run.per_query) == 10
    assert run.rankings["score"].notna().sum() == 100


@pytest.mark.parametrize("form", ["terminal", "md", "latex", "html", "json"])
def test_it_is_reported_in_every_form(form: str, old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main_ends(["report", str(old), "--format", form])
    assert capsys.readouterr().out.strip()
    assert (old / "report.html").is_file() == (form == "html")


def test_it_is_compared_with_a_run_of_today_from_which_it_does_not_differ(old: Path, now: Path) -> None:
    found = compare(old, now)
    assert list(found.table["difference"]) == [0.0, 0.0]
    assert dict(found.comparison.differing) == {}


def test_a_run_of_today_is_gated_against_it(old: Path, now: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main_ends(["gate", str(now), "--against", str(old), "--max-drop", "ndcg_at_10=0.01"])
    assert "passed: " in capsys.readouterr().out


def test_it_is_logged_to_mlflow(old: Path, store: str) -> None:
    run = MlflowClient(store).get_run(sync_run(old, store))
    assert run.data.metrics["ndcg_at_10"] == pytest.approx(0.543677551342871)
    assert run.data.metrics["significance/ndcg_at_10_ci_high"] == pytest.approx(INTERVAL[1])
    assert run.data.tags["verdict"] == "no_difference"


def test_fetched_from_mlflow_it_has_its_rankings_and_failures_too_and_without_them_says_so(
    old: Path, store: str
) -> None:
    sync_run(old, store)
    fetched = open_run(old.name, uri=store)
    assert fetched.path != old
    pd.testing.assert_frame_equal(fetched.rankings, open_run(old).rankings)
    assert list(fetched.failures.columns) == list(open_run(old).failures.columns) != []
    shutil.rmtree(old / "rankings")
    with pytest.raises(RerankEvalError, match="its rankings are missing"):
        _ = open_run(old).rankings


@pytest.mark.parametrize("file", ["metrics.json", "analysis.json"])
@pytest.mark.parametrize("told", [99, "2"])
def test_numbers_of_a_later_version_are_refused_in_one_line(file: str, told: object, now: Path) -> None:
    content = json.loads((now / file).read_text())
    (now / file).write_text(json.dumps(content | {"schema_version": told}))
    with pytest.raises(RerankEvalError) as raised:
        open_run(now)
    assert file in str(raised.value) and "schema_version" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_config_of_a_later_version_is_refused_and_one_of_this_version_is_read(now: Path) -> None:
    config = now / "config.yaml"
    assert config.read_text().startswith("schema_version: 1\n")
    assert load_config(config).digest == load_config(OLD / "config.yaml").digest
    config.write_text(config.read_text().replace("schema_version: 1", "schema_version: 99"))
    with pytest.raises(RerankEvalError, match=r"was written by a newer rerank-eval \(schema_version 99; .* Upgrade it"):
        load_config(config)


@pytest.fixture
def gone(old: Path, now: Path) -> Path:
    """The run of 0.1.0, had it had keys that today's version does not know any more; `now` has been made of it."""
    config = old / "config.yaml"
    text = config.read_text()
    config.write_text(
        text.replace("engine:\n", "engine:\n  turbo: true\n").replace("tracking:\n", "tracking:\n  colour: red\n")
    )
    assert text != config.read_text()
    return old


def test_a_key_that_is_gone_refuses_a_run_of_an_earlier_version_to_no_command(
    gone: Path,
    now: Path,
    store: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert sync_run(gone, store)
    main_ends(["report", str(gone)])
    main_ends(["gate", str(now), "--against", str(gone), "--max-drop", "ndcg_at_10=0.01"])
    main_ends(["compare", str(gone), str(now), "--no-track"])
    assert "turbo" in capsys.readouterr().out, "what differed is told"
    assert open_run(gone.name, uri=store).config["engine"]["turbo"] is True


def test_a_key_that_has_another_name_today_is_read_under_it(
    old: Path, now: Path, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    renamed = {1: {"engine.speed": "engine.compile", "logging.place": "tracking.uri"}}
    config = old / "config.yaml"
    text = config.read_text().replace("  compile: false\n", "  speed: false\n")
    config.write_text(text.replace("  uri: sqlite:///mlflow.db\n", "") + f"logging:\n  place: {store}\n")
    for module in ("pipelines.base.config", "pipelines.runs.config"):
        monkeypatch.setattr(f"{module}.CONFIG_VERSION", 2)
    monkeypatch.setattr("pipelines.base.versions.CONFIG_RENAMED", renamed)
    assert open_run(old).config["engine"]["compile"] is False
    assert dict(compare(old, now).comparison.differing) == {}
    assert MlflowClient(store).get_run(sync_run(old)).data.params["engine.compile"] == "False"


def test_a_run_whose_config_is_of_a_later_version_is_refused_in_one_line(now: Path) -> None:
    config = now / "config.yaml"
    config.write_text(config.read_text().replace("schema_version: 1", "schema_version: 99"))
    for read in (lambda: open_run(now), lambda: sync_run(now, "sqlite:///nowhere.db")):
        with pytest.raises(RerankEvalError, match=r"config.yaml was written by a newer rerank-eval .* Upgrade it"):
            read()


def main_ends(arguments: list[str]) -> None:
    """The command, which ends well."""
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 0
