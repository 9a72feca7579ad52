"""analysis.json of a folder: rankings find their candidates, reasons are counted, the file is strict JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pyarrow.parquet as pq
import pytest

from pipelines.base.config import RunConfig
from pipelines.job.analysis import Findings, write_analysis
from pipelines.runs.folder import RunFolder
from stages.analysis.assemble import AnalysisSettings, analyse
from stages.analysis.cost import RunWork
from stages.analysis.position import PositionCheck
from stages.core.records import Judgements, Location, QueryMetrics, Ranking, SetAside
from stages.files.rankings import rankings_table
from stages.files.tables import write_candidates
from stages.quality.evaluate import warm_up
from tests.analysis_inputs import COMPILED, METRICS, Collection, collection, one_query

SECTIONS: dict[str, Any] = {
    "data": {"format": "jsonl", "path": "rows.jsonl"},
    "evaluate": {"metrics": METRICS, "depths": [1, 2]},
    "cost": {"per_hour": 3.6},
}
WORK = RunWork(queries=4, pairs=9, scored_pairs=9, prompt_tokens=90, engine_s=2.0)
POSITION = PositionCheck(queries=2, pairs=6, failed=0, largest=0.25, largest_logit=0.5, where=("p", "c"))

Write = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    warm_up([*COMPILED, "judged@10"])


@pytest.fixture(scope="module")
def made() -> Collection:
    queries = [
        one_query("p", {"a": -1.0, "b": 0.0, "c": 2.0}, tail=["t"]),
        one_query("q", {"d": 0.0, "e": 3.0}),
        one_query("r", {"f": None, "g": 1.0}),
        one_query("u", {"x": 1.0, "y": 1.0}),
    ]
    return collection(queries, {"p": {"c": 2, "b": 0}, "q": {"d": 1}, "r": {"g": 1}})


def folder_of(path: Path, made: Collection, files: Sequence[Sequence[Ranking]]) -> RunFolder:
    """A run folder with the candidates, and the rankings in these files."""
    folder = RunFolder(path)
    write_candidates(made.candidates, folder.candidates, rows_per_file=3)
    folder.rankings.mkdir()
    for number, rankings in enumerate(files):
        pq.write_table(rankings_table(rankings), folder.rankings / f"part-{number}.parquet")
    return folder


def analysis_of(folder: RunFolder, found: Findings, sections: dict[str, Any] = SECTIONS) -> dict[str, Any]:
    """What is written, read back strictly."""
    write_analysis(folder, RunConfig.model_validate(sections), found)
    content: dict[str, Any] = json.loads(folder.analysis.read_text(encoding="utf-8"), parse_constant=_refuse)
    return content


def _refuse(word: str) -> NoReturn:
    raise AssertionError(f"{word} is not JSON")


def findings(made: Collection, **changed: Any) -> Findings:
    usual: dict[str, Any] = {
        "judgements": made.judgements,
        "first_stage": made.first,
        "reranked": made.reranked,
        "failures": [],
        "work": WORK,
        "position": POSITION,
    }
    return Findings(**(usual | changed))


def test_rankings_in_another_order_and_other_files_find_their_candidates(made: Collection, tmp_path: Path) -> None:
    rankings = [ranking for _, ranking in made.pairs]
    shuffled = [[rankings[3], rankings[1]], [rankings[2]], [rankings[0]]]
    found = analysis_of(folder_of(tmp_path / "shuffled", made, shuffled), findings(made))
    told = AnalysisSettings(METRICS, [1, 2])
    expected = analyse(lambda: made.pairs, made.judgements, made.first, made.reranked, told)
    assert {name: found[name] for name in expected} == json.loads(json.dumps(expected))
    assert [mover["query_id"] for mover in found["movers"]["won"]] == ["p", "r"]


def test_what_the_job_told_is_there_beside_the_analysis(made: Collection, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "run", made, [[ranking for _, ranking in made.pairs]])
    found = analysis_of(folder, findings(made))
    assert found["position"] == {
        "queries": 2,
        "pairs": 6,
        "failed": 0,
        "largest": 0.25,
        "largest_logit": 0.5,
        "where": ["p", "c"],
        "listwise": False,
    }
    assert found["failures"] == []
    cost = found["cost"]
    assert (cost["pairs_per_query"], cost["tokens_per_query"], cost["engine_s_per_query"]) == (9 / 4, 90 / 4, 0.5)
    assert (cost["per_hour"], cost["money"]) == (3.6, pytest.approx(0.002))
    assert cost["money_per_1000_queries"] == pytest.approx(0.5)
    gain = made.reranked.mean("mrr") - made.first.mean("mrr")
    assert cost["gain_per_engine_s"]["mrr"] == pytest.approx(gain / 0.5)


def test_a_part_of_a_job_has_neither_cost_nor_position(made: Collection, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "run", made, [[ranking for _, ranking in made.pairs]])
    found = analysis_of(folder, findings(made, work=None, position=None))
    assert found["cost"] is None
    assert found["position"] is None


def test_a_run_that_knew_every_score_has_no_cost_per_query(made: Collection, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "run", made, [[ranking for _, ranking in made.pairs]])
    work = RunWork(queries=4, pairs=9, scored_pairs=0, prompt_tokens=0, engine_s=0.1)
    cost = analysis_of(folder, findings(made, work=work), SECTIONS | {"cost": {}})["cost"]
    assert cost["engine_s_per_query"] is cost["money"] is cost["per_hour"] is None
    assert cost["gain_per_engine_s"] == dict.fromkeys(METRICS)


def test_without_judgements_ties_what_changed_and_what_the_job_told_are_left(made: Collection, tmp_path: Path) -> None:
    nothing = QueryMetrics((), {}, ())
    folder = folder_of(tmp_path / "run", made, [[ranking for _, ranking in made.pairs]])
    unjudged = findings(made, judgements=Judgements({}), first_stage=nothing, reranked=nothing)
    found = analysis_of(folder, unjudged)
    assert set(found) == {
        *("schema_version", "ties", "changes", "useless"),
        *("position", "cost", "remarks", "failures", "order_only_queries"),
    }
    assert found["cost"]["gain_per_engine_s"] == {}
    assert found["ties"]["tied_neighbours"] == 1 / 4


def test_reasons_are_counted_without_what_tells_one_row_from_another(made: Collection, tmp_path: Path) -> None:
    reasons = [
        *("duplicate id 'd1': the first one counts", "duplicate id 'd2': the first one counts"),
        *(
            "score is not a finite number: 'x'",
            "score is not a finite number: nan",
            "score is not a finite number: inf",
        ),
        "the query is 15 tokens too long: with its template it leaves no room",
        "the query is 3 tokens too long: with its template it leaves no room",
        "another query text than in rows.jsonl:12",
        "no text",
    ]
    rows = [SetAside(Location("rows.jsonl", number), reason) for number, reason in enumerate(reasons, start=1)]
    folder = folder_of(tmp_path / "run", made, [[ranking for _, ranking in made.pairs]])
    assert analysis_of(folder, findings(made, failures=iter(rows)))["failures"] == [
        {"reason": "score is not a finite number", "rows": 3},
        {"reason": "duplicate id …", "rows": 2},
        {"reason": "the query is … tokens too long", "rows": 2},
        {"reason": "another query text than in …", "rows": 1},
        {"reason": "no text", "rows": 1},
    ]


def test_rare_reasons_are_counted_together(made: Collection, tmp_path: Path) -> None:
    letters = "abcdefghijklmnopqrstuvw"
    rows = [SetAside(Location("rows.jsonl"), f"reason {letter}") for letter in letters + "w"]
    folder = folder_of(tmp_path / "run", made, [[ranking for _, ranking in made.pairs]])
    failures = analysis_of(folder, findings(made, failures=rows))["failures"]
    assert failures[0] == {"reason": "reason w", "rows": 2}
    assert failures[-1] == {"reason": "other reasons: see failures.parquet", "rows": 3}
    assert len(failures) == 21
    assert sum(one["rows"] for one in failures) == len(rows)
