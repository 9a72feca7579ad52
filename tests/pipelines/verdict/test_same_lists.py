"""Of two queries a gate can tell nothing, unless every list is the baseline's: then there is no drop, at any number."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipelines.runs.read import RunContent
from pipelines.verdict.rules import judge, parse_limits
from pipelines.verdict.runs import same_lists
from stages.core.records import Ranking
from stages.files.rankings import rankings_table
from stages.quality.regression import Ruling
from tests.pipelines.finished_runs import finished_run

Lists = Mapping[str, str]
SAME: Lists = {"q000": "abc", "q001": "cab"}


def run_of(path: Path, lists: Lists, ndcg: list[float] | None = None) -> RunContent:
    """A run of two judged queries; each list is its documents' one-letter ids, of which the last was not scored."""
    run = finished_run(path, ndcg or [0.5, 0.25])
    run.folder.rankings.mkdir()
    made = [
        Ranking(query_id, tuple(ids[:-1]), (0.5,) * (len(ids) - 1), (None,) * (len(ids) - 1), tuple(ids[-1:]))
        for query_id, ids in lists.items()
    ]
    pq.write_table(rankings_table(made), run.folder.rankings / "part-00000.parquet")
    return run


@pytest.mark.parametrize(
    ("lists", "ndcg", "outcome"),
    [
        pytest.param(SAME, None, Ruling.PASSED, id="the same"),
        pytest.param(SAME | {"unjudged": "xy"}, None, Ruling.PASSED, id="another list that nobody judged"),
        pytest.param({"q000": "acb", "q001": "cab"}, None, Ruling.CANNOT_TELL, id="another order, the same values"),
        pytest.param({"q000": "abc"}, None, Ruling.CANNOT_TELL, id="one not answered"),
        pytest.param({"q000": "bac", "q001": "acb"}, [0.48, 0.22], Ruling.CANNOT_TELL, id="a drop on both"),
    ],
)
def test_two_queries_pass_only_where_every_judged_list_is_the_baselines(
    lists: Lists, ndcg: list[float] | None, outcome: Ruling, tmp_path: Path
) -> None:
    found = judge(
        run_of(tmp_path / "b", lists, ndcg), run_of(tmp_path / "a", SAME), parse_limits(["ndcg@10=0"], [], [])
    )
    (check,) = [check for check in found.checks if check.name == "ndcg@10"]
    assert check.outcome == outcome, check.words


def test_rankings_that_cannot_be_read_are_not_the_same(tmp_path: Path) -> None:
    one, other = run_of(tmp_path / "a", SAME), run_of(tmp_path / "b", SAME)
    assert same_lists(one, other)
    (other.folder.rankings / "part-00000.parquet").write_bytes(b"PAR1 torn")
    assert not same_lists(one, other)
    assert not same_lists(finished_run(tmp_path / "c", [0.5, 0.25]), finished_run(tmp_path / "d", [0.5, 0.25]))
