"""What cutting costs: documents that were read in passages, against the same ones with what cutting had given them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stages.analysis.outcome import QueryOutcome
from stages.core.order import trec_positions
from stages.core.records import Judgements
from stages.quality.comparison import Tested, compare_systems
from stages.quality.evaluate import evaluate
from stages.quality.significance import CONFIDENCE


@dataclass(frozen=True, slots=True)
class CutAndRead:
    """Over the `queries` that are judged and have a document that was read in passages: how the run's lists differ
    from those that cutting its `documents` had given. `passages` are what these were read in, together; `better` how
    many of the documents have a passage that scores more than their beginning.
    """

    queries: int
    documents: int
    passages: int
    better: int
    tested: tuple[Tested, ...]


def cut_and_read(
    outcomes: Sequence[QueryOutcome],
    judgements: Judgements,
    metrics: Sequence[str],
    *,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> CutAndRead | None:
    """None where no judged query has a document that was read in passages."""
    affected = [one for one in outcomes if one.in_passages and one.query_id in judgements.grades]
    if not affected:
        return None
    judged = judgements.of(one.query_id for one in affected)
    cut = evaluate({one.query_id: one.listed(_cut_order(one)) for one in affected}, judged, metrics)
    read = evaluate({one.query_id: one.listed(one.order.tolist()) for one in affected}, judged, metrics)
    several = [one.passages > 1 for one in affected]
    return CutAndRead(
        queries=len(affected),
        documents=sum(int(mask.sum()) for mask in several),
        passages=sum(int(one.passages[mask].sum()) for one, mask in zip(affected, several, strict=True)),
        better=sum(int((one.keys > one.cut_keys)[mask].sum()) for one, mask in zip(affected, several, strict=True)),
        tested=tuple(compare_systems(cut, {"passages": read}, metrics, seed=seed, confidence=confidence)),
    )


def _cut_order(outcome: QueryOutcome) -> list[int]:
    """As `rerank.rank` had ordered the documents that got a score."""
    scored = np.flatnonzero(np.isfinite(outcome.keys))
    ids = [outcome.doc_ids[place] for place in scored]
    return [int(scored[place]) for place in trec_positions(ids, outcome.cut_keys[scored].tolist())]
