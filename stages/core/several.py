"""Several first stages over the same queries: their candidates become one list to score, whose ranking is split again.

A pair that several of them retrieved is scored once; what it cost stands with the one list.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from stages.core.prepare import Report, prepare
from stages.core.records import Candidates, Ranking, RawQuery, SetAside


def prepare_lists(
    lists: Iterable[Mapping[str, RawQuery]], depth: int | None, set_aside: Report
) -> Iterator[dict[str, Candidates]]:
    """`prepare` for each first stage's list of each query, under the same names, without lists that come to nothing.

    A query comes once in `lists`, as `Source.query_lists` gives it. A fault that several of its lists share, such as a
    document without text, is reported once.
    """
    for of_query in lists:
        faults: list[SetAside] = []
        prepared = {name: prepare(raw, depth, faults.append) for name, raw in of_query.items()}
        for fault in dict.fromkeys(faults):
            set_aside(fault)
        kept = {name: candidates for name, candidates in prepared.items() if candidates is not None}
        if kept:
            yield kept


def merge(lists: Mapping[str, Candidates]) -> Candidates:
    """The candidates of one query's lists, each document once, by first appearance; scores are -1, -2, ... by position.

    The tail is empty: what no first stage has in its top `data.depth` is not scored. `lists` holds at least one.
    """
    listed = tuple(dict.fromkeys(doc_id for candidates in lists.values() for doc_id in candidates.top))
    first = next(iter(lists.values()))
    texts: dict[str, str] = {}
    for candidates in lists.values():
        for doc_id, text in zip(candidates.doc_ids, candidates.texts, strict=True):
            texts.setdefault(doc_id, text)
    return Candidates(
        query_id=first.query_id,
        query=first.query,
        doc_ids=tuple(texts),
        texts=tuple(texts.values()),
        scores=tuple(-float(position) for position in range(1, len(texts) + 1)),
        instruction=first.instruction,
        attributes=first.attributes,
        listed=listed if len(listed) > len(texts) else (),
    )


def split(ranking: Ranking, candidates: Candidates) -> Ranking:
    """The part of a merged list's ranking that belongs to one of its lists, with that list's tail.

    It is what `rank` makes of the list's own scores, but tokens, cut documents, store hits and reused vectors are 0:
    the cost of a pair stands with the merged ranking, where it counts once. Raises ValueError where `candidates` were
    not merged into it.
    """
    own = frozenset(candidates.doc_ids)
    places = [place for place, doc_id in enumerate(ranking.doc_ids) if doc_id in own]
    in_passages = places if any(ranking.passages[place] > 1 for place in places if ranking.passages) else []
    failed = {doc_id: ranking.failed[doc_id] for doc_id in candidates.doc_ids if doc_id in ranking.failed}
    scored = {ranking.doc_ids[place] for place in places}
    unscored = tuple(doc_id for doc_id in candidates.top if doc_id not in scored)
    if ranking.query_id != candidates.query_id or len(places) + len(failed) != len(own):
        raise ValueError(f"the ranking of query {ranking.query_id!r} lacks candidates of {candidates.query_id!r}")
    return Ranking(
        query_id=ranking.query_id,
        doc_ids=tuple(ranking.doc_ids[place] for place in places),
        scores=tuple(ranking.scores[place] for place in places),
        logits=tuple(ranking.logits[place] for place in places),
        tail=unscored + candidates.tail,
        failed=failed,
        passages=tuple(ranking.passages[place] for place in in_passages),
        cut_scores=tuple(ranking.cut_scores[place] for place in in_passages),
        cut_logits=tuple(ranking.cut_logits[place] for place in in_passages),
        unscored=len(unscored),
        pair_tokens=tuple(ranking.pair_tokens[place] for place in places if ranking.pair_tokens),
    )
