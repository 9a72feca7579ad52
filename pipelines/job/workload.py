"""What a job would have scored: counted as candidates pass, with a sample of what would be tokenized."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from pipelines.base.config import RunConfig
from pipelines.job.tokenizing import Ask
from stages.core.errors import DataError
from stages.core.identity import ScoringIdentity, read_key
from stages.core.records import Candidates
from stages.core.vectors import VECTOR_FAMILIES
from stages.speed.forecast import Reservoir
from stages.store.file import FILE, FILE_ERRORS
from stages.store.records import query_keys
from stages.store.store import ScoreStore

SAMPLED_PAIRS = 500
# Of long documents fewer are tokenized: a second reads some two million characters. But so many in any case.
SAMPLED_CHARS, LEAST_SAMPLED = 4_000_000, 30
# Of models that read a whole list at once, whose prompts are a hundred times as long.
SAMPLED_LISTS = 20


class Drawn(NamedTuple):
    """A pair, or a list, with `of` how many pairs of its query are to be scored."""

    ask: Ask
    of: int


@dataclass(slots=True)
class Workload:
    """Counts over what was added. `stored` pairs cost nothing: the score store knows them, or the same text comes twice
    for one query. `texts` holds a hash of each distinct document that is to be read, where the model reads each one
    once.
    """

    kind: str | None
    queries: int = 0
    pairs: int = 0
    stored: int = 0
    texts: set[int] = field(default_factory=set)
    sample: Reservoir[Drawn] = field(default_factory=lambda: Reservoir(SAMPLED_PAIRS))
    of_queries: Reservoir[Drawn] = field(default_factory=lambda: Reservoir(SAMPLED_PAIRS, seed=1))

    def __post_init__(self) -> None:
        if self.kind == "listwise":
            self.sample.most = SAMPLED_LISTS

    @property
    def new(self) -> int:
        """Pairs that the engine would score."""
        return self.pairs - self.stored

    def drawn(self, most_chars: int) -> list[Drawn]:
        """The sample, or some of it where it is long; of a text at most so many characters are read."""
        read = [min(len(text), most_chars) for one in self.sample.kept for text in one.ask.documents]
        share = SAMPLED_CHARS / max(sum(read), 1)
        return self.sample.some(max(int(share * len(self.sample.kept)), LEAST_SAMPLED) if share < 1 else SAMPLED_PAIRS)

    @property
    def once(self) -> bool:
        """Whether a document is read once, whatever queries have it."""
        return self.kind in VECTOR_FAMILIES

    def add(self, candidates: Candidates, new: Sequence[str], embedded: Container[str] = ()) -> None:
        """A query, those of its texts that the store does not know, and of these the ones whose vectors are kept."""
        self.queries += 1
        self.pairs += len(candidates.texts)
        self.stored += len(candidates.texts) - len(new)
        if not new:
            return
        query, instruction = candidates.query, candidates.instruction
        if self.kind == "listwise":
            self.sample.offer(lambda: Drawn(Ask(query, instruction, new), len(new)))
            return
        self.of_queries.offer(lambda: Drawn(Ask(query, instruction, new[:1]), len(new)))
        for place, text in enumerate(new):
            if self.once:
                if text in embedded or (digest := hash(text)) in self.texts:
                    continue
                self.texts.add(digest)
            # The neighbour tells how much of the beginning both share, where a cache could hold it.
            both = (text, new[place - 1]) if len(new) > 1 and self.kind == "decoder" else (text,)
            self.sample.offer(lambda both=both: Drawn(Ask(query, instruction, both), len(new)))  # type: ignore[misc]


class KnownScores:
    """What the score store of a config knows, only looked at. `note` is why it cannot be.

    `identity` is as an engine told it at the `place` (`place_key`), which `told_there` says, or where this one was
    `foreseen`; else that. Scores stored before `since_s` (Unix s) do not count.
    """

    def __init__(
        self, config: RunConfig, foreseen: ScoringIdentity, place: str | None = None, since_s: float = 0.0
    ) -> None:
        self.identity, self.note, self.told_there = foreseen, "", False
        self._folder, self._since_s = config.rerank.store, since_s
        self._store: ScoreStore | None = None
        if self._folder is None or not (Path(self._folder) / FILE).is_file():
            return
        try:
            self._store = ScoreStore(Path(self._folder), read_only=True, untouched=True)
            for expected in filter(None, (place, foreseen.key)):
                if (last := self._store.told(expected)) and (told := read_key(last)):
                    self.identity, self.told_there = told, expected == place
                    break
        except (DataError, *FILE_ERRORS) as error:
            self._fail(error)

    def new(self, candidates: Candidates) -> Sequence[str]:
        """The query's texts that would have to be scored, with a store each one once; of a list that is read as a whole
        all or none.
        """
        texts, listwise = candidates.texts, self.identity.listwise
        if self._store is None:
            return texts if self._folder is None or listwise else tuple(dict.fromkeys(texts))
        keys = query_keys(self.identity.key, candidates.instruction, candidates.query, texts, listwise=listwise)
        try:
            known = self._store.lookup(keys, self._since_s)
        except FILE_ERRORS as error:
            self._fail(error)
            return texts
        missing = {key: text for key, text in zip(keys.pairs, texts, strict=True) if key not in known}
        return texts if missing and listwise else list(missing.values())

    def close(self) -> None:
        if self._store is not None:
            self._store.close()

    def _fail(self, error: Exception) -> None:
        self.note = f"what the score store knows cannot be told ({error}): all pairs are counted as new"
        self.close()
        self._store = None
