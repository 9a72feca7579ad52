"""The answers of queries as people's data has them -> texts, one tuple a query.

A text; a list of texts or numbers; SQuAD's `{"text": [..], "answer_start": [..]}`, or a list of such objects; and a
list written as text, in JSON or as Python prints it, as in CSV and in the files that DPR publishes.
"""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from numbers import Real

from stages.core.errors import DataError
from stages.core.prepare import Report, as_id, is_encodable
from stages.core.records import Answers, Location, SetAside
from stages.sources.columns import as_text
from stages.sources.lines import Record
from stages.sources.settings import ANSWERS
from stages.sources.text_keys import QUERIES
from stages.sources.texts import record_id


def answers_of(query_id: str, given: object, where: Location, set_aside: Report) -> Answers | None:
    """None where the query has none; one with what cannot be an answer is set aside, and not judged."""
    try:
        texts = tuple(dict.fromkeys(one.strip() for one in _texts(given) if one.strip()))
        if not all(map(is_encodable, texts)):
            raise ValueError("one cannot be encoded as UTF-8")
    except ValueError as error:
        set_aside(SetAside(where, f"answers: {error}", query_id))
        return None
    return Answers(texts, where) if texts else None


def query_answers(records: Iterable[Record], key: str, file: str, set_aside: Report) -> dict[str, Answers]:
    """Those that queries have under a key of theirs, or of their `metadata`, as BEIR has it. Of two records of one id
    the first one counts.

    Raises DataError where no record has the key.
    """
    found: dict[str, Answers] = {}
    met: set[str] = set()
    has_key, known = False, dict[str, None]()
    for record in records:
        fields = _beside_metadata(record.fields)
        has_key = has_key or key in fields
        known |= dict.fromkeys(fields) if not has_key else {}
        query_id = record_id(record, QUERIES, _reported_by_queries)
        if query_id is None or query_id in met:
            continue
        met.add(query_id)
        if (answers := answers_of(query_id, as_text(fields.get(key)), record.where, set_aside)) is not None:
            found[query_id] = answers
    if not has_key:
        raise DataError(f"data.columns: {file} has no {key!r} for {ANSWERS}; got {', '.join(known) or 'no key'}")
    if not found:
        raise none_given(file)
    return found


def none_given(where: str) -> DataError:
    return DataError(f"{where}: no query has an answer (data.columns.answers), so that none can be judged by answers")


def _texts(given: object) -> Iterator[str]:
    """Raises ValueError, with what was found instead."""
    given = as_text(given)
    if given is None:
        return
    if isinstance(given, str):
        listed = _listed(given)
        yield from (given,) if listed is None else map(str, listed)
    elif isinstance(given, Real | Decimal) and not isinstance(given, bool):
        if not math.isnan(given):  # which pandas has where there is none
            yield as_id(given) or str(given)
    elif isinstance(given, Mapping):
        if "text" not in given:
            keys = ", ".join(map(str, given)) or "nothing"
            raise ValueError(f"an object with {keys}: map what holds a text, or a list")
        yield from _texts(given["text"])
    elif isinstance(given, list | tuple):
        for one in given:
            if isinstance(one, list | tuple):
                raise ValueError("a list of lists: give one list for each query")
            yield from (one,) if isinstance(one, str) else _texts(one)
    else:
        raise ValueError(f"neither a text nor a list of texts but {type(given).__name__}")


def _listed(text: str) -> list[str | int | float] | None:
    """A list that was written as text; None for any other text, be it in brackets."""
    if not (text.lstrip().startswith("[") and text.rstrip().endswith("]")):
        return None
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(text.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(found, list) and all(isinstance(one, str | int | float) for one in found):
            return found
    return None


def _beside_metadata(fields: Mapping[str, object]) -> Mapping[str, object]:
    metadata = fields.get("metadata")
    return {**metadata, **fields} if isinstance(metadata, dict) else fields


def _reported_by_queries(_: SetAside) -> None:
    """Malformed queries are `queries`' to report, once."""
