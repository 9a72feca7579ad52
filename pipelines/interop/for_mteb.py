"""MTEB's CrossEncoder over our engine and store, or over a run: `mteb.evaluate(model, tasks)` reranks with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, groupby
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.interop.scores import Given, PairScores, Scored, scores_of
from stages.core.errors import DataError, NotInstalledError
from stages.core.records import Candidates

if TYPE_CHECKING:
    from mteb.models import ModelMeta

# What MTEB wants to be told, if only that nobody knows.
UNKNOWN = (
    *("loader", "release_date", "languages", "n_parameters", "memory_usage_mb", "embed_dim", "license", "open_weights"),
    *("public_training_code", "public_training_data", "similarity_fn_name", "use_instructions", "training_datasets"),
)
Batches = Iterable[Mapping[str, Sequence[Any]]]


def mteb_model(given: Given, *, quiet: bool = False) -> MtebModel:
    """A model for MTEB 2, of a config's engine and `rerank.store`, or of a finished run, found by the texts of pairs.

    Close it, or use it in `with`. A config needs no `data` that fits: MTEB says what is scored. Instructions are those
    of the config; what MTEB writes into a query's text is part of the query.
    Raises ConfigError and DataError for what cannot be used, NotInstalledError in a light install.
    """
    return MtebModel(scores_of(given, "texts", quiet=quiet))


class MtebModel(Scored):
    """MTEB's CrossEncoderProtocol."""

    def predict(self, inputs1: Batches, inputs2: Batches, **told: Any) -> NDArray[np.float64]:
        """A score for each pair of a query of `inputs1` and a document of `inputs2`, both batches with `text`.

        Raises DataError where a pair is no pair of texts, and as PairScores.
        """
        del told  # which task it is decides no score
        queries, documents = _texts(inputs1), _texts(inputs2)
        if len(queries) != len(documents):
            raise DataError(
                f"MTEB gave {len(queries)} queries for {len(documents)} documents: each pair has one of both"
            )
        scores = self.scores.score(list(_lists(queries, documents)))
        return np.asarray(list(chain.from_iterable(scores)), dtype=np.float64)

    @property
    def mteb_model_meta(self) -> ModelMeta:
        """What MTEB keeps results under: the revision differs where a score may."""
        return model_meta(self.scores)


def model_meta(scores: PairScores) -> ModelMeta:
    try:
        from mteb.models import ModelMeta
    except ModuleNotFoundError as error:
        raise NotInstalledError("pipelines.interop.mteb_model needs MTEB, version 2: pip install 'mteb>=2'") from error
    owner, _, name = scores.name.strip("/").rpartition("/")
    return ModelMeta(
        **dict.fromkeys(UNKNOWN),
        name=f"{owner.rpartition('/')[2] or 'rerank-eval'}/{name}",
        revision=scores.revision,
        max_tokens=scores.max_length,
        framework=[],
        model_type=["cross-encoder"],
    )


def _texts(batches: Batches) -> list[str]:
    """All texts, in order. Raises DataError where a batch has none: pictures and sound are not scored."""
    texts: list[str] = []
    for batch in batches:
        if "text" not in batch or not all(isinstance(text, str) for text in batch["text"]):
            raise DataError(
                f"MTEB gave {', '.join(map(str, batch))}, and no texts: only tasks over texts can be scored"
            )
        texts += batch["text"]
    return texts


def _lists(queries: Sequence[str], documents: Sequence[str]) -> Iterable[Candidates]:
    """Pairs with the same query, one after the other, are one list."""
    for query, pairs in groupby(zip(queries, documents, strict=True), key=lambda pair: pair[0]):
        texts = tuple(document for _, document in pairs)
        yield Candidates(
            query_id=query,
            query=query,
            doc_ids=tuple(map(str, range(len(texts)))),
            texts=texts,
            scores=tuple(-float(place) for place in range(1, len(texts) + 1)),
            order_only=True,
        )
