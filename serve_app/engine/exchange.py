"""The vectors that come with a batch of queries, and those that go back with its scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from serve_app.engine.prompts import Prompt
from serve_app.engine.vectors import Vector, vector_key
from stages.core.vectors import Floats, VectorRows, Vectors, vector_rows


class Exchange:
    """Of one batch. `given` are the vectors that came with it, by their prompts' keys; `wanted`: whoever sent them
    keeps those of the other documents.
    """

    def __init__(self, given: Mapping[bytes, Floats], *, wanted: bool) -> None:
        self.given, self.wanted = given, wanted
        self._found: dict[str, Vectors] = {}

    def note(self, documents: Sequence[str], prompts: Sequence[Prompt], vectors: Sequence[Vector | str]) -> None:
        """What the documents of a query were compared by; the first prompt is the query's."""
        if not self.wanted:
            return
        read: list[list[tuple[Prompt, Vector | str]]] = []
        for prompt, vector in zip(prompts[1:], vectors[1:], strict=True):
            if not prompt.passage:
                read.append([])
            read[-1].append((prompt, vector))
        for text, passages in zip(documents, read, strict=True):
            if text not in self._found and (kept := _whole(passages)) and not kept.keys() <= self.given.keys():
                self._found[text] = kept

    def back(self, texts: Sequence[str]) -> VectorRows:
        """The vectors of those of these texts that did not come with the batch."""
        return vector_rows({place: self._found[text] for place, text in enumerate(texts) if text in self._found})


def _whole(passages: Sequence[tuple[Prompt, Vector | str]]) -> Vectors:
    """Nothing of a document of which one failed."""
    found = {vector_key(prompt): vector.values for prompt, vector in passages if isinstance(vector, Vector)}
    good = len(found) == len({vector_key(prompt) for prompt, _ in passages})
    return found if good and all(np.isfinite(values).all() for values in found.values()) else {}
