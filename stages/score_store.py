"""Content-addressed scores: what was scored once is never scored again.

The key of a score is a hash of everything that decides it, so a killed job, a second experiment over overlapping
candidates and the same text under two ids all find what is already known. A folder holds one SQLite database; several
processes of a machine may use it at once. A query's scores are one transaction: after a crash they are there, or not.
"""

from __future__ import annotations

import hashlib
import sqlite3
import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from stages.errors import DataError, ScoringError
from stages.records import PairScore
from stages.scoring import Scorer, sigmoid

FILE = "scores.sqlite"
# The number that ranks (float32, as engines give it), prompt tokens, flags: 7 bytes a score.
VALUE = struct.Struct("<fHB")
TRUNCATED, IS_LOGIT = 1, 2
MOST_TOKENS = 0xFFFF
BUSY_S = 60.0
# SQLite takes at most 32,766 variables in one statement.
KEYS_PER_QUERY = 10_000


def pair_key(scoring: str, instruction: str | None, query: str, document: str) -> bytes:
    """128 bits that differ where anything that decides a score differs.

    `scoring` stands for the model, its prompt and its limits. Each part is preceded by its length, so that no two
    different quadruples read the same.
    """
    digest = hashlib.blake2b(digest_size=16)
    for part in (scoring, instruction, query, document):
        encoded = b"" if part is None else part.encode("utf-8", "surrogatepass")
        digest.update(struct.pack("<q", -1 if part is None else len(encoded)))
        digest.update(encoded)
    return digest.digest()


class ScoreStore:
    """The scores in a folder. Raises DataError where it cannot be opened or is not a score store."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=NORMAL")
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS scores (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID"
            )
        except (OSError, sqlite3.Error) as error:
            raise DataError(
                f"rerank.store {folder}: cannot be opened ({error}). Move it away or choose another."
            ) from error

    def __len__(self) -> int:
        (count,) = self._database.execute("SELECT count(*) FROM scores").fetchone()
        return int(count)

    def lookup(self, keys: Sequence[bytes]) -> dict[bytes, PairScore]:
        """The scores that are known among `keys`; `stored` is set on each."""
        found: dict[bytes, PairScore] = {}
        for start in range(0, len(keys), KEYS_PER_QUERY):
            some = keys[start : start + KEYS_PER_QUERY]
            marks = ",".join("?" * len(some))
            rows = self._database.execute(f"SELECT key, value FROM scores WHERE key IN ({marks})", some)  # noqa: S608
            found |= {key: _unpack(value) for key, value in rows if len(value) == VALUE.size}
        return found

    def write(self, scores: Mapping[bytes, PairScore]) -> None:
        """Keep these scores; a failed pair is not one. All of them or, after a crash, none."""
        rows = [(key, _pack(pair)) for key, pair in scores.items() if pair.score is not None]
        with self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?)", rows)

    def close(self) -> None:
        self._database.close()


class StoredScorer:
    """A Scorer that asks another one only for what the store does not know, once per distinct text."""

    def __init__(self, scorer: Scorer, store: ScoreStore, scoring: str) -> None:
        self.scorer = scorer
        self.store = store
        self.scoring = scoring

    async def score(self, query: str, documents: Sequence[str], instruction: str | None = None) -> list[PairScore]:
        """As the scorer within, whose errors pass through. Raises ScoringError where the store itself fails."""
        keys = [pair_key(self.scoring, instruction, query, document) for document in documents]
        try:
            known = self.store.lookup(keys)
            missing = {key: text for key, text in zip(keys, documents, strict=True) if key not in known}
            if missing:
                fresh = await self.scorer.score(query, list(missing.values()), instruction)
                scored = dict(zip(missing, fresh, strict=True))
                self.store.write(scored)
                known |= scored
        except sqlite3.Error as error:
            raise ScoringError(f"the score store {self.store.path} failed: {error}") from error
        return _once(keys, known)


def _once(keys: Sequence[bytes], known: Mapping[bytes, PairScore]) -> list[PairScore]:
    """Each key's score; where a text occurs again within the query, the second one cost nothing."""
    seen: set[bytes] = set()
    scores = []
    for key in keys:
        pair = known[key]
        scores.append(replace(pair, stored=True) if key in seen and pair.error is None else pair)
        seen.add(key)
    return scores


def _pack(pair: PairScore) -> bytes:
    flags = TRUNCATED * pair.truncated | IS_LOGIT * (pair.logit is not None)
    return VALUE.pack(pair.score if pair.logit is None else pair.logit, min(pair.prompt_tokens, MOST_TOKENS), flags)


def _unpack(value: bytes) -> PairScore:
    number, tokens, flags = VALUE.unpack(value)
    return PairScore(
        score=sigmoid(number) if flags & IS_LOGIT else number,
        logit=number if flags & IS_LOGIT else None,
        prompt_tokens=tokens,
        truncated=bool(flags & TRUNCATED),
        stored=True,
    )
