"""The settings `data.bm25`, and what a BM25 of theirs is called."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

# Those of PyStemmer 3, which follows Snowball.
Language = Literal[
    "arabic",
    "armenian",
    "basque",
    "catalan",
    "danish",
    "dutch",
    "english",
    "finnish",
    "french",
    "german",
    "greek",
    "hindi",
    "hungarian",
    "indonesian",
    "irish",
    "italian",
    "lithuanian",
    "nepali",
    "norwegian",
    "porter",
    "portuguese",
    "romanian",
    "russian",
    "serbian",
    "spanish",
    "swedish",
    "tamil",
    "turkish",
    "yiddish",
]


class Bm25Settings(BaseModel):
    """The first stage that `data.first_stage: bm25` makes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    k1: float = Field(
        default=0.9,
        ge=0,
        allow_inf_nan=False,
        description="How soon further occurrences of a word count less. 0.9 and 0.4 are Anserini's, by which BEIR's "
        "BM25 was published.",
    )
    b: float = Field(default=0.4, ge=0, le=1, description="How much long documents are counted down: 0 not at all.")
    method: Literal["lucene", "robertson", "atire"] = Field(
        default="lucene", description="The formula, by its name in bm25s."
    )
    language: Language | None = Field(
        default="english",
        description="Whose endings (PyStemmer) and stop words (bm25s, where it has some) are taken off the words. "
        "null: words stay as they are. Scripts without blanks between words give pairs of characters in any case.",
    )
    top: int | None = Field(
        default=None,
        gt=0,
        description="How many documents of each query are retrieved; of these `data.depth` are reranked, and the rest "
        "follow. null: `data.depth`.",
    )
    folder: str | None = Field(
        default=None,
        min_length=1,
        description="Where indexes are kept for later runs. null: rerank-eval/bm25 in XDG_CACHE_HOME, or in ~/.cache.",
    )
