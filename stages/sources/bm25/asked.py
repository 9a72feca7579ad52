"""What BM25 is asked, and of what: the judged queries that have a text, and the texts of the corpus.

What is wrong with a collection is told where it is read to be reranked, not here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from stages.core.errors import NothingLeftError
from stages.core.prepare import is_encodable
from stages.core.records import SetAside
from stages.sources.answers import query_answers
from stages.sources.parts import Parts
from stages.sources.text_keys import DOCUMENTS
from stages.sources.texts import query_texts, record_id


def asked_queries(parts: Parts, answers: str | None) -> dict[str, str]:
    """The judged queries that can be asked, as the file of queries has them in order. `answers` is the key of the
    queries that they are judged by, where no qrels do.

    Raises NothingLeftError where there is none.
    """
    judged = _judged(parts, answers)
    found = query_texts(parts.queries.records(judged, _reported_elsewhere), judged, _reported_elsewhere)
    asked = {
        query_id: one.value
        for query_id, one in found.items()
        if isinstance(one.value, str) and one.value.strip() and is_encodable(query_id + one.value)
    }
    if not asked:
        raise NothingLeftError(
            f"{parts.queries} has no text of a query that has answers, so that BM25 cannot be asked"
            if answers
            else f"{parts.queries} has no text of a query that {parts.qrels} judges, so that BM25 cannot be asked. "
            "Give both of the same collection, with ids in the same form"
        )
    return asked


def _judged(parts: Parts, answers: str | None) -> Collection[str]:
    if answers is None:
        return parts.qrels.read(_reported_elsewhere).grades
    records = parts.queries.records(None, _reported_elsewhere)
    return query_answers(records, answers, str(parts.queries), _reported_elsewhere)


def corpus_texts(parts: Parts) -> Iterator[tuple[str, str | None]]:
    """Document id -> text; None where it has none that can be searched."""
    for record in parts.documents.records(None, _reported_elsewhere):
        doc_id = record_id(record, DOCUMENTS, _reported_elsewhere)
        if doc_id is None or not is_encodable(doc_id):
            continue
        try:
            text = DOCUMENTS.document(record.fields)
        except ValueError:  # two texts, of which nobody can say which is meant
            text = None
        yield doc_id, text if isinstance(text, str) and text.strip() and is_encodable(text) else None


def _reported_elsewhere(_: SetAside) -> None:
    pass
