"""What a run would take of the user's data, and what it would leave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from stages.core.prepare import prepare_all
from stages.core.records import Candidates, SetAside
from stages.sources import DataSettings, open_source


class Taken(NamedTuple):
    candidates: dict[str, Candidates]
    grades: Mapping[str, Mapping[str, int]]
    set_aside: list[SetAside]
    remarks: list[str]

    def lists(self) -> dict[str, list[str]]:
        return {query_id: list(one.doc_ids) for query_id, one in self.candidates.items()}

    def texts(self) -> dict[str, str]:
        """Of all documents, by id."""
        return {
            doc_id: text
            for one in self.candidates.values()
            for doc_id, text in zip(one.doc_ids, one.texts, strict=True)
        }

    def reasons(self) -> list[tuple[int, str]]:
        return [(row.where.line, row.reason) for row in self.set_aside]


def taken(**given: object) -> Taken:
    """By these settings of `data`."""
    settings = DataSettings.model_validate(given)
    source, aside = open_source(settings), list[SetAside]()
    judgements = source.judgements(aside.append)
    candidates = {one.query_id: one for one in prepare_all(source.queries(aside.append), settings.depth, aside.append)}
    remarks = [told for meeting in source.meetings().values() for told in meeting.remarks()]
    return Taken(candidates, judgements.grades, aside, remarks)
