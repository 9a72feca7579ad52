"""What of a query is judged: the pool, which is the top of every list; and which queries need no judgement at all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random

from stages.core.errors import ConfigError
from stages.quality.measures import parse_metric


def pool_depth(metric: str, wanted: int | None) -> int:
    """How deep the lists are judged: to the metric's cutoff, or deeper where that is `wanted`.

    Raises ConfigError for judged@k, for a metric without a cutoff and no depth, and for a depth above the cutoff: then
    what was not judged would count as not relevant.
    """
    parsed = parse_metric(metric)
    if parsed.measure == "judged":
        raise ConfigError(f"--metric {metric}: it measures the judgements, not the order; choose another, as ndcg@10")
    if not parsed.cutoff and wanted is None:
        raise ConfigError(
            f"--metric {metric} has no cutoff: whole lists would have to be judged: choose one that has, as ndcg@10, "
            f"or say with --pool how deep to judge; what is below counts as not relevant"
        )
    if wanted is not None and wanted < parsed.cutoff:
        raise ConfigError(
            f"--pool {wanted}: {metric} looks at the first {parsed.cutoff}, and what is not judged would count as not "
            f"relevant; give {parsed.cutoff} or more, or none"
        )
    return wanted or parsed.cutoff


def pooled(lists: Iterable[Sequence[str]], depth: int, seed: int, query_id: str) -> list[str]:
    """The documents among the first `depth` of any list, once each, in an order that tells nothing of the lists: at
    random, the same for one seed and query.
    """
    documents = sorted({doc_id for one in lists for doc_id in one[:depth]})
    Random(f"{seed}\n{query_id}").shuffle(documents)
    return documents


def seen_by(metric: str, ranking: Sequence[str]) -> Sequence[str]:
    """What of a ranking the metric looks at. Where that is the same in two rankings the metric is, whatever anybody
    judges: such a query has no change, and needs no judgement.
    """
    return ranking[: parse_metric(metric).cutoff or None]


def is_bounded(metric: str) -> bool:
    """Whether no query's value, and so no change, can be larger than 1."""
    return parse_metric(metric).measure not in ("dcg", "dcg_burges", "hits")
