"""Names from elsewhere (a tag, somebody's file, an option) as parts of a path: none leads out of its folder."""

from __future__ import annotations

from pathlib import Path

from stages.core.errors import DataError

LONGEST_BYTES = 255  # of a name, on every file system in use


def place_in(folder: Path, name: str, called: str) -> Path:
    """`folder`/`name`. Raises DataError, which calls the name `called`, where it is no plain name of a file."""
    plain = name.isprintable() and not set(name) & {"/", "\\"} and name not in ("", ".", "..")
    if not plain or len(name.encode("utf-8", "surrogatepass")) > LONGEST_BYTES:
        raise DataError(
            f"{called} {name!r:.80} cannot name a folder or a file: use one name of letters, digits and .-_"
        )
    return folder / name
