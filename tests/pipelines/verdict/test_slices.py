"""Slices of the queries are held against the baseline by themselves, with limits of their own and Holm's correction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.runs.folder import RunFolder
from pipelines.runs.read import RunContent, read_fields
from pipelines.verdict.limits import parse_limits
from pipelines.verdict.rules import judge
from pipelines.verdict.slices import check_slices, check_slices_there
from stages.core.errors import ConfigError, DataError
from stages.core.records import Candidates
from stages.files.tables import write_candidates
from stages.quality.regression import Check, Ruling, check_drop
from stages.quality.significance import compare_values
from tests.pipelines.finished_runs import finished_run

RNG = np.random.default_rng(3)
LANGUAGES = ("en", "zh", "de", "fr")
IDS = [f"q{number:03}" for number in range(160)]
LANGUAGE = {query_id: LANGUAGES[number % 4] for number, query_id in enumerate(IDS)}
BEFORE = RNG.uniform(0.3, 0.7, 160)
NOISE = RNG.normal(0, 0.02, 160)
DROP = {"ndcg@10": 0.01}


def run_of(path: Path, values: Sequence[float], fields: Mapping[str, Mapping[str, str]]) -> RunContent:
    run = finished_run(path, list(values), query_ids=IDS)
    run.folder.write_per_query(run.first_stage, run.reranked, fields)
    return run


def fallen(by: Mapping[str, float]) -> list[float]:
    """Tonight's values: each language's less what it lost."""
    return [
        float(before - by.get(LANGUAGE[one], 0.0) + noise)
        for one, before, noise in zip(IDS, BEFORE, NOISE, strict=True)
    ]


def checked(tmp_path: Path, by: Mapping[str, float], *languages: str) -> dict[str, Check]:
    run = run_of(tmp_path / "b", fallen(by), {"language": LANGUAGE})
    baseline = run_of(tmp_path / "a", BEFORE, {})
    found = check_slices(run, baseline, {"language": languages}, DROP, min_queries=20)
    return {check.name.rpartition("=")[2]: check for check in found}


def just_too_much() -> float:
    """The least that Chinese may lose, to 0.0001, to be called a regression where nothing else is looked at."""
    places = [place for place, query_id in enumerate(IDS) if LANGUAGE[query_id] == "zh"]
    for lost in np.arange(0.01, 0.03, 0.0001):
        tonight = fallen({"zh": float(lost)})
        found = compare_values([BEFORE[one] for one in places], [tonight[one] for one in places], permutations=1)
        if check_drop("zh", found, DROP["ndcg@10"]).outcome == Ruling.REGRESSED:
            return float(lost)
    raise AssertionError("nothing is too much")


def test_a_slice_that_fell_fails_though_all_queries_together_do_not(tmp_path: Path) -> None:
    run = run_of(tmp_path / "b", fallen({"zh": 0.03}), {"language": LANGUAGE})
    baseline = run_of(tmp_path / "a", BEFORE, {})
    assert judge(run, baseline, parse_limits(["ndcg@10=0.02"], [], [])).outcome == Ruling.PASSED
    sliced = parse_limits(["ndcg@10=0.02"], [], [], [], ["language=zh", "language=en"], ["ndcg@10=0.01"])
    found = judge(run, baseline, sliced)
    assert found.outcome == Ruling.REGRESSED
    assert found.sentence().startswith("regressed: ndcg@10 of language=zh fell by 0.0")
    (english,) = [check for check in found.checks if check.name == "ndcg@10 of language=en"]
    assert english.outcome == Ruling.PASSED


def test_without_limits_of_their_own_slices_have_those_of_all_queries(tmp_path: Path) -> None:
    run, baseline = run_of(tmp_path / "b", fallen({}), {"language": LANGUAGE}), run_of(tmp_path / "a", BEFORE, {})
    found = judge(run, baseline, parse_limits(["ndcg@10=0.5"], [], [], [], ["language=zh"]))
    (chinese,) = [check for check in found.checks if check.name.endswith("=zh")]
    assert chinese.words.endswith("a drop of 0.5 is allowed")


def test_what_falls_by_a_hair_among_many_slices_may_have_fallen_by_chance(tmp_path: Path) -> None:
    """Its interval at 95 % lies beyond the limit, that at 98.75 % does not."""
    lost = just_too_much()
    alone = checked(tmp_path / "alone", {"zh": lost}, "zh")["zh"]
    among = checked(tmp_path / "among", {"zh": lost}, *LANGUAGES)["zh"]
    assert (alone.outcome, among.outcome) == (Ruling.REGRESSED, Ruling.CANNOT_TELL)
    assert among.words.endswith("; but one of 4 may by chance (Holm)")


def test_once_one_of_several_is_found_worse_the_others_are_held_to_less(tmp_path: Path) -> None:
    """Holm steps down: beside three that clearly fell the last is judged as if it were alone."""
    lost = just_too_much()
    found = checked(tmp_path / "all", {"en": 0.2, "de": 0.2, "fr": 0.2, "zh": lost}, *LANGUAGES)
    assert {one.outcome for one in found.values()} == {Ruling.REGRESSED}
    assert "98.75 % interval" in found["en"].words and "95 % interval" in found["zh"].words


def test_a_slice_of_few_queries_cannot_tell(tmp_path: Path) -> None:
    few = dict.fromkeys(IDS[:5], "rare")
    run, baseline = run_of(tmp_path / "b", fallen({}), {"kind": few}), run_of(tmp_path / "a", BEFORE, {})
    (check,) = check_slices(run, baseline, {"kind": ["rare"]}, DROP, min_queries=20)
    assert (check.outcome, "5 queries: too few" in check.words) == (Ruling.CANNOT_TELL, True)


# --- where the fields are ---


def test_fields_are_read_from_the_candidates_where_the_run_did_not_keep_them(tmp_path: Path) -> None:
    run = run_of(tmp_path / "a", BEFORE, {})
    candidates = [
        Candidates("q000", "a query", ("d",), ("a text",), (1.0,), attributes={"language": "zh", "other": "x"}),
        Candidates("q001", "a query", ("d",), ("a text",), (1.0,)),
    ]
    write_candidates(candidates, run.folder.candidates)
    assert read_fields(run.folder, ["language", "none"]) == {"language": {"q000": "zh"}, "none": {}}
    check_slices_there(run.folder, {"language": ["zh"]})
    with pytest.raises(DataError, match=r"gate\.slices language: no query has the value 'no'; it is zh"):
        check_slices_there(run.folder, {"language": ["zh", "no"]})
    with pytest.raises(DataError, match="none has a field colour"):
        check_slices_there(run.folder, {"colour": ["red"]})


def test_where_no_texts_are_kept_fields_are_read_from_where_the_job_has_them(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run", tmp_path / "private")
    write_candidates([Candidates("q", "a query", ("d",), ("a",), (1.0,), attributes={"mood": "hasty"})], folder.texts)
    assert not folder.candidates.exists()
    assert read_fields(folder, ["mood"]) == {"mood": {"q": "hasty"}}


def test_kept_fields_are_columns_beside_the_values_of_each_query(tmp_path: Path) -> None:
    run = run_of(tmp_path / "a", BEFORE, {"language": {"q001": "zh"}})
    table: pa.Table = pq.read_table(run.folder.per_query)
    assert table.column("field/language").to_pylist()[:3] == [None, "zh", None]


@pytest.mark.parametrize(
    ("slices", "drops", "slice_drops", "told"),
    [
        (["language"], ["ndcg@10=1"], [], "write FIELD=VALUE"),
        (["=zh"], ["ndcg@10=1"], [], "write FIELD=VALUE"),
        (["language=zh"], [], [], "how far may a metric fall there"),
        ([], [], ["ndcg@10=1"], "no slice to limit"),
    ],
)
def test_a_slice_that_is_malformed_or_without_a_limit_is_refused(
    slices: list[str], drops: list[str], slice_drops: list[str], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        parse_limits(drops, [], [], [], slices, slice_drops)
