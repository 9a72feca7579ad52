"""(Candidates, Ranking) -> QueryOutcome: ids, scores and sizes of one query, without its texts."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from stages.core.records import Candidates, Ranking

_SINGLE = np.finfo(np.float32)
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_LETTER = re.compile(r"\w")


@dataclass(frozen=True, slots=True, eq=False)
class QueryOutcome:
    """What became of one query's candidates.

    `doc_ids` are n ids in first-stage order; `first_scores`, `keys` (what ranked them) and `scores` (what a user sees)
    are parallel to them, the latter two NaN where the pair failed, and all three where the document has no text.
    `asked` holds the positions of those that have one, `order` those of the m <= n scored documents, best first.
    `first_scores` and `keys` are single precision, in which both orders were made (see stages.core.order). `passages`,
    in how many each document was read, and `cut_keys`, what had ranked it if it were cut, are parallel to them too; 1
    and NaN where the pair failed. `are_probabilities` tells whether `scores` came with logits. Lengths are words, see
    `text_length`; `script` is that of the query.
    """

    query_id: str
    doc_ids: tuple[str, ...]
    tail: tuple[str, ...]
    first_scores: npt.NDArray[np.float32]
    keys: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float64]
    asked: npt.NDArray[np.intp]
    order: npt.NDArray[np.intp]
    are_probabilities: bool
    query_length: int
    mean_document_length: float
    truncated: bool
    script: str
    passages: npt.NDArray[np.intp]
    cut_keys: npt.NDArray[np.float32]
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def in_passages(self) -> bool:
        """Whether a document was read in several."""
        return bool((self.passages > 1).any())

    def first_stage(self) -> tuple[str, ...]:
        """All ids in first-stage order, best first."""
        return self.doc_ids + self.tail

    def listed(self, order: Iterable[int]) -> tuple[str, ...]:
        """The ids at the positions `order`, best first; then the others in first-stage order, and the tail."""
        return tuple(map(self.doc_ids.__getitem__, self.completed(order))) + self.tail

    def completed(self, order: Iterable[int]) -> list[int]:
        """All positions above the tail: those of `order`, then the others in first-stage order."""
        first = list(order)
        if len(first) == len(self.doc_ids):
            return first
        return first + sorted(set(range(len(self.doc_ids))).difference(first))


def outcome_of(candidates: Candidates, ranking: Ranking) -> QueryOutcome:
    """What became of one query. Raises ValueError where the ranking is not one of the candidates beside it."""
    places = {doc_id: place for place, doc_id in enumerate(candidates.top)}
    asked = np.array([places[doc_id] for doc_id in candidates.doc_ids], dtype=np.intp)
    if not _belongs(ranking, candidates):
        raise ValueError(f"the ranking of query {ranking.query_id!r} is not one of the candidates beside it")
    first_scores = np.full(len(places), np.nan)
    first_scores[asked] = candidates.scores
    order = np.array([places[doc_id] for doc_id in ranking.doc_ids], dtype=np.intp)
    keys = np.full(len(places), np.nan)
    scores = np.full(len(places), np.nan)
    keys[order] = _keys(ranking.scores, ranking.logits)
    scores[order] = ranking.scores
    passages, cut_keys = np.ones(len(places), dtype=np.intp), keys.copy()
    if ranking.passages:
        passages[order] = ranking.passages
        cut_keys[order] = _keys(ranking.cut_scores, ranking.cut_logits)
    return QueryOutcome(
        query_id=candidates.query_id,
        doc_ids=candidates.top,
        tail=candidates.tail,
        first_scores=_single(first_scores),
        keys=_single(keys),
        scores=scores,
        asked=asked,
        order=order,
        are_probabilities=ranking.answered and None not in ranking.logits,
        query_length=text_length(candidates.query),
        mean_document_length=sum(map(text_length, candidates.texts)) / max(len(candidates.texts), 1),
        truncated=ranking.truncated_pairs > 0,
        script=script_of(candidates.query),
        passages=passages,
        cut_keys=_single(cut_keys),
        attributes=candidates.attributes,
    )


def outcome_of_list(candidates: Candidates, ranking: Ranking, *, truncated: bool) -> QueryOutcome:
    """What became of one query where several models scored: of the asked documents the order alone is told, with their
    places for scores, -1, -2, ... Those without a text follow. Raises ValueError where the ranking has other documents.
    """
    if sorted(ranking.ordered()) != sorted(candidates.first_stage()):
        raise ValueError(f"the ranking of query {ranking.query_id!r} is not one of the candidates beside it")
    asked = frozenset(candidates.doc_ids)
    order = tuple(doc_id for doc_id in ranking.ordered() if doc_id in asked)
    behind = tuple(doc_id for doc_id in candidates.top if doc_id not in asked)
    by_place = Ranking(
        query_id=ranking.query_id,
        doc_ids=order,
        scores=tuple(-float(place) for place in range(1, len(order) + 1)),
        logits=(None,) * len(order),
        tail=behind + candidates.tail,
        truncated_pairs=int(truncated),
        unscored=len(behind),
    )
    return outcome_of(candidates, by_place)


def _belongs(ranking: Ranking, candidates: Candidates) -> bool:
    unscored, tail = ranking.tail[: ranking.unscored], ranking.tail[ranking.unscored :]
    return (
        ranking.query_id == candidates.query_id
        and {*ranking.doc_ids, *ranking.failed} == set(candidates.doc_ids)
        and {*ranking.doc_ids, *unscored} == set(candidates.top)
        and tail == candidates.tail
    )


def _keys(scores: Sequence[float], logits: Sequence[float | None]) -> list[float]:
    """What ranks."""
    return [score if logit is None else logit for score, logit in zip(scores, logits, strict=True)]


def text_length(text: str) -> int:
    """Words between blanks; Chinese characters and Japanese kana, which no blanks part, count one each.

    Beside such characters, what has neither letter nor digit is no word.
    """
    if text.isascii():
        return len(text.split())
    rest, characters = _CJK.subn(" ", text)
    words = rest.split()
    return characters + sum(_LETTER.search(word) is not None for word in words) if characters else len(words)


def _single(values: Sequence[float] | npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """In single precision; what is too large for it becomes its largest number, not infinite."""
    return np.clip(np.asarray(values, dtype=np.float64), _SINGLE.min, _SINGLE.max).astype(np.float32)


NO_SCRIPT = "none"

_CHARACTERS_READ = 1000
# The first word of a letter's Unicode name -> what readers call its script; others keep that word.
_NAMES = {"CJK": "Han", "HIRAGANA": "Japanese", "KATAKANA": "Japanese", "FULLWIDTH": "Latin"}


def script_of(text: str) -> str:
    """`Latin`, `Han`, `Japanese`, `Arabic` ...: that of most letters; NO_SCRIPT where there are none.

    Any kana make a text Japanese, whose other letters mostly are Han's.
    """
    letters = [character for character in text[:_CHARACTERS_READ] if character.isalpha()]
    if not letters:
        return NO_SCRIPT
    if text.isascii():
        return "Latin"
    counts = Counter(_script(letter) for letter in letters)
    if counts["Japanese"]:
        counts["Japanese"] += counts.pop("Han", 0)
    return max(sorted(counts), key=counts.__getitem__)


def _script(letter: str) -> str:
    word = unicodedata.name(letter, NO_SCRIPT).split(" ")[0].split("-")[0]
    return _NAMES.get(word, word.capitalize())
