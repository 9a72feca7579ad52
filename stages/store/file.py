"""The SQLite file of a score store: how it is laid out, opened, and set aside when it is damaged."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from stages.core.errors import DataError

FILE = "scores.sqlite"
LAYOUT = 2  # `user_version`; layout 1 held a row per score
BUSY_S = 60.0
# Measured with random keys, batches of 100, a million scores, on 2 idle cores; bytes without decoding:
#   layout                      page     bytes a score   writes/s   lookups/s
#   a row per query (this one)   4 KiB   41              2.0 M      5.3 M
#                                8 KiB   28              2.0 M      4.2 M
#                               16 KiB   24              1.8 M      5.0 M
#   a row per score              4 KiB   36              0.05 M     0.4 M     each score meets a page of its own
# ScoreStore itself: 1.2 M writes/s and 0.76 M lookups/s, the same at 0.1, 1 and 10 million scores; 4 processes at once,
# 0.3-0.5 M writes/s each, hence no shards. 16 KiB writes twice the bytes per query, and was slower on a busy disk.
PAGE_BYTES = 8192
CACHE_KIB = 16 * 1024
PAGES_AT_ONCE = 1000  # of free space given back to the file system
SCHEMA = (
    "CREATE TABLE scorings (id INTEGER PRIMARY KEY AUTOINCREMENT, identity TEXT NOT NULL UNIQUE, model TEXT NOT NULL)",
    """CREATE TABLE batches (id INTEGER PRIMARY KEY, query INTEGER NOT NULL, scoring INTEGER NOT NULL,
    written_s INTEGER NOT NULL, scores INTEGER NOT NULL, records BLOB NOT NULL)""",
    # Holds what statistics are made of, so that they never read the scores themselves.
    "CREATE INDEX by_query ON batches (query, scoring, written_s, scores)",
)


@dataclass(frozen=True, slots=True)
class Layout:
    """How one kind of file is laid out. `ends` reads its ends, where damage shows early; `setting` names its folder."""

    file: str
    number: int
    schema: tuple[str, ...]
    ends: str
    setting: str = "rerank.store"


SCORES = Layout(FILE, LAYOUT, SCHEMA, "SELECT max(id), (SELECT query FROM batches ORDER BY query LIMIT 1) FROM batches")
NO_SHARED_MEMORY = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
# What a failing file raises. UnicodeDecodeError: damaged bytes in SQLite's own message.
FILE_ERRORS = (sqlite3.Error, UnicodeDecodeError)
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
# WAL keeps its index in shared memory, which the hosts of a network file system do not share.
NETWORK_FILE_SYSTEMS = ("nfs", "cifs", "smb", "9p", "ceph", "fuse", "lustre", "gpfs", "beegfs", "afs", "glusterfs")


def open_database(
    folder: Path, *, read_only: bool = False, untouched: bool = False, layout: Layout = SCORES
) -> sqlite3.Connection:
    """The store's database; made where there is none yet, unless `read_only`. `untouched`: for a short look, which
    leaves no file behind; what others write meanwhile it may not see, or fail on.

    Raises DataError where it is another layout's, or missing and `read_only`; FILE_ERRORS and OSError as they come.
    """
    if read_only:
        return _open_to_read(folder / layout.file, layout, untouched=untouched)
    folder.mkdir(parents=True, exist_ok=True)
    prepare = partial(_make, layout=layout, network=on_network(folder))
    return _connect(f"{(folder / layout.file).resolve().as_uri()}?mode=rwc", layout, prepare)


def is_damaged(error: BaseException) -> bool:
    """Whether SQLite says by this error that the file's content is broken."""
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, UnicodeDecodeError) or (code is not None and code & 0xFF in DAMAGED)


def set_aside_if_damaged(folder: Path, layout: Layout = SCORES) -> Path | None:
    """Rename a database that cannot be opened because it is damaged; gives its new path.

    Other faults are left to who opens it. Damage deeper in the file is met, and told, when it is read.
    """
    path = folder / layout.file
    if not path.exists():
        return None
    try:
        open_database(folder, layout=layout).close()
    except (OSError, DataError):
        return None
    except FILE_ERRORS as error:
        if not is_damaged(error):
            return None
        aside = path.with_name(f"{layout.file}.corrupt-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}")
        for suffix in ("", "-wal", "-shm", "-journal"):
            if (file := path.with_name(layout.file + suffix)).exists():
                file.rename(aside.with_name(aside.name + suffix))
        return aside
    return None


def give_space_back(database: sqlite3.Connection) -> None:
    """Pages that are free go back to the file system; others get their turn in between."""
    (free,) = database.execute("PRAGMA freelist_count").fetchone()
    for _ in range(0, free, PAGES_AT_ONCE):
        # A script, because it runs to its end; `execute` would stop after the first page.
        database.executescript(f"PRAGMA incremental_vacuum({PAGES_AT_ONCE})")
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def on_network(folder: Path, mounts: Path = Path("/proc/self/mounts")) -> bool:
    """Whether the folder lies on a file system that several hosts may share, by what Linux says of its mounts."""
    place = folder.resolve()
    found = (Path("/"), "")
    for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines() if mounts.exists() else ():
        _, point, kind = line.split(" ")[:3]
        mount = Path(point.replace("\\040", " "))
        if place.is_relative_to(mount) and len(mount.parts) >= len(found[0].parts):
            found = (mount, kind)
    return found[1].startswith(NETWORK_FILE_SYSTEMS)


def _connect(
    uri: str, layout: Layout, prepare: Callable[[sqlite3.Connection], None] | None = None
) -> sqlite3.Connection:
    database = sqlite3.connect(uri, timeout=BUSY_S, isolation_level=None, check_same_thread=False, uri=True)
    try:
        database.execute(f"PRAGMA cache_size={-CACHE_KIB}")
        database.execute("PRAGMA cell_size_check=ON")  # find damage before it is followed
        if prepare:
            prepare(database)
        _check(database, layout)
    except BaseException:
        database.close()
        raise
    return database


def _open_to_read(path: Path, layout: Layout, *, untouched: bool = False) -> sqlite3.Connection:
    """Also from a read-only folder, where SQLite can make no shared memory for a WAL: none is needed if it is empty."""
    if not path.exists():
        raise DataError(
            f"{layout.setting} {path.parent}: holds no {path.stem}, and may not be made: it is opened read-only."
        )
    uri, wal = f"{path.resolve().as_uri()}?mode=ro", path.with_name(f"{path.name}-wal")
    at_rest = not (wal.exists() and wal.stat().st_size)
    if untouched and at_rest:
        return _connect(f"{uri}&immutable=1", layout)
    try:
        return _connect(uri, layout)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in NO_SHARED_MEMORY or not at_rest:
            raise
        return _connect(f"{uri}&immutable=1", layout)


def _make(database: sqlite3.Connection, *, layout: Layout, network: bool) -> None:
    """Lay out an empty database; of several processes the first one does."""
    database.execute(f"PRAGMA page_size={PAGE_BYTES}")
    database.execute("PRAGMA auto_vacuum=INCREMENTAL")  # so that `prune` gives space back bit by bit
    database.execute(f"PRAGMA journal_mode={'TRUNCATE' if network else 'WAL'}")
    database.execute("PRAGMA synchronous=NORMAL")
    if database.execute("SELECT count(*) FROM sqlite_master").fetchone() != (0,):
        return
    database.execute("BEGIN IMMEDIATE")
    if database.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
        for statement in layout.schema:
            database.execute(statement)
        database.execute(f"PRAGMA user_version={layout.number}")
    database.execute("COMMIT")


def _check(database: sqlite3.Connection, expected: Layout) -> None:
    """Raises DataError where the database is not laid out as ours; reads its ends, where damage shows early."""
    (number,) = database.execute("PRAGMA user_version").fetchone()
    if number != expected.number:
        raise DataError(
            f"{expected.setting}: its {expected.file} has layout {number}, this version reads {expected.number}. "
            "Move it away or choose another folder."
        )
    database.execute(expected.ends).fetchone()
