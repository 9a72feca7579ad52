"""Several tables under one name: a data set of the Hub with configs, a copy of its repository, or a folder with a
folder or file for each (Parquet, JSON Lines, or what save_to_disk made). `datasets` is imported on first use.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from stages.core.errors import DataError
from stages.sources.hub import HubTable, cannot_load, is_hub_name, is_saved, saved_splits
from stages.sources.lines import JSON_ENDINGS, ending
from stages.sources.row_files import PARQUET_ENDINGS, RowTable, table_of
from stages.sources.settings import DataSettings

CARD = "README.md"
PART = re.compile(r"-\d{5}-of-\d{5}$")
CONFIG_FOLDERS = {"default": "data"}  # where push_to_hub puts the config that has no name
UNKNOWN = frozenset({"default"})  # what `datasets` says of configs that are in its cache alone, and of a single one
SPLITS_OF_COIR = {"corpus": "corpus", "queries": "queries"}


class Configs(Protocol):
    @property
    def name(self) -> str: ...

    def has(self, config: str) -> bool:
        """Whether there is such a config, of `data.subset` where that is set."""
        ...

    def table(self, configs: Sequence[str]) -> RowTable:
        """The table of the first of them that is there, in its split. Raises DataError where none is."""
        ...


@dataclass(frozen=True, slots=True)
class Loaded:
    """What `datasets` loads by name: `load` gives the splits of a config."""

    name: str
    names: frozenset[str]
    settings: DataSettings
    load: Callable[[str], dict[str, Any]]

    def has(self, config: str) -> bool:
        named = _named(config, self.settings.subset)
        return named in self.names or (self.names == UNKNOWN and self._can_load(named))

    def _can_load(self, named: str) -> bool:
        try:
            return bool(self.load(named))
        except DataError:
            return False

    def table(self, configs: Sequence[str]) -> RowTable:
        config = _first(self, configs)
        splits = self.load(_named(config, self.settings.subset))
        split = split_of(splits, self.settings.split, f"{self.name} ({config})")
        return HubTable(f"{self.name} ({config})", splits[split])


@dataclass(frozen=True, slots=True)
class InFolders:
    """A folder or a file for each config."""

    folder: Path
    settings: DataSettings

    @property
    def name(self) -> str:
        return self.folder.resolve().name

    def has(self, config: str) -> bool:
        return self._place(config) is not None

    def table(self, configs: Sequence[str]) -> RowTable:
        config = _first(self, configs)
        place = self._place(config)
        assert place is not None
        if not place.is_dir():
            return table_of(str(place), (place,))
        if is_saved(place):
            splits = saved_splits(str(place))
            return HubTable(str(place), splits[split_of(splits, self.settings.split, str(place))])
        files = _by_split(place)
        return table_of(str(place), tuple(files[split_of(files, self.settings.split, str(place))]))

    def _place(self, config: str) -> Path | None:
        named = _named(config, self.settings.subset)
        folders = [self.folder / named, *(self.folder / other for other in (CONFIG_FOLDERS.get(named),) if other)]
        files = [self.folder / f"{named}{one}" for one in (*PARQUET_ENDINGS, *JSON_ENDINGS)]
        found = [place for place in folders if place.is_dir() and (is_saved(place) or _by_split(place))]
        return next((place for place in (*found, *files) if place.exists()), None)


@dataclass(frozen=True, slots=True)
class Coir:
    """CoIR's pair of data sets: one has queries and corpus as splits, one the judgements."""

    name: str
    texts: dict[str, Any]
    qrels: dict[str, Any]
    split: str

    def has(self, config: str) -> bool:
        return config in {**SPLITS_OF_COIR, "qrels": ""}

    def table(self, configs: Sequence[str]) -> RowTable:
        config = _first(self, configs)
        if config in SPLITS_OF_COIR:
            return HubTable(f"{self.name}-queries-corpus ({config})", self.texts[SPLITS_OF_COIR[config]])
        return HubTable(f"{self.name}-qrels", self.qrels[split_of(self.qrels, self.split, f"{self.name}-qrels")])


def open_configs(settings: DataSettings) -> Configs | None:
    """The configs under `data.path`; None where it is no folder with some, and no data set that `datasets` knows."""
    path = str(settings.path)
    folder = Path(path)
    if folder.is_dir():
        if not is_saved(folder) and _has_card_with_configs(folder):
            return _loaded(path, settings)
        return InFolders(folder, settings)
    if Path(f"{path}-queries-corpus").is_dir() and Path(f"{path}-qrels").is_dir():
        texts, qrels = saved_or_loaded(f"{path}-queries-corpus", settings), saved_or_loaded(f"{path}-qrels", settings)
        return Coir(path, texts, qrels, settings.split)
    return _loaded(path, settings) if is_hub_name(path) else None


def split_of(among: Iterable[str], wanted: str, where: str) -> str:
    """The wanted split, else the only one, as mteb has it."""
    splits = list(among)
    if wanted in splits:
        return wanted
    if len(splits) != 1:
        raise DataError(f"data.split: {where} has no split {wanted!r}. Choose from: {', '.join(splits)}")
    return splits[0]


def saved_or_loaded(path: str, settings: DataSettings) -> dict[str, Any]:
    if is_saved(Path(path)):
        return saved_splits(path)
    return _load(path, None, settings)


def _loaded(path: str, settings: DataSettings) -> Configs | None:
    from datasets import get_dataset_config_names

    try:
        names = frozenset(get_dataset_config_names(path, revision=settings.revision))
    except Exception:  # several configs in the cache alone; or no such data set: whoever reads it as rows says so
        names = UNKNOWN
    name = Path(path).resolve().name if Path(path).is_dir() else path
    loaded = Loaded(name, names, settings, cache(lambda config: _load(path, config, settings)))
    return loaded if names != UNKNOWN or loaded.has("corpus") else _coir(path, settings)


def _coir(path: str, settings: DataSettings) -> Configs | None:
    try:
        texts = _load(f"{path}-queries-corpus", None, settings)
    except DataError:
        return None
    return Coir(path, texts, _load(f"{path}-qrels", None, settings), settings.split)


def _load(path: str, config: str | None, settings: DataSettings) -> dict[str, Any]:
    from datasets import load_dataset

    try:
        return dict(load_dataset(path, config, revision=settings.revision))
    except Exception as error:  # dozens of kinds, as in `hub`
        raise cannot_load(path if config is None else f"{path} ({config})", error) from error


def _has_card_with_configs(folder: Path) -> bool:
    card = folder / CARD
    return card.is_file() and re.search(r"^configs:", card.read_text("utf-8", "replace"), re.MULTILINE) is not None


def _by_split(folder: Path) -> dict[str, list[Path]]:
    """The files by split: `test-00000-of-00002.parquet` and its like are parts of `test`."""
    files: dict[str, list[Path]] = {}
    for file in sorted(folder.iterdir()):
        if file.is_file() and ending(file) in PARQUET_ENDINGS + JSON_ENDINGS:
            files.setdefault(PART.sub("", file.name.split(".")[0]), []).append(file)
    return files


def _named(config: str, subset: str | None) -> str:
    """mteb's name of the config of a subset; the judgements of one are `SUBSET-qrels`."""
    return config if subset is None or subset == "default" else f"{subset}-{config}"


def _first(configs: Configs, names: Sequence[str]) -> str:
    for name in names:
        if configs.has(name):
            return name
    raise DataError(
        f"data.path: {configs.name} has no {' or '.join(names)}; see data.subset, and how MTEB names configs"
    )
