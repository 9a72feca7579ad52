"""The user's slices of the queries (`evaluate.slices`): read from the config, and found among the candidates."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

import pyarrow.parquet as pq

from pipelines.base.sections import SliceSettings
from pipelines.runs.folder import RunFolder
from stages.analysis.groups import GroupedQuery, Slicing, group_queries
from stages.core.errors import ConfigError


def slicings(settings: Mapping[str, SliceSettings]) -> dict[str, Slicing]:
    """Raises ConfigError for a list of ids that cannot be read, or is empty."""
    return {name: _slicing(name, one) for name, one in settings.items()}


def grouped(
    folder: RunFolder,
    settings: Mapping[str, SliceSettings],
    judged: Collection[str],
    tell: Callable[[str], None] | None = None,
) -> dict[str, dict[str, str]]:
    """Name -> query id -> group, of the folder's candidates. Tells and raises as both, `slicings` and
    `group_queries`.
    """
    return group_queries(_queries(folder), slicings(settings), judged, tell) if settings else {}


def _slicing(name: str, settings: SliceSettings) -> Slicing:
    if settings.ids is None:
        unit = "characters" if settings.characters else "words"
        return Slicing(settings.field, settings.values, settings.words or settings.characters, unit)
    try:
        lines = Path(settings.ids).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeError) as error:
        raise ConfigError(
            f"evaluate.slices.{name}: {settings.ids} cannot be read ({error}). Give a file, an id a line"
        ) from error
    ids = frozenset(stripped for line in lines if (stripped := line.strip()))
    if not ids:
        raise ConfigError(f"evaluate.slices.{name}: {settings.ids} holds no id. Write one a line")
    return Slicing(ids=ids, source=settings.ids)


def _queries(folder: RunFolder) -> Iterator[GroupedQuery]:
    for file in sorted(folder.texts.glob("part-*.parquet")):
        for row in pq.read_table(file, columns=["query_id", "query", "attributes"], partitioning=None).to_pylist():
            yield GroupedQuery(row["query_id"], row["query"], dict(row["attributes"]))
