"""Hop 1: the user's data -> RawQuery and Judgements. `open_source` is the way in: `collection` joins runs with a
corpus, `rows` takes what carries its own texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from stages.core.errors import DataError
from stages.core.first_stage import MadeFirstStage
from stages.core.meeting import Meeting
from stages.core.prepare import Report
from stages.core.records import Answers, Judgements, RawQuery
from stages.sources.bm25.first_stage import with_bm25
from stages.sources.collection import CollectionSource
from stages.sources.formats.irds import irds_parts
from stages.sources.formats.msmarco import msmarco_parts
from stages.sources.formats.mteb_configs import mteb_parts
from stages.sources.formats.shapes import SHAPED, open_shaped
from stages.sources.formats.tables import open_rows
from stages.sources.given import file_parts
from stages.sources.hub import is_hub_name, open_hub
from stages.sources.parts import Parts
from stages.sources.row_files import open_files
from stages.sources.rows import RowSource
from stages.sources.settings import FIRST_STAGE, DataSettings

__all__ = ["FIRST_STAGE", "DataSettings", "Source", "open_source"]


class Source(Protocol):
    """A test collection with one or several first stages. Methods read afresh, stream where they can, may be repeated.

    What they cannot use goes to `set_aside` with file, line and reason; a file that cannot be read raises DataError.
    """

    @property
    def name(self) -> str:
        """The data set's name, for tags and titles."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its first stages: those of `data.runs`, or FIRST_STAGE alone."""
        ...

    @property
    def made(self) -> Mapping[str, MadeFirstStage]:
        """Those of them that were made here; they are, if they were not yet."""
        ...

    def queries(self, set_aside: Report) -> Iterator[RawQuery]:
        """One query with its candidates at a time, at most `data.limit` of them; with several first stages one query
        comes once for each, in a row.
        """
        ...

    def query_lists(self, set_aside: Report) -> Iterator[Mapping[str, RawQuery]]:
        """One query at a time, with the list of each first stage that retrieved something for it, in order of `names`.

        Queries come by first appearance, over the first stages in that order; `data.limit` counts them over all.
        """
        ...

    def answers(self, set_aside: Report) -> Mapping[str, Answers] | None:
        """The answers to judge by, of those queries that have some; with `data.limit`, of the limited ones alone. None
        where qrels judge. Raises DataError where no query has an answer, and where both judge and none was chosen.
        """
        ...

    def judgements(self, set_aside: Report) -> Judgements:
        """The qrels, empty where answers judge; with `data.limit`, those of the limited queries alone. Raises DataError
        for a fractional grade.
        """
        ...

    def meetings(self) -> Mapping[str, Meeting]:
        """How far each first stage and the judgements are about the same, whatever `data.limit` leaves; empty where
        nothing is judged.

        Raises DataError, with an id of each side, where one has no query in common with the judgements, and where their
        documents have other ids.
        """
        ...


def open_source(settings: DataSettings) -> Source:
    """The source that `settings` describe. Raises DataError where a file or a column it needs is not there."""
    if (parts := _parts(settings)) is not None:
        return CollectionSource(with_bm25(parts, settings), settings)
    if settings.first_stage is not None:
        raise DataError(f"data.first_stage: {settings.path} has rows with documents of their own; remove it")
    if settings.run is not None or settings.runs is not None:
        raise DataError(f"data.run: {settings.path} has rows with documents of their own; remove it")
    if settings.format == "huggingface" or (settings.format == "mteb" and is_hub_name(settings.path)):
        return RowSource(open_hub(settings), settings)
    if settings.format in SHAPED:
        return RowSource(open_shaped(settings), settings.model_copy(update={"columns": {}}))
    if settings.format in ("json", "csv"):
        return RowSource(open_rows(settings), settings)
    return RowSource(open_files(settings), settings)


def _parts(settings: DataSettings) -> Parts | None:
    """Those of a collection; None where rows carry their own texts."""
    if settings.format in ("beir", "trec"):
        return file_parts(settings)
    if settings.format == "msmarco":
        return msmarco_parts(settings)
    if settings.format == "ir_datasets":
        return irds_parts(settings)
    return mteb_parts(settings) if settings.format == "mteb" else None
