"""What is known of a file, or of a folder that is read as one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Role = Literal["collection", "rows", "run", "qrels", "queries", "documents", "other"]
"""What a file can be in `data`: `path` of a collection or of rows, one of the files of a collection, or nothing."""


@dataclass(slots=True)
class Finding:
    """`told`: what it is. `data` are the keys of the config's section that it decides, beside its own place.

    `unsure` are sentences about what was guessed, `remedy` says what to give instead of a file that is not read.
    `counts` are by what was counted, `set_aside` by kind of reason.
    """

    path: str
    told: str
    role: Role = "other"
    data: dict[str, object] = field(default_factory=dict)
    unsure: list[str] = field(default_factory=list)
    remedy: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    set_aside: dict[str, int] = field(default_factory=dict)
