"""What a first stage's lists hold, counted: queries, candidates, and those of them that nothing can score."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from stages.core.errors import NothingLeftError
from stages.core.records import Candidates


@dataclass(slots=True)
class ListCounts:
    """Added up query by query, over each one's top `data.depth`.

    `candidates` are all of it, `pairs` those that have a text and a query that can be asked. `without_text` are the
    candidates of queries that can be asked which have none, `unaskable` the queries that cannot be; the first of each
    is named. `order_only` counts queries whose first stage gave no scores, `one_score` those of two candidates or more
    with one score throughout.
    """

    queries: int = 0
    candidates: int = 0
    pairs: int = 0
    without_text: int = 0
    unaskable: int = 0
    order_only: int = 0
    one_score: int = 0
    first_without_text: str | None = None
    first_unaskable: str | None = None

    def add(self, one: Candidates) -> None:
        self.queries += 1
        self.candidates += len(one.top)
        self.pairs += len(one.doc_ids)
        self.order_only += one.order_only
        self.one_score += len(one.scores) > 1 and len(set(one.scores)) == 1
        if not one.listed:
            return
        if not one.query:
            self.unaskable += 1
            self.first_unaskable = self.first_unaskable or one.query_id
            return
        self.without_text += len(one.listed) - len(one.doc_ids)
        if self.first_without_text is None:
            texted = set(one.doc_ids)
            self.first_without_text = next(doc_id for doc_id in one.listed if doc_id not in texted)

    def require_pairs(self) -> None:
        """Raises NothingLeftError where there is nothing to score."""
        if not self.queries:
            raise NothingLeftError("nothing left to rerank: there is no query, or each was set aside")
        if not self.pairs:
            raise NothingLeftError("nothing left to rerank: no candidate has a text and a query that can be asked")

    def remarks(self) -> Iterator[str]:
        """What a reader of the values must know, a sentence each without its full stop."""
        if self.without_text:
            yield (
                f"{self.without_text:,} of {self.candidates:,} candidates had no text, such as "
                f"{self.first_without_text!r:.60}: they stand behind those that were scored, in their old order"
            )
        if self.unaskable:
            yield (
                f"{self.unaskable:,} of {self.queries:,} queries could not be asked, such as "
                f"{self.first_unaskable!r:.60}: their lists stay as they were given"
            )
        if self.one_score:
            yield (
                f"{self.one_score:,} of {self.queries:,} first-stage lists have one score throughout: their order is "
                "by document id, as trec_eval's, and says nothing of relevance"
            )


def order_in_words(order_only: int, queries: int) -> str:
    """Of a first stage that gave so many queries no scores."""
    return f"the first stage gives {order_only:,} of {queries:,} queries an order and no scores"
