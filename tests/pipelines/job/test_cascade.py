"""A cascade as a job: the stand-in scores the first stage, a model behind HTTP that likes other documents the second.
No Ray, no engine: what an engine does in a cascade is in `test_cascade_engine`.
"""

from __future__ import annotations

import io
import json
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipelines.base.config import RunConfig
from pipelines.comparing.command import Wanted, print_comparison
from pipelines.job.connection import LateCluster
from pipelines.job.console import JobConsole
from pipelines.job.dry_run import make_plan, print_plan
from pipelines.job.run import run
from pipelines.runs.export import ExportOrder, export_run
from pipelines.runs.finished import open_folder
from pipelines.runs.folder import RunFolder
from pipelines.runs.read import read_metrics, read_run_folder
from pipelines.tracking.values import run_metrics
from pipelines.verdict.runs import Allowed, compare_runs
from stages.core.errors import RerankEvalError, TooManyFailuresError
from stages.core.records import PairScore
from stages.core.scoring import OverlapScorer
from stages.files.rankings import read_rankings
from tests.hosted_api import Fault, StubApi, stub_api

QUERIES, DOCUMENTS, DEPTHS = 6, 7, (5, 3)
PAIRS = (QUERIES * DEPTHS[0], QUERIES * DEPTHS[1])


class Contrary:
    """Likes what the OverlapScorer does not."""

    async def score(self, query: str, documents: Sequence[str], instruction: str | None = None) -> list[PairScore]:
        pairs = await OverlapScorer().score(query, documents, instruction)
        return [PairScore(1.0 - (pair.score or 0.0)) for pair in pairs]


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[StubApi]:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr("pipelines.hosted.patience.FIRST_WAIT_S", 0.001)
    with stub_api("jina") as one:
        one.scorer = Contrary()
        yield one


def documents(number: int) -> list[str]:
    """The n-th has n words of the query, but the last two, which have all and none: below depth nothing is read."""
    words = [f"word{number}", "red", "fox", "in", "snow"]
    return [" ".join(["some", *words[: place + 1]]) for place in range(DOCUMENTS - 2)] + [" ".join(words), "nothing"]


def sections(folder: Path, stub: StubApi, **more: dict[str, Any]) -> dict[str, Any]:
    data, qrels = folder / "rows.jsonl", folder / "qrels.txt"
    if not data.exists():
        rows = [
            {"query_id": f"q{n}", "query": f"word{n} red fox in snow", "documents": documents(n)}
            for n in range(QUERIES)
        ]
        data.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        qrels.write_text("".join(f"q{n} 0 d3 1\n" for n in range(QUERIES)), encoding="utf-8")
    model = {"name": stub.url, "api": stub.api, "served_as": "m"}
    stages = [{"model": {"name": "overlap"}, "depth": DEPTHS[0]}, {"model": model, "depth": DEPTHS[1]}]
    given: dict[str, Any] = {
        "data": {"format": "jsonl", "path": str(data), "qrels": str(qrels)},
        "rerank": {"store": str(folder / "store"), "stages": stages},
        "evaluate": {"metrics": ["mrr@10", "ndcg@10"]},
        "hosted": {"recheck_pairs": 0},
        "tracking": {"uri": None},
        "output": {"dir": str(folder / "results")},
    }
    return {name: given.get(name, {}) | more.get(name, {}) for name in {**given, **more}}


def alone(folder: Path, stub: StubApi, stage: int, depth: int) -> dict[str, Any]:
    """The same data with the model of one stage."""
    config = sections(folder, stub)
    chosen = config["rerank"].pop("stages")[stage]
    config["data"]["depth"] = depth
    return config | {"model": chosen["model"]} if stage else {**config, "model": chosen["model"], "hosted": {}}


def done(config: dict[str, Any]) -> tuple[RunFolder, str]:
    """Run it; the folder, and what was said."""
    said = io.StringIO()
    checked = RunConfig.model_validate(config)
    return run(checked, JobConsole(file=said), cluster=LateCluster(checked.serve)), said.getvalue()


def lists(folder: RunFolder) -> dict[str, tuple[str, ...]]:
    return {one.query_id: one.ordered() for one in read_rankings(folder.rankings)}


@pytest.fixture(scope="module")
def cascade(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, str, StubApi]:
    """One run, looked at by several tests, what it said, and what was asked."""
    with stub_api("jina", scorer=Contrary()) as one, pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        priced = {"price_per_1000_requests": 500.0, "recheck_pairs": 0}
        config = sections(tmp_path_factory.mktemp("cascade"), one, hosted=priced, cost={"per_hour": 36.0})
        return (*done(config), one)


# --- the lists ---


def test_each_stage_reranks_the_top_of_what_was_left_and_the_rest_keeps_its_order(
    cascade: tuple[RunFolder, str, StubApi],
) -> None:
    folder, said, stub = cascade
    assert lists(folder.stage(1)) == {f"q{n}": ("d5", "d4", "d3", "d2", "d1", "d6", "d7") for n in range(QUERIES)}
    assert lists(folder) == {f"q{n}": ("d3", "d4", "d5", "d2", "d1", "d6", "d7") for n in range(QUERIES)}
    assert lists(folder) == lists(folder.stage(2))
    assert {len(asked) for _, asked in stub.asked} == {DEPTHS[1]}
    assert "stage 1 of 2  overlap, the top 5" in said
    assert "stage 2 of 2  m, the top 3 of what stage 1 left" in said


def test_the_scores_of_a_run_fall_with_the_rank_and_are_those_of_the_last_stage_alone(
    cascade: tuple[RunFolder, str, StubApi],
) -> None:
    folder, *_ = cascade
    rows = [line.split() for line in folder.trec_run.read_text().splitlines() if line.startswith("q0 ")]
    assert [row[2] for row in rows] == ["d3", "d4", "d5", "d2", "d1", "d6", "d7"]
    assert [float(row[4]) for row in rows] == pytest.approx([0.4, 0.2, 0.0, -1, -2, -3, -4], abs=1e-6)


def test_quality_pairs_seconds_and_cost_are_told_of_the_whole_and_of_each_stage(
    cascade: tuple[RunFolder, str, StubApi],
) -> None:
    folder, said, _ = cascade
    told = read_metrics(folder)
    first, second = told["stages"]
    assert first["quality"]["first_stage"] == told["quality"]["first_stage"]
    assert first["quality"]["reranked"] == second["quality"]["first_stage"]
    assert second["quality"]["reranked"] == told["quality"]["reranked"] == {"mrr_at_10": 1.0, "ndcg_at_10": 1.0}
    assert [one["coverage"]["pairs"] for one in (first, second, told)] == [*PAIRS, sum(PAIRS)]
    assert [one["throughput"]["scored_pairs"] for one in (first, second, told)] == [*PAIRS, sum(PAIRS)]
    seconds = [one["throughput"]["wall_s"] for one in (first, second)]
    assert told["throughput"]["wall_s"] == pytest.approx(sum(seconds))
    assert second["cost"]["money"] == pytest.approx(QUERIES * 0.5)
    assert first["cost"]["money"] == pytest.approx((first["cost"]["engine_s"] or 0) / 100)
    assert read_run_folder(folder.path).analysis["cost"]["money"] == pytest.approx(
        first["cost"]["money"] + second["cost"]["money"]
    )
    assert (told["model"]["family"], told["model"]["name"].split(" > ")[0]) == ("cascade", "overlap")
    assert "│ 1: overlap │" in said and "│ 2: m       │" in said
    logged = run_metrics(told, read_run_folder(folder.path).analysis)
    assert (logged["stage_1/coverage/pairs"], logged["stage_2/mrr_at_10"]) == (PAIRS[0], 1.0)
    assert logged["stage_2/cost/money"] == pytest.approx(QUERIES * 0.5)


def test_a_stage_tells_the_same_as_its_model_alone(tmp_path: Path, stub: StubApi) -> None:
    folder, _ = done(sections(tmp_path, stub))
    single, _ = done(alone(tmp_path, stub, 0, DEPTHS[0]))
    stage, own = read_metrics(folder.stage(1)), read_metrics(single)
    assert stage["quality"] == own["quality"] and stage["identity"] == own["identity"]
    assert (stage["config_digest"], stage["candidates_digest"]) == (own["config_digest"], own["candidates_digest"])
    assert lists(folder.stage(1)) == lists(single)
    assert own["cache"]["score_store_hits"] == PAIRS[0], "what a stage scored is there for others"
    assert {one.path.name for one in folder.stages()} == {"1", "2"}
    assert open_folder(folder.path).stages[1].metrics["stage"] == 2


# --- nothing is paid for twice ---


def test_after_runs_of_its_models_alone_a_cascade_pays_for_nothing(tmp_path: Path, stub: StubApi) -> None:
    done(alone(tmp_path, stub, 0, DEPTHS[0]))
    done(alone(tmp_path, stub, 1, DEPTHS[0]))
    paid = len(stub.pairs)
    folder, said = done(sections(tmp_path, stub))
    assert (paid, len(stub.pairs)) == (PAIRS[0], PAIRS[0])
    told = read_metrics(folder)
    assert told["cache"]["score_store_hits"] == sum(PAIRS) and told["throughput"]["scored_pairs"] == 0
    assert said.count("not started: the store knows every score") == 1


def test_stopped_within_the_second_stage_and_run_again_no_pair_is_scored_twice(tmp_path: Path, stub: StubApi) -> None:
    stopping = sections(tmp_path, stub, hosted={"max_requests": 2, "recheck_pairs": 0})
    with pytest.raises(RerankEvalError, match=r"stage 2: 2 of 6 queries are ranked, in .*stages/2.*goes on from there"):
        done(stopping)
    (broken,) = (tmp_path / "results").glob("2*")
    assert not (broken / "metrics.json").exists() and (broken / "stages/2/run.trec").is_file()
    folder, _ = done(sections(tmp_path, stub))
    assert len(stub.pairs) == len(set(stub.pairs)) == PAIRS[1]
    first, second = read_metrics(folder)["stages"]
    assert (first["cache"]["score_store_hits"], first["throughput"]["scored_pairs"]) == (PAIRS[0], 0)
    assert second["cache"]["score_store_hits"] == 2 * DEPTHS[1]


def test_a_signal_in_one_stage_ends_the_job_before_the_next_begins(tmp_path: Path, stub: StubApi) -> None:
    """Pressed as the last answer of the first stage comes: all of it is ranked, nothing of the second is asked."""
    config = sections(tmp_path, stub)
    with stub_api("jina") as second:
        model = config["rerank"]["stages"][1]["model"]
        config["rerank"]["stages"] = [
            {"model": model, "depth": 5},
            {"model": model | {"name": second.url}, "depth": 3},
        ]
        config["hosted"] |= {"concurrency": 1}
        stub.when_answered = lambda: os.kill(os.getpid(), signal.SIGINT) if len(stub.asked) == QUERIES else None
        with pytest.raises(RerankEvalError, match=r"interrupted: stage 1 is done.*stage 2 was not begun") as stopped:
            done(config)
        assert (stopped.value.exit_code, second.tries) == (130, 0)
        stub.when_answered = lambda: None
        done(config)
        assert len(stub.pairs) == QUERIES * 5 and len(second.pairs) == QUERIES * 3


# --- what fails ---


def test_a_query_that_a_stage_could_not_score_keeps_the_list_of_the_stage_before_and_that_is_told(
    tmp_path: Path, stub: StubApi
) -> None:
    stub.faults = [Fault(422, {}, {"detail": "no"})]
    with pytest.raises(TooManyFailuresError, match="0 of 30 pairs failed in stage 1, 3 of 18 pairs failed in stage 2"):
        done(sections(tmp_path, stub, hosted={"concurrency": 1, "recheck_pairs": 0}))
    (path,) = (tmp_path / "results").glob("2*")
    folder = RunFolder(path)
    changed = [query_id for query_id, one in lists(folder).items() if one != lists(folder.stage(1))[query_id]]
    assert len(changed) == QUERIES - 1
    told = read_metrics(folder)
    assert (told["coverage"]["answered"], told["coverage"]["failed_pairs"]) == (QUERIES, 3)
    reasons = pq.read_table(folder.failures).column("reason").to_pylist()
    assert len(reasons) == 3 and all(one.startswith("stage 2: ") for one in reasons)
    assert any(one.startswith("stage 2: 3 of 18 pairs") for one in read_run_folder(path).analysis["remarks"])


# --- what reads such a run ---


def test_compare_gate_report_and_export_read_a_cascade(
    tmp_path: Path, stub: StubApi, capsys: pytest.CaptureFixture[str]
) -> None:
    gated = sections(tmp_path, stub, gate={"min": {"mrr@10": 0.9}})
    folder, said = done(gated)
    assert "passed" in next(line for line in said.splitlines() if line.startswith("gate"))
    single, _ = done(alone(tmp_path, stub, 0, DEPTHS[0]))
    compared = compare_runs([read_run_folder(single.path), read_run_folder(folder.path)])
    assert list(compared.differing) == ["model.name"]
    one, several = compared.differing["model.name"]
    assert one == "overlap" and several.startswith("overlap > ") and several.endswith(" (5, 3)")
    deeper = sections(tmp_path, stub)
    deeper["rerank"]["stages"][1]["depth"] = 2
    other, _ = done(deeper)
    between = compare_runs([read_run_folder(folder.path), read_run_folder(other.path)])
    assert between.differing == {"rerank.stages.1.depth": (3, 2)}
    print_comparison([str(folder.path), str(other.path)], [], Allowed(), Wanted(tmp_path / "out", "md", None, False))
    page = folder.report.read_text(encoding="utf-8")
    assert "What did each stage do?" in page and "the top 5, then the top 3 of that," in page
    assert "what stage 1 left" in folder.stage(2).report.read_text(encoding="utf-8")
    capsys.readouterr()
    export_run(read_run_folder(folder.path), ExportOrder("trec", 5), None)
    rows = [line.split()[2] for line in capsys.readouterr().out.splitlines() if line.startswith("q0 ")]
    assert rows == ["d3", "d4", "d5", "d2", "d1"], "in the order of the stages, not of the first stage"


def test_a_dry_run_tells_each_stage_and_asks_nobody(
    tmp_path: Path, stub: StubApi, capsys: pytest.CaptureFixture[str]
) -> None:
    config = RunConfig.model_validate(sections(tmp_path, stub))
    plan = make_plan(config)
    assert [one["depth"] for one in plan["stages"]] == list(DEPTHS)
    assert [one["pairs"] for one in plan["forecast"]["stages"]] == list(PAIRS)
    assert plan["forecast"]["pairs"] == sum(PAIRS)
    print_plan(config, as_json=False)
    said = " ".join(capsys.readouterr().out.split())
    assert "stage 2" in said and "is a guess" in said and "the top 3 of stage 1" in said
    assert stub.paths == [] and not (tmp_path / "results").exists()


def test_texts_that_are_to_stay_out_of_the_folder_stay_out_of_those_of_the_stages(
    tmp_path: Path, stub: StubApi
) -> None:
    folder, _ = done(sections(tmp_path, stub, output={"texts": False}))
    assert lists(folder)["q0"][:3] == ("d3", "d4", "d5")
    files = [path for path in folder.path.rglob("*") if path.is_file()]
    assert [path for path in files if b"red fox in snow" in path.read_bytes()] == []
    assert (folder.path / "stages/2/candidates").is_dir()
