"""A cascade: each stage reranks the top of the list that the one before left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

from stages.core.identity import ScoringIdentity
from stages.core.order import ranking_keys
from stages.core.records import Candidates, Ranking

CASCADE = "cascade"
"""The family of several models, one after the other."""
ALIKE = ("scoring_version", "device", "dtype", "vllm", "transformers", "tokenizers", "backend")


def next_candidates(candidates: Candidates, ranking: Ranking, depth: int) -> Candidates:
    """What the next stage is asked: the top `depth` of the list that a stage made of its `candidates`; `scores` are
    what ranked them there, and fall by 1 for those that it did not score. The rest of the list is the tail.

    Raises ValueError where a text is missing: the list has other documents than the candidates, or `depth` reaches
    below what the stage was asked.
    """
    ordered, keys = ranking.ordered(), ranking_keys(ranking)
    top, asked = ordered[:depth], dict(zip(candidates.doc_ids, candidates.texts, strict=True))
    if ranking.query_id != candidates.query_id or not set(top) <= set(candidates.top):
        raise ValueError(f"the ranking of query {ranking.query_id!r} is not one of the candidates beside it")
    scored = [(doc_id, key) for doc_id, key in zip(top, keys, strict=False) if doc_id in asked]
    return replace(
        candidates,
        doc_ids=tuple(doc_id for doc_id, _ in scored),
        texts=tuple(asked[doc_id] for doc_id, _ in scored),
        scores=tuple(key for _, key in scored),
        listed=top if len(scored) < len(top) else (),
        tail=ordered[depth:],
        order_only=False,
    )


def cascade_name(models: Sequence[object]) -> str:
    """`MiniLM-L6 > bge-reranker`: what people call it, without the folders that the models lie in."""
    return " > ".join(str(name).rstrip("/").rpartition("/")[2] for name in models)


def cascade_identity(stages: Sequence[tuple[ScoringIdentity, int | None]]) -> ScoringIdentity:
    """What decides the lists of a cascade: that of each stage, and its depth (None: all). It keys no stored score."""
    told = [asdict(identity) for identity, _ in stages]
    shared = {name: told[0][name] for name in ALIKE if all(one[name] == told[0][name] for one in told)}
    settings = {
        f"stage {number}": f"{identity.model} ({identity.digest}), top {'all' if depth is None else depth}"
        for number, (identity, depth) in enumerate(stages, 1)
    }
    fields: Mapping[str, object] = {"template": None, "instruction": None, "max_length": 0, "scoring_version": 0}
    return ScoringIdentity(
        model=" > ".join(identity.model for identity, _ in stages),
        family=CASCADE,
        settings=settings,
        **(dict(fields) | shared),  # type: ignore[arg-type]
    )
