"""Our column names, found in rows and in the documents within them, which may call them otherwise."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from stages.sources.settings import ALIASES, ANSWERS, COLUMNS, DOCUMENT_COLUMNS, ROW_IDS


class MalformedRowError(Exception):
    """The row cannot be told what it holds: it is set aside. Never leaves the layouts."""


class Columns:
    """A name that `mapping` gives, else ours, else the aliases of ours that are there.

    A row is a query where it has `documents`: then ROW_IDS are the query's. Otherwise it is a pair, and they are its
    document's, if the query has an id of its own. A name that says whose it is goes before them.
    """

    def __init__(self, mapping: Mapping[str, str], present: Collection[str]) -> None:
        taken = frozenset(mapping.values())
        self._names = {
            ours: (mapping[ours],)
            if ours in mapping
            else (ours, *(name for name in ALIASES.get(ours, ()) if name not in taken))
            for ours in COLUMNS
        }
        self._present = frozenset(present)
        self._row_is_query = self._names["documents"][0] in self._present
        self._theirs = {ours: self._of_rows(ours) for ours in COLUMNS}
        # Rows of several writers, one file after the other, need not agree on names.
        self._others = {ours: self._aliases(ours) for ours in COLUMNS}
        # Answers stay a field of their query, too: `export` has one of them as its reference.
        self._known = frozenset().union(*(theirs for ours, theirs in self._theirs.items() if ours != ANSWERS))
        self._has_answers = ANSWERS in mapping
        self._aliased = frozenset().union(*self._others.values())

    def has(self, ours: str) -> bool:
        return not self._present.isdisjoint(self._theirs[ours])

    def names(self, ours: str) -> tuple[str, ...]:
        """Every name under which it is looked for."""
        return self._names[ours]

    def get(self, fields: Mapping[str, object], ours: str) -> object:
        """The value under our name in a row, None where the row has none.

        Raises MalformedRowError where several columns could be meant.
        """
        names = self._in_row(fields, ours)
        return as_text(fields.get(names[0])) if len(names) == 1 else _the_one(fields, names, ours)

    def answers(self, fields: Mapping[str, object]) -> object:
        """A row's answers, where the mapping names their column; None elsewhere."""
        return self.get(fields, ANSWERS) if self._has_answers else None

    def within(self, document: Mapping[str, object], ours: str) -> object:
        """The same in an object of `documents`. Arrow gives each the keys of all, so another name may hold it.

        A text that is null is none, though: what stands under other names beside it may be anything.
        """
        own, *others = self._names[ours]
        value = document.get(own)
        if value is None and others and not (ours == "text" and own in document):
            return _the_one(document, others, ours)
        return as_text(value)

    def attributes(self, fields: Mapping[str, object]) -> dict[str, str]:
        """The strings under names that are not ours, such as a query's language."""
        return {
            name: value
            for name, value in fields.items()
            if name not in self._known and isinstance(value, str) and not self._is_read(fields, name)
        }

    def _is_read(self, fields: Mapping[str, object], name: str) -> bool:
        """Whether a name that the table does not read is one of this row."""
        return name in self._aliased and any(name in self._in_row(fields, ours) for ours in COLUMNS)

    def _in_row(self, fields: Mapping[str, object], ours: str) -> tuple[str, ...]:
        """The table's names, unless the row has none of them and has others of ours."""
        names = self._theirs[ours]
        if names[0] in fields or not self._others[ours] or not fields.keys().isdisjoint(names):
            return names
        found = [name for name in self._others[ours] if name in fields]
        return tuple([name for name in found if name not in ROW_IDS] or found or names)

    def _of_rows(self, ours: str) -> tuple[str, ...]:
        own = self._names[ours][0]
        if own in self._present:
            return (own,)
        found = [name for name in self._aliases(ours) if name in self._present]
        return tuple([name for name in found if name not in ROW_IDS] or found or [own])

    def _aliases(self, ours: str) -> tuple[str, ...]:
        if self._row_is_query and ours in DOCUMENT_COLUMNS:
            return ()
        return tuple(name for name in self._names[ours][1:] if self._may_name(name, ours))

    def _may_name(self, name: str, ours: str) -> bool:
        if name not in ROW_IDS:
            return True
        return self._row_is_query or (ours == "doc_id" and self._has_own_query_id())

    def _has_own_query_id(self) -> bool:
        return not self._present.isdisjoint(name for name in self._names["query_id"] if name not in ROW_IDS)


def as_text(value: object) -> object:
    """Bytes that are UTF-8 as the text they are: old writers of Parquet do not declare it. Anything else as it is."""
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value


def _the_one(fields: Mapping[str, object], names: Sequence[str], ours: str) -> object:
    found = [name for name in names if fields.get(name) is not None]
    if len(found) > 1 and any(fields[name] != fields[found[0]] for name in found):
        raise MalformedRowError(f"several could be {ours}, map one under data.columns: {', '.join(found)}")
    return as_text(fields[found[0]]) if found else None
