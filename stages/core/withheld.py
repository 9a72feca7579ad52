"""What stands for texts where they are not to be told: digests, and reasons without what they quote."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from stages.core.records import Ranking, SetAside

DIGEST_DIGITS = 32
# A value of a query's further columns that names a group (`zh`, `web-search`, `2024-01`), and tells no text.
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]{0,31}")
QUERIES_PER_LABEL = 2
NO_NUMBER = ("judgement is not", "score is not", "relevance is not")
_QUOTED = re.compile(r"""'[^']*'|"[^"]*\"""")


def text_digest(text: str) -> str:
    """32 hex digits of a text's SHA-256: the same text has the same. Who has the text can tell that it is this one."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:DIGEST_DIGITS]


def without_quotes(reason: str) -> str:
    """What went wrong, without the value that it went wrong with: our reasons have that in quotes, or behind `: `."""
    first = (reason.splitlines() or [""])[0]
    return _QUOTED.sub("…", first.partition(": ")[0])


def told_row(row: SetAside) -> SetAside:
    """A row that was set aside. Where a number is none, the line may be any text, and what stands for its ids, too."""
    told = replace(row, reason=without_quotes(row.reason))
    return replace(told, query_id=None, doc_id=None) if told.reason.startswith(NO_NUMBER) else told


def told_ranking(ranking: Ranking) -> Ranking:
    return replace(ranking, failed={doc_id: without_quotes(reason) for doc_id, reason in ranking.failed.items()})


def label_columns(attributes: Iterable[Mapping[str, str]]) -> frozenset[str]:
    """Those of the queries' further columns whose values name groups: short words of ASCII, each of two queries or
    more on average. The others may hold texts: a title, a narrative, the query in another language.
    """
    values: dict[str, set[str]] = {}
    counts: dict[str, int] = {}
    others: set[str] = set()
    for of_query in attributes:
        for name, value in of_query.items():
            if name in others:
                continue
            if not _LABEL.fullmatch(value):
                others.add(name)
                continue
            values.setdefault(name, set()).add(value)
            counts[name] = counts.get(name, 0) + 1
    return frozenset(
        name for name, found in values.items() if name not in others and len(found) * QUERIES_PER_LABEL <= counts[name]
    )
