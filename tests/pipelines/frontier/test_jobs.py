"""What is foretold of a point is what the job measures that its written config runs, to the last digit."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.base.config import RunConfig, load_config
from pipelines.cli.app import main
from pipelines.job.connection import LateCluster
from pipelines.job.console import JobConsole
from pipelines.job.run import run
from pipelines.runs.folder import RunFolder
from pipelines.runs.read import read_metrics
from stages.core.words import key_name
from tests.hosted_api import Fault, StubApi, stub_api

WORDS = ["red", "green", "blue", "fox", "hare", "owl", "runs", "sleeps", "far", "near", "high", "low"]
QUERIES, DOCUMENTS = 30, 12


def reversed_scores(answer: Any) -> Any:
    """Another reranker's: what the stand-in likes least is best."""
    return answer | {"results": [one | {"relevance_score": -one["relevance_score"]} for one in answer["results"]]}


@pytest.fixture
def contrary() -> Iterator[StubApi]:
    """A hosted reranker that disagrees with the stand-in."""
    with stub_api("jina") as one:
        one.faults = [Fault(spoilt=reversed_scores) for _ in range(10_000)]
        yield one


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


def sections(model: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A config over drawn queries, some of whose candidates have no text."""
    drawn, rows = random.Random(1), []
    for number in range(QUERIES):
        documents = [
            {
                "id": f"d{place}",
                "text": " ".join(drawn.choices(WORDS, k=6)),
                "score": float(-place),
                "relevance": int(drawn.random() < 0.2),
            }
            for place in range(DOCUMENTS)
        ]
        documents[drawn.randrange(DOCUMENTS)]["text"] = None
        rows.append({"query_id": f"q{number}", "query": " ".join(drawn.choices(WORDS, k=3)), "documents": documents})
    Path("rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return {
        "data": {"format": "jsonl", "path": "rows.jsonl"},
        "model": model,
        "evaluate": {"metrics": ["ndcg@5", "mrr", "map", "recall@5"], "position_queries": 0},
        "tracking": {"uri": None},
        **more,
    }


def done(config: RunConfig) -> RunFolder:
    return run(config, JobConsole(quiet=True), cluster=LateCluster(config.serve))


def foretold(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["frontier", *map(str, arguments), "--write", "point.yaml", "--json"])
    assert not ended.value.code
    content: dict[str, Any] = json.loads(capsys.readouterr().out)
    return content


def measured(folder: RunFolder) -> dict[str, float]:
    return dict(read_metrics(folder)["quality"]["reranked"] or {})


@pytest.mark.parametrize("depth", [1, 4, DOCUMENTS])
def test_a_depth_is_measured_as_it_was_foretold(depth: int, capsys: pytest.CaptureFixture[str]) -> None:
    whole = done(RunConfig.model_validate(sections({"name": "overlap"})))
    told = foretold(capsys, whole.path, "--point", f"A{depth}")
    again = done(load_config(Path("point.yaml")))
    assert measured(again) == {key_name(name): value for name, value in told["quality"].items()}
    assert read_metrics(again)["coverage"]["pairs"] == told["steps"][0]["pairs"]


@pytest.mark.parametrize("point", ["A12-B3", "B8-A8", "A6-B5"])
def test_a_cascade_is_measured_and_billed_as_it_was_foretold(
    point: str, contrary: StubApi, capsys: pytest.CaptureFixture[str]
) -> None:
    one = done(RunConfig.model_validate(sections({"name": "overlap"}, cost={"per_hour": 1.0})))
    prices = {"price_per_1000_requests": 1.0, "batch_documents": 3}
    other = done(
        RunConfig.model_validate(sections({"name": contrary.url, "api": "jina", "served_as": "m"}, hosted=prices))
    )
    told = foretold(capsys, one.path, other.path, "--point", point, "--seconds-per-1000-pairs", "A=3600")
    cascade = done(load_config(Path("point.yaml"), cascade=True))
    assert measured(cascade) == {key_name(name): value for name, value in told["quality"].items()}
    stages = [read_metrics(cascade.stage(place)) for place in (1, 2)]
    assert [stage["coverage"]["pairs"] for stage in stages] == [step["pairs"] for step in told["steps"]]
    billed = next(stage["hosted"]["cost"] for stage in stages if stage.get("hosted"))
    of_engine = next(step["pairs"] for step in told["steps"] if step["run"] == "A") / 1000
    # What is said of 1,000 pairs is of the average pair; each is told by its own tokens.
    assert told["cost"] == pytest.approx(billed + of_engine, rel=0.02)
