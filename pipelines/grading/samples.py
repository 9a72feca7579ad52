"""Two samples of pairs that are asked for once more: as they were, and with instructions planted in their documents.

What the store knows of the first asking is no answer to these, so they are kept under a word of this judging's own: a
try that was killed finds them, and another judging asks anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from pipelines.base.interruption import Interruption
from pipelines.base.judge_config import JudgeConfig
from pipelines.grading.folder import JudgeFolder, Row
from pipelines.grading.judge import Asked, Judge, Tell
from pipelines.grading.pool import Pair, texts_of
from stages.core.grades import Graded
from stages.core.judge_prompt import JudgePrompt
from stages.core.records import Candidates
from stages.files.tables import write_candidates
from stages.grading import planted as planting
from stages.grading.planted import Planted, planted_pairs
from stages.grading.planted_effect import planted_effect
from stages.grading.record import PlantedEffect, Repeatability
from stages.grading.repeatability import repeatability
from stages.grading.reply import grade_of

PLANTED, NEUTRAL = "planted", "neutral"
# Of pairs, how many times as many texts are read as pairs are planted in: those graded low go first.
CHOICE = 10


@dataclass(frozen=True, slots=True)
class Sampled:
    """What both samples tell; None where nothing was asked for. `asked` is what came of the asking."""

    repeatability: Repeatability | None
    planted: PlantedEffect | None
    asked: Sequence[Asked]


class Samples:
    """Asks for the samples of a judging, whose pairs lie in `pairs` with their texts, and whose `rows` are there."""

    def __init__(
        self, config: JudgeConfig, folder: JudgeFolder, pairs: Path, prompt: JudgePrompt, judge: Judge, word: str
    ) -> None:
        self._config, self._folder, self._pairs = config, folder, pairs
        self._prompt, self._judge = prompt, judge
        self._word = word

    def ask(self, rows: Sequence[Row], tell: Tell, stops: Interruption) -> Sampled:
        """A sample that could not be asked for as a whole tells nothing: see `asked`."""
        answered = {Pair(row.query_id, row.doc_id): row for row in rows if not row.reply.failed}
        repeated, again = self._repeated(answered, tell, stops)
        if not again.whole:
            return Sampled(None, None, [again])
        effect, planted = self._planted(answered, tell, stops)
        return Sampled(repeated, effect, [again, planted])

    def _repeated(
        self, rows: Mapping[Pair, Row], tell: Tell, stops: Interruption
    ) -> tuple[Repeatability | None, Asked]:
        settings = self._config.judge
        drawn = sorted(rows)
        chosen = sorted(Random(f"{settings.seed}\nrepeat").sample(drawn, min(settings.repeat, len(drawn))))
        if not chosen:
            return None, Asked()
        asked = self._asked("again", self._as_they_are(chosen), tell, stops)
        if not asked.whole:
            return None, asked
        second = [_read(asked, pair, self._prompt) for pair in chosen]
        evaluate = self._config.evaluate
        found = repeatability(
            [pair.query_id for pair in chosen],
            [rows[pair].graded for pair in chosen],
            second,
            seed=evaluate.seed,
            confidence=evaluate.confidence,
        )
        return found, asked

    def _as_they_are(self, chosen: Sequence[Pair]) -> list[Candidates]:
        return [
            Candidates(pair.query_id, query, (pair.doc_id,), (text,), (0.0,))
            for pair, query, text in texts_of(self._pairs, chosen)
        ]

    def _planted(self, rows: Mapping[Pair, Row], tell: Tell, stops: Interruption) -> tuple[PlantedEffect | None, Asked]:
        chosen = self._chosen(rows)
        if not chosen:
            return None, Asked()
        # Under ids of their own: a document may be chosen once alone, and has two texts.
        changed = [
            Candidates(str(place), one.pair.query, (PLANTED, NEUTRAL), (one.planted, one.neutral), (0.0, 0.0))
            for place, one in enumerate(chosen)
        ]
        asked = self._asked(PLANTED, changed, tell, stops)
        if not asked.whole:
            return None, asked
        planted, neutral = (
            [_read(asked, Pair(str(place), which), self._prompt) for place in range(len(chosen))]
            for which in (PLANTED, NEUTRAL)
        )
        return planted_effect(chosen, planted, neutral, self._config.evaluate.confidence), asked

    def _chosen(self, rows: Mapping[Pair, Row]) -> list[Planted]:
        """Of a random part of the pairs, whose texts are read, those that the judge graded low first."""
        settings = self._config.judge
        graded = sorted(pair for pair, row in rows.items() if row.graded.grade is not None)
        graded = Random(f"{settings.seed}\nplant").sample(graded, len(graded))
        low = [pair for pair in graded if (rows[pair].graded.grade or 0) <= planting.LOW]
        some = [*low, *sorted(set(graded) - set(low))][: CHOICE * settings.planted]
        pairs = [
            planting.Pair(pair.query_id, pair.doc_id, query, text, rows[pair].graded.grade or 0)
            for pair, query, text in texts_of(self._pairs, some)
        ]
        return planted_pairs(pairs, self._prompt, settings.seed, settings.planted)

    def _asked(self, name: str, candidates: Sequence[Candidates], tell: Tell, stops: Interruption) -> Asked:
        folder = self._folder.scratch / name
        write_candidates(candidates, folder)
        return self._judge.ask(folder, self._word, tell, stops)


def _read(asked: Asked, pair: Pair, prompt: JudgePrompt) -> Graded:
    return grade_of(asked.told[pair].reply, prompt)
