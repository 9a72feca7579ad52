"""Hugging Face data sets, from the Hub or a save_to_disk folder. `datasets` is imported on first use: it is slow."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from stages.core.errors import DataError, first_line
from stages.core.prepare import Report
from stages.sources.arrow_values import never_rows
from stages.sources.lines import JSON_ENDINGS, Record, ending
from stages.sources.row_files import PARQUET_ENDINGS, ROWS_PER_BATCH, RowTable, batch_records, names_of
from stages.sources.settings import DataSettings

if TYPE_CHECKING:
    from datasets import Dataset

SAVED_BY_DATASETS = ("dataset_info.json", "dataset_dict.json", "state.json")


class HubTable:
    """A loaded data set: memory-mapped, so only one batch of rows is in memory."""

    def __init__(self, name: str, dataset: Dataset, named: Collection[str] = ()) -> None:
        self.name = name
        self.columns = tuple(dataset.column_names)
        beside = never_rows(dataset.features.arrow_schema, named)
        self._dataset = dataset.remove_columns(beside).with_format("arrow")

    def records(self, set_aside: Report) -> Iterator[Record]:
        line = 1
        for batch in self._dataset.iter(batch_size=ROWS_PER_BATCH):
            yield from batch_records(batch, self.name, line, set_aside)
            line += batch.num_rows


def open_hub(settings: DataSettings) -> RowTable:
    """The data set under `data.path`. Raises DataError with the remedy where it cannot be loaded."""
    path = str(settings.path)
    if is_saved(Path(path)):
        return HubTable(Path(path).resolve().name, _saved(path, settings.split), names_of(settings))
    if path.startswith((".", "/", "~")) and not Path(path).exists():
        raise DataError(f"data.path: {path} does not exist; give a save_to_disk folder or a data set's name on the Hub")
    return HubTable(path, _loaded(path, settings), names_of(settings))


def is_hub_name(path: str | None) -> bool:
    """Whether `path` is for `datasets` to load: a save_to_disk folder, or a name that looks like no file or pattern."""
    given = Path(str(path))
    pattern = any(sign in str(path) for sign in "*?[")
    looks_local = pattern or str(path).startswith((".", "/", "~")) or ending(given) in PARQUET_ENDINGS + JSON_ENDINGS
    return is_saved(given) or not (given.exists() or looks_local)


def is_saved(folder: Path) -> bool:
    return any((folder / name).is_file() for name in SAVED_BY_DATASETS)


def saved_splits(path: str) -> dict[str, Dataset]:
    """The splits of a save_to_disk folder; of one without, itself under "". Raises DataError where it is broken."""
    from datasets import DatasetDict, load_from_disk

    try:
        loaded = load_from_disk(path)
    except Exception as error:  # whatever a broken folder makes of `datasets`, Arrow or JSON
        raise DataError(
            f"data.path: cannot load {path}: {first_line(error)}; save it again with save_to_disk"
        ) from error
    return dict(loaded) if isinstance(loaded, DatasetDict) else {"": loaded}


def _saved(path: str, split: str) -> Dataset:
    splits = saved_splits(path)
    if "" not in splits and split not in splits:
        raise DataError(f"data.split: {path} has no split {split!r}. Choose from: {', '.join(splits)}")
    return splits["" if "" in splits else split]


def _loaded(name: str, settings: DataSettings) -> Dataset:
    from datasets import load_dataset

    try:
        return load_dataset(name, settings.subset, split=settings.split, revision=settings.revision)
    except Exception as error:  # dozens of kinds: no such name, split or subset, no network, a script, broken files
        raise cannot_load(name, error) from error


def cannot_load(name: str, error: Exception) -> DataError:
    return DataError(f"data.path: cannot load {name}: {first_line(error)}; {_remedy(error)}")


def _remedy(error: Exception) -> str:
    if "script" in str(error).lower():
        return (
            "repositories with loading scripts are refused: convert it to Parquet, or give a branch that holds Parquet"
        )
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return (
            "HF_HUB_OFFLINE is set and it is not in the cache: unset it once to download, or give a save_to_disk folder"
        )
    return "check the name, data.subset, data.split, data.revision and the network, or give a save_to_disk folder"
