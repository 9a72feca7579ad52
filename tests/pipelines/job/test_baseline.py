"""A first stage that is made here, beside a given one: both are measured, and their fusion is what is to be beaten."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.base.config import load_config
from pipelines.job.console import JobConsole
from pipelines.job.run import run
from pipelines.runs.finished import open_folder
from pipelines.runs.folder import RunFolder
from pipelines.runs.report import run_report
from pipelines.tracking.content import run_note
from stages.report.markdown import to_markdown
from tests.hosted_api import StubApi, stub_api

WriteConfig = Callable[[dict[str, Any]], Path]
DEMO = Path(__file__).parents[3] / "configs" / "demo"


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[StubApi]:
    """A model that is asked over HTTP: no engine is started."""
    monkeypatch.setenv("HOSTED_KEY", "key")
    with stub_api("jina") as one:
        yield one


def sections(stub: StubApi, **data: Any) -> dict[str, Any]:
    return {
        "data": {"format": "beir", "path": str(DEMO), "depth": 10} | data,
        "model": {"name": stub.url, "api": "jina", "served_as": "m", "key_env": "HOSTED_KEY"},
        "evaluate": {"metrics": ["ndcg@10", "mrr"], "position_queries": 0},
        "tracking": {"uri": None},
    }


def other(folder: Path) -> str:
    """BM25's list of the demo, in another order, without three queries."""
    lines = [line.split() for line in (DEMO / "runs" / "bm25.trec").read_text().splitlines()]
    drawn, left_out = random.Random(7), sorted({line[0] for line in lines})[:3]
    file = folder / "other.trec"
    kept = (line for line in lines if line[0] not in left_out)
    file.write_text("".join(f"{line[0]} Q0 {line[2]} 1 {drawn.random():.6f} other\n" for line in kept))
    return str(file)


def told(folder: RunFolder) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(folder.metrics.read_text())
    return content


def test_what_is_made_here_is_one_of_them_and_their_fusion_is_what_is_to_be_beaten(
    stub: StubApi, write_config: WriteConfig, tmp_path: Path
) -> None:
    kept = {"first_stage": "bm25", "bm25": {"folder": str(tmp_path / "kept")}}
    file = io.StringIO()

    def job(console: JobConsole, **data: Any) -> RunFolder:
        return run(load_config(write_config(sections(stub, **data))), console)

    together = job(JobConsole(file=file), runs={"other": other(tmp_path)}, **kept)
    quiet = JobConsole(quiet=True)
    alone = {"bm25": job(quiet, **kept), "other": job(quiet, run=other(tmp_path))}
    assert [child.path.name for child in together.children()] == ["bm25", "other"]
    for name, folder in alone.items():
        assert told(together.child(name))["quality"] == told(folder)["quality"]
        assert told(together.child(name))["config_digest"] == told(folder)["config_digest"]

    made = told(together)["first_stage_made"]
    assert made["bm25"] == told(together.child("bm25"))["first_stage_made"]["bm25"]
    assert made["bm25"] == told(alone["bm25"])["first_stage_made"]["first_stage"]
    assert "first_stage_made" not in told(together.child("other"))

    fused, quality = told(together)["fused_first_stages"], told(together)["quality"]
    for metric, delta in fused["delta"].items():
        assert delta == pytest.approx(quality["reranked"][metric] - fused["tuned"][metric])
    for child in together.children():
        assert fused["alone"][child.path.name] == told(child)["quality"]["first_stage"]
    best = max(told(child)["quality"]["first_stage"]["ndcg_at_10"] for child in together.children())
    assert fused["tuned"]["ndcg_at_10"] > best - 0.03
    analysed = json.loads(together.analysis.read_text())["first_stages"]
    low, high = analysed["significance"]["ndcg@10"]["interval"]
    assert low <= fused["delta"]["ndcg_at_10"] <= high and len(analysed["chosen"]) == 5

    said = " ".join(file.getvalue().split())
    words = "against the fusion of the first stages, tuned on other queries, "
    assert f"verdict {words}" in said and f"first stage {made['bm25']['words']}" in said
    report = to_markdown(run_report(open_folder(together.path).content)).replace("\\", "")
    assert words in report and made["bm25"]["words"] in report and "tuned fusion" in report
    assert words in run_note(open_folder(together.path).content)
