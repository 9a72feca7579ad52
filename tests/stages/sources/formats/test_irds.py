"""Data sets of ir_datasets 0.6.3, registered here over local files, as its own formats read them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ir_datasets
import pytest
from ir_datasets.formats import TrecQrels, TrecScoredDocs, TsvDocs, TsvQueries
from ir_datasets.util import LocalDownload

from stages.core.errors import DataError
from tests.prepared import taken

SCORED = "q2 Q0 d1 1 2.5 bm25\nq1 Q0 d3 1 1 bm25\nq1 Q0 d2 2 7 bm25\n"


@pytest.fixture
def registered(tmp_path: Path) -> Iterator[Any]:
    """Registers `local/NAME` with these scoreddocs, and takes all back at the end."""
    names: list[str] = []
    (tmp_path / "docs.tsv").write_text("d1\tone\nd2\ttwo\nd3\tthree\nd4\tno one asks\n")
    (tmp_path / "queries.tsv").write_text("q1\twho\nq2\twhy\n")
    (tmp_path / "qrels").write_text("q1 0 d2 1\nq2 0 d1 2\n")

    def register(name: str, scored: str | None = None, *, judged: bool = True) -> Any:
        parts: list[Any] = [TsvDocs(LocalDownload(tmp_path / "docs.tsv"))]
        parts += [TsvQueries(LocalDownload(tmp_path / "queries.tsv"))]
        if judged:
            parts.append(TrecQrels(LocalDownload(tmp_path / "qrels"), {}))
        if scored is not None:
            file = tmp_path / f"{name.replace('/', '-')}.run"
            file.write_text(scored)
            parts.append(TrecScoredDocs(LocalDownload(file)))
        names.append(f"local/{name}")
        dataset = ir_datasets.Dataset(*parts)
        ir_datasets.registry.register(names[-1], dataset)
        return dataset

    yield register
    for name in names:
        del ir_datasets.registry._registered[name]


def test_scoreddocs_are_the_first_stage(registered: Any) -> None:
    registered("scored", SCORED)
    found = taken(format="ir_datasets", path="local/scored")
    assert found.lists() == {"q2": ["d1"], "q1": ["d2", "d3"]}
    assert found.candidates["q1"].scores == (7.0, 1.0)
    assert found.texts() == {"d1": "one", "d2": "two", "d3": "three"}
    assert (found.grades, found.set_aside, found.remarks) == ({"q1": {"d2": 1}, "q2": {"d1": 2}}, [], [])


def test_documents_are_looked_up_where_the_packages_store_is_built(registered: Any, tmp_path: Path) -> None:
    dataset = registered("stored", SCORED)
    dataset.docs_store().build()
    (tmp_path / "docs.tsv").unlink()  # what is left is the store
    assert taken(format="ir_datasets", path="local/stored").texts() == {"d1": "one", "d2": "two", "d3": "three"}


def test_without_scoreddocs_a_run_is_needed_and_the_line_says_so(registered: Any, tmp_path: Path) -> None:
    registered("bare")
    with pytest.raises(DataError, match=r"local/bare of ir_datasets has no scoreddocs: give a first stage as data.run"):
        taken(format="ir_datasets", path="local/bare")
    (tmp_path / "run").write_text("q1 Q0 d4 1 3 x\n")
    assert taken(format="ir_datasets", path="local/bare", run=tmp_path / "run").lists() == {"q1": ["d4"]}


def test_scores_that_are_all_the_same_are_no_ranking(registered: Any) -> None:
    registered("ms", "q1 d3\nq1 d2\nq2 d1\n")  # qid and pid alone: the package gives 0.0 to each
    found = taken(format="ir_datasets", path="local/ms")
    assert sorted(found.lists()["q1"]) == ["d2", "d3"]
    assert found.remarks[0].startswith("the first stage has no order (its scoreddocs all have the same score)")
    with pytest.raises(DataError, match=r"2 candidates in no order .* data.depth 1 would choose by chance"):
        taken(format="ir_datasets", path="local/ms", depth=1)


def test_judgements_may_come_from_a_file(registered: Any, tmp_path: Path) -> None:
    registered("unjudged", SCORED, judged=False)
    registered("unjudged/dev", SCORED)
    with pytest.raises(DataError, match=r"has no qrels; local/unjudged/dev has: give one that has some, or data.qrels"):
        taken(format="ir_datasets", path="local/unjudged")
    (tmp_path / "own").write_text("q1 0 d3 1\n")
    assert taken(format="ir_datasets", path="local/unjudged", qrels=tmp_path / "own").grades == {"q1": {"d3": 1}}


def test_an_id_that_is_none_is_one_line_with_the_nearest_ones() -> None:
    with pytest.raises(DataError, match=r"ir_datasets has no data set 'beir/scifact/tst'. Did you mean beir/scifact/t"):
        taken(format="ir_datasets", path="beir/scifact/tst")


def test_what_was_never_downloaded_is_one_line_with_what_to_do(registered: Any, tmp_path: Path) -> None:
    registered("gone", SCORED)
    (tmp_path / "docs.tsv").unlink()
    with pytest.raises(DataError, match=r"cannot give the documents of local/gone: .*; download it once where there"):
        taken(format="ir_datasets", path="local/gone")
