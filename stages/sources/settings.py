"""The `data` section of the run config."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from stages.sources.bm25.settings import Bm25Settings
from stages.sources.format_keys import EVERYWHERE, NEEDED, TAKEN, Format
from stages.sources.run_columns import RunColumns

# Why a document is set aside where `drop_self` asks for that.
OWN_DOCUMENT = "the query's own document (data.drop_self)"
FIRST_STAGE = "first_stage"  # what the only first stage is called where `data.runs` names none
BM25 = "bm25"  # what the one that is made here is called beside others
RUN_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")  # results of each go to a folder of its name

# The columns of row formats, by our names.
QUERY_COLUMNS = ("query_id", "query", "instruction")
DOCUMENT_COLUMNS = ("doc_id", "title", "text", "score", "relevance")
LIST_COLUMNS = ("documents", "doc_ids", "scores", "relevances")
MTEB_COLUMNS = ("positive", "negative")
ANSWERS = "answers"  # judged by these where `data.columns` names them; else a column of that name is as any other
# Where there are two kinds of judgements, which are never mixed.
CHOOSE = "choose one with data.judgements: answers, or qrels"
TEXT_COLUMNS = (*QUERY_COLUMNS, "doc_id", "title", "text")  # of them those that files of queries and documents have
DUMPED_COLUMNS = ("query_id", "query", "documents", "doc_id")  # where tools keep the rest of their dumps is known
COLUMNS = (*QUERY_COLUMNS, *DOCUMENT_COLUMNS, *LIST_COLUMNS, *MTEB_COLUMNS, ANSWERS)
# Per format the columns that can be mapped; elsewhere all.
MAPPED_IN: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("beir", "trec"), (*TEXT_COLUMNS, ANSWERS)),
    "mteb": tuple(name for name in COLUMNS if name != ANSWERS),
    **dict.fromkeys(("langchain", "llamaindex", "haystack"), DUMPED_COLUMNS),
}
# What a column may also be called without being mapped, where ours is not there.
ROW_IDS = ("_id", "id")  # of a document, of a row per query, or of a row per pair: what they name depends on the layout
ALIASES: dict[str, tuple[str, ...]] = {
    "query_id": ("qid", *ROW_IDS),
    "doc_id": ("docid", "docno", "pid", *ROW_IDS),
    "text": ("contents", "content", "body", "passage", "segment"),
    "relevance": ("label",),
    "relevances": ("labels",),
}


class DataSettings(BaseModel):
    """Which queries, candidates and judgements to work on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Format = Field(description="How the data is laid out.")
    path: str | None = Field(
        default=None,
        min_length=1,
        description="beir, msmarco: the collection's folder. Row formats: a file, a folder or a glob pattern. "
        "huggingface, mteb and what other tools write (docs/data.md): a data set's name on the Hub, or a folder that "
        "save_to_disk made. ir_datasets: an id such as beir/scifact/test.",
    )
    split: str = Field(
        default="test",
        description="beir: the judgements in qrels/SPLIT.tsv. msmarco: the files of that name, such as dev.small. "
        "huggingface, mteb: the data set's split. msmarco, mteb: where there is but one, that one.",
    )
    run: Path | None = Field(
        default=None,
        description="beir, trec: the first stage, as a TREC run file, or JSON as ranx and mteb write it. Others: "
        "instead of the collection's own.",
    )
    runs: dict[str, Path] | None = Field(
        default=None,
        min_length=1,
        description="As `run`, several first stages over the same queries: name -> run file, instead of `run`. "
        "What they share is scored once; each is evaluated by itself.",
    )
    first_stage: Literal["bm25"] | None = Field(
        default=None,
        description="beir, trec, msmarco, mteb, ir_datasets: bm25 makes a first stage of the corpus for the judged "
        "queries, `depth` documents each, instead of `run`; beside `runs` it is one of several, called bm25.",
    )
    bm25: Bm25Settings = Field(default=Bm25Settings(), description="Of `first_stage: bm25`.")
    run_columns: tuple[str, ...] | None = Field(
        default=None,
        description="What the columns of runs are that do not have TREC's six, such as [query_id, doc_id, "
        "rank]. Names are query_id, doc_id, score, rank, and _ for what does not count. A score counts before a rank; "
        "without either the lines are in order.",
    )
    qrels: Path | None = Field(
        default=None,
        description="Judgements, as TREC qrels (4 columns), BEIR's TSV (3 columns) or JSON of ranx. beir: instead of "
        "qrels/SPLIT.tsv. Row formats: instead of the relevance column. Others: instead of the collection's own.",
    )
    queries: Path | None = Field(
        default=None, description="trec: query texts, .jsonl, .json or .tsv. beir, msmarco: instead of the folder's."
    )
    documents: Path | None = Field(
        default=None, description="trec: document texts, .jsonl or .tsv. beir, msmarco: instead of the folder's."
    )
    columns: dict[str, str] = Field(
        default_factory=dict,
        description=f"Our column's name -> the data's own. Ours are {', '.join(COLUMNS)}. beir, trec: the keys of "
        f"queries and documents, of {', '.join((*TEXT_COLUMNS, ANSWERS))}. `answers` is a text or a list for "
        "each query: a document that contains one is relevant (section `answers`).",
    )
    subset: str | None = Field(
        default=None,
        description="huggingface: the data set's configuration. mteb: what stands before -corpus, -queries and -qrels.",
    )
    revision: str | None = Field(default=None, description="huggingface, mteb: the commit, tag or branch on the Hub.")
    depth: int | None = Field(
        default=100, gt=0, description="How many documents of each query are reranked; the rest follow. null: all."
    )
    limit: int | None = Field(default=None, gt=0, description="Only the first so many queries, for a quick try.")
    judgements: Literal["qrels", "answers"] | None = Field(
        default=None,
        description="By which to judge where there are both qrels (or a relevance column) and `columns.answers`: they "
        "are never mixed. null: by what there is; where there are both, that is refused.",
    )
    drop_self: bool = Field(
        default=False,
        description="Whether a document whose id is its query's own is taken out of the first stage's list before it "
        "is cut and measured, as BEIR's own evaluation does and trec_eval does not.",
    )

    @model_validator(mode="after")
    def _has_what_its_format_needs(self) -> Self:
        needed = NEEDED[self.format]
        given = {name for name in needed if getattr(self, name) is not None} | (
            {"run"} if self.runs or self.first_stage else set()
        )
        missing = [name for name in needed if name not in given and not (name == "qrels" and self.by_answers)]
        if missing:
            several = " (nor data.runs, for several); data.first_stage: bm25 makes one" if "run" in missing else ""
            raise ValueError(
                f"data.format {self.format} needs {_listed(needed)}; {_listed(missing)} not given{several}"
            )
        return self

    @model_validator(mode="after")
    def _names_its_runs(self) -> Self:
        if self.run is not None and self.runs is not None:
            raise ValueError("data.run and data.runs are both given; keep data.run for one first stage, else data.runs")
        for name in self.runs or ():
            if not RUN_NAME.fullmatch(name):
                raise ValueError(
                    f"data.runs: {name!r:.80} cannot name a folder; use up to 64 of A-Z a-z 0-9 . _ -, no dot first"
                )
        return self

    @model_validator(mode="after")
    def _makes_a_first_stage(self) -> Self:
        if self.first_stage is None:
            if self.bm25 != Bm25Settings():
                raise ValueError("data.bm25 is about data.first_stage: bm25; set that, or remove it")
            return self
        if self.run is not None:
            raise ValueError(
                "data.run and data.first_stage are both given; keep one of them, or give the run as data.runs: {NAME: "
                "FILE}, beside which the other is one of several"
            )
        if BM25 in (self.runs or ()):
            raise ValueError("data.runs: bm25 is the name of the one that data.first_stage makes; call yours another")
        if (top := self.bm25.top or self.depth) is None or top < (self.depth or 0):
            raise ValueError("data.first_stage needs data.depth, and data.bm25.top at least as large: what to retrieve")
        return self

    @model_validator(mode="after")
    def _has_nothing_its_format_ignores(self) -> Self:
        taken = NEEDED[self.format] + TAKEN[self.format] + EVERYWHERE
        fields = type(self).model_fields
        defaults = {name: field.get_default(call_default_factory=True) for name, field in fields.items()}
        ignored = [name for name in fields if name not in taken and getattr(self, name) != defaults[name]]
        if ignored:
            raise ValueError(f"data.format {self.format} does not use {_listed(ignored)}; remove it")
        return self

    @model_validator(mode="after")
    def _maps_known_columns(self) -> Self:
        known = MAPPED_IN.get(self.format, COLUMNS)
        unknown = sorted(set(self.columns) - set(known))
        if unknown:
            raise ValueError(f"data.columns: unknown {', '.join(unknown)}. Choose from: {', '.join(known)}")
        return self

    @model_validator(mode="after")
    def _is_judged_by_one_kind(self) -> Self:
        if self.judgements == "answers" and ANSWERS not in self.columns:
            raise ValueError("data.judgements: answers needs their column: data.columns: {answers: ITS_NAME}")
        if ANSWERS in self.columns and self.qrels is not None and self.judgements is None:
            raise ValueError(f"data.qrels and data.columns.answers are both given: {CHOOSE}")
        return self

    @model_validator(mode="after")
    def _names_the_columns_of_a_run(self) -> Self:
        if self.run_columns is not None:
            try:
                RunColumns.named(self.run_columns)
            except ValueError as error:
                raise ValueError(f"data.run_columns: {error}") from error
        return self

    @property
    def by_answers(self) -> bool:
        """Whether documents are judged by the answers that they contain, and not by qrels."""
        return ANSWERS in self.columns and self.judgements != "qrels"


def _listed(names: tuple[str, ...] | list[str]) -> str:
    *most, last = [f"data.{name}" for name in names]
    return f"{', '.join(most)} and {last}" if most else last
