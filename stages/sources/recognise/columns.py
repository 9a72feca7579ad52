"""Text in columns: runs, judgements, texts under ids, and tables with a header."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby, pairwise
from pathlib import Path

from stages.core.records import Location
from stages.sources.formats.tables import DELIMITERS
from stages.sources.judged import JUDGED_BY
from stages.sources.lines import Line
from stages.sources.recognise.finding import Finding
from stages.sources.recognise.keys import of_columns
from stages.sources.recognise.texts import texts_under_ids
from stages.sources.run_columns import TREC

LINES_SEEN = 2000
TREC_RUN = "query_id Q0 doc_id rank score tag"
HIGHEST_GRADE = 10  # beyond it a whole number in a third or fourth column is hardly a judgement


def of_lines(path: Path, lines: Sequence[str]) -> Finding:
    """By the columns that most lines have. `lines` are the first of the file, without blank ones and comments."""
    if {name.strip().lower() for name in lines[0].split("\t")}.intersection(JUDGED_BY):
        return Finding(str(path), "judgements (qrels) that say who judged, people or a model", "qrels")
    if table := _table(path, lines[0]):
        return table
    fields = [TREC.fields(Line(Location(str(path)), line)) for line in lines]
    most = _most_common(fields)
    rows = [row for row in fields if len(row) == most]
    for columns, number, told in ((6, 4, _trec_run), (4, 3, _of_four), (3, 2, _of_three)):
        if most == columns and _share([row[number] for row in rows], _is_number) >= 0.5:
            return told(path, rows)
    return _by_tabs(path, [[field.strip() for field in line.rstrip("\t").split("\t")] for line in lines])


def _by_tabs(path: Path, rows: Sequence[Sequence[str]]) -> Finding:
    most = _most_common(rows)
    if most == 2:
        return texts_under_ids(path, [row[1] for row in rows if len(row) == 2])
    if most == 4:
        return Finding(
            str(path),
            "four columns with texts, as MS MARCO's top1000 has them: query id, document id, query, passage",
            remedy="they have no score and no order; give the run, and the texts of queries and documents",
        )
    return Finding(
        str(path),
        "text in no known columns",
        remedy=f"a run has lines of `{TREC_RUN}`, qrels of `query_id 0 doc_id grade`, texts of `id<TAB>text`",
    )


def _table(path: Path, first: str) -> Finding | None:
    """A CSV or TSV table whose header names what rows need."""
    delimiter = max(DELIMITERS, key=first.count)
    names = [name.strip().strip('"') for name in first.split(delimiter)]
    finding = of_columns(path, names, "csv") if len(names) > 1 else None
    if finding is not None:
        finding.told += f", separated by {_named(delimiter)}"
    return finding


def _named(delimiter: str) -> str:
    return {"\t": "tabs", ",": "commas", ";": "semicolons"}[delimiter]


def _trec_run(path: Path, rows: list[list[str]]) -> Finding:
    finding = Finding(str(path), "a TREC run", "run")
    queries = _by_query(rows, 4)
    if any(len(scores) > 1 for scores in queries) and all(len(set(scores)) == 1 for scores in queries):
        finding.unsure.append("every score of a query is the same, so that its order is by document id: is it a run?")
    return finding


def _of_four(path: Path, rows: list[list[str]]) -> Finding:
    """Judgements, or a run of query, document, something and score."""
    if _share([row[3] for row in rows], _is_grade) > 0.5:
        finding = Finding(str(path), "judgements (qrels) as TREC has them", "qrels")
        if _are_ranks(_by_query(rows, 3)):
            finding.unsure.append("the fourth column counts up from the top of each query: is it a rank?")
        return finding
    finding = Finding(str(path), "a run of four columns, the last a score", "run")
    unused = {row[1] for row in rows} in ({"Q0"}, {"0"})
    finding.data["run_columns"] = (
        ["query_id", "_", "doc_id", "score"] if unused else ["query_id", "doc_id", "_", "score"]
    )
    finding.unsure.append("the fourth column is taken for a score, of which higher is better")
    return finding


def _of_three(path: Path, rows: list[list[str]]) -> Finding:
    """BEIR's judgements, or a run whose third column is a rank or a score: that depends on the tool."""
    values = _by_query(rows, 2)
    if _are_ranks(values):
        finding = Finding(str(path), "a run of three columns, the third a rank", "run")
        finding.data["run_columns"] = ["query_id", "doc_id", "rank"]
        finding.unsure.append(
            "the third column counts up from the top of each query, as Pyserini and MS MARCO write ranks; "
            "if it is a score, set data.run_columns to [query_id, doc_id, score]"
        )
        return finding
    if _share([row[2] for row in rows], _is_grade) > 0.5:
        finding = Finding(str(path), "judgements (qrels) as BEIR has them", "qrels")
        if all(one == [1.0] for one in values):
            finding.unsure.append("every query has one document with a 1: judgements, or ranks of a run with one each")
        return finding
    finding = Finding(str(path), "a run of three columns, the third a score", "run")
    finding.data["run_columns"] = ["query_id", "doc_id", "score"]
    falls = all(above >= below for one in values for above, below in pairwise(one))
    finding.unsure.append(
        "the third column falls within each query, so it is taken for a score, as Tevatron writes it"
        if falls
        else "the third column neither counts up nor falls within each query; it is taken for a score"
    )
    return finding


def _by_query(rows: list[list[str]], column: int) -> list[list[float]]:
    """The numbers of each stretch of one query, in their order; the last stretch may be cut."""
    return [_numbers(row[column] for row in group) for _, group in groupby(rows, key=lambda row: row[0])]


def _numbers(cells: Iterable[str]) -> list[float]:
    return [float(cell) for cell in cells if _is_number(cell)]


def _are_ranks(lists: Sequence[Sequence[float]]) -> bool:
    """Whether each counts up, 1, 2, 3, ... or from 0 on; of one document each nothing can be told."""
    return any(len(one) > 1 for one in lists) and all(
        one and one[0] in (0, 1) and all(low + 1 == high for low, high in pairwise(one)) for one in lists
    )


def _most_common(rows: Sequence[Sequence[str]]) -> int:
    return Counter(map(len, rows)).most_common(1)[0][0]


def _share(cells: Sequence[str], holds: Callable[[str], bool]) -> float:
    return sum(map(holds, cells)) / len(cells)


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def _is_grade(cell: str) -> bool:
    return _is_number(cell) and float(cell).is_integer() and abs(float(cell)) <= HIGHEST_GRADE
