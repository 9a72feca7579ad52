"""Runs of three to five columns: what they seem to be, said with the setting that decides it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from stages.core.errors import DataError

LINES_SEEN = 10_000
FEWEST, MOST = 3, 5
UNUSED = ({"Q0"}, {"0"})


def refusal_of_short(path: Path, lines: Iterable[bytes]) -> DataError | None:
    """Why a run of such lines is not read as it stands; None where its lines are something else."""
    found = list(islice(_fields(lines), LINES_SEEN))
    rows = [fields for fields in found if len(fields) == len(found[0])]
    if not rows or not FEWEST <= len(rows[0]) <= MOST or len(rows) * 2 < len(found):
        return None
    unused = {fields[1] for fields in rows} in UNUSED
    before = ["query_id", "_", "doc_id"] if unused else ["query_id", "doc_id"]
    behind = [_kind(rows, column) for column in range(len(before), len(rows[0]))]
    if not behind or None in behind or len(behind) > 2:
        return None
    told = " and ".join(f"column {len(before) + place} {_looks(str(one))}" for place, one in enumerate(behind, 1))
    qrels = "; if these are judgements, data.qrels takes them" if unused and len(behind) == 1 else ""
    return DataError(
        f"{path}: a run has 6 columns, this one {len(rows[0])}, such as {' '.join(rows[0])!r:.80}; {told}. Whether it "
        f"is a rank or a score decides the order: say it with data.run_columns (evaluate: --run-columns), "
        f"{_choices(before, [str(one) for one in behind])}{qrels}"
    )


def _choices(before: Sequence[str], behind: Sequence[str]) -> str:
    """What to write, the likelier first."""
    first = ["rank" if one == "ranks" else "score" for one in behind]
    if len(behind) == 2:
        return _listed([*before, *(first if len(set(first)) == 2 else ("rank", "score"))])
    other = "score" if first == ["rank"] else "rank"
    return f"{_listed([*before, *first])} or {_listed([*before, other])}"


def _listed(names: Sequence[str]) -> str:
    return f"[{', '.join(names)}]"


def _looks(kind: str) -> str:
    if kind == "ranks":
        return "looks like a rank (1, 2, 3 ... or 0, 1, 2 ... in each query)"
    return "looks like a score (its numbers are no ranks)"


def _kind(rows: Sequence[Sequence[str]], column: int) -> str | None:
    """`ranks` where each query has all from 0 or 1 on, `scores` where they are other numbers; None where they are none.

    The first line may be a header.
    """
    values: dict[str, list[float]] = defaultdict(list)
    for place, fields in enumerate(rows):
        try:
            value = float(fields[column])
        except ValueError:
            if place:
                return None
        else:
            values[fields[0]].append(value)
    are_ranks = values and all(
        sorted(some) in ([*range(len(some))], [*range(1, len(some) + 1)]) for some in values.values()
    )
    return ("ranks" if are_ranks else "scores") if values else None


def _fields(lines: Iterable[bytes]) -> Iterator[list[str]]:
    """By tabs where they make three columns or more, as ids may hold blanks; else by white space."""
    for content in lines:
        text = content.decode("utf-8", "replace").strip("\ufeff\r\n")
        by_tabs = [field.strip() for field in text.rstrip().split("\t")]
        fields = by_tabs if len(by_tabs) >= FEWEST else text.split()
        if fields and not text.startswith("#"):
            yield fields
