"""Texts under ids: are they queries or documents?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from statistics import median_low

from stages.sources.recognise.finding import Finding, Role

NAMES: tuple[tuple[re.Pattern[str], Role], ...] = (
    (re.compile(r"quer|topic|question", re.IGNORECASE), "queries"),
    (re.compile(r"corpus|doc|passage|collection", re.IGNORECASE), "documents"),
)
MOST_WORDS = 15  # of the median query


def texts_under_ids(path: Path, texts: Sequence[str]) -> Finding:
    """By the file's name, else by the length of its texts."""
    for names, role in NAMES:
        if names.search(path.name):
            return Finding(str(path), f"texts of {role} under their ids", role)
    words = median_low([len(text.split()) for text in texts])
    role = "queries" if words <= MOST_WORDS else "documents"
    finding = Finding(str(path), f"texts under ids, taken for {role}", role)
    finding.unsure.append(f"queries or documents? Its name says neither, and the median text has {words} words")
    return finding
