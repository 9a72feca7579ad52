"""What a change is worth where a model judged: with people's grades of some queries an interval that allows for the
model's errors, whatever they are; without them the sentence that says why there is none. And how far the judge itself
is off, which is told first of all that must be known beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from stages.core.judges import BY_MODEL, NO_INTERVAL, UNNAMED
from stages.core.records import Judgements
from stages.core.words import counted, key_name, percent
from stages.judging.circularity import Circularity, circularity
from stages.judging.inference import Inference, Method, infer
from stages.judging.labelled import Draw, Lists, Opinions, opinions
from stages.judging.precision import About
from stages.quality.measures import OF_ALL_RELEVANT, parse_metric

__all__ = ["Draw", "ModelVerdict", "model_verdict", "model_verdicts"]

SIDES = ("first stage", "reranked")


@dataclass(frozen=True, slots=True)
class ModelVerdict:
    """Of one metric, in its unit. `change` is what people's grades, or theirs and the model's together, tell; without
    an interval there it stands for nothing, and `by_model` is the change by the model's grades, and by
    people's where it gave none; None where it graded nothing. `bounds` are
    where that lies whatever grades the documents had that nobody graded. `first` and `second` are the means of both
    sides. `error` is the judge's on the change, None where no query is there to tell. `words` are sentences without a
    full stop: the change, how far the judge is off, and what must hold.
    """

    metric: str
    judge: str
    change: Inference
    by_model: float | None
    bounds: tuple[float, float] | None
    first: Inference
    second: Inference
    error: Circularity | None
    kin: str | None
    unchanged: int
    words: tuple[str, ...]

    @property
    def told(self) -> bool:
        """Whether there is an interval."""
        return self.change.interval is not None

    @property
    def key(self) -> str:
        """As metrics.json has it."""
        return key_name(self.metric)


def judged_metrics(metrics: Sequence[str]) -> list[str]:
    """Those that are of grades: not what measures the judgements themselves, nor what is of answers."""
    return [name for name in metrics if (one := parse_metric(name)).measure != "judged" and not one.of_answers]


def model_verdict(
    before: Lists,
    after: Lists,
    judgements: Judgements,
    metric: str,
    about: About,
    confidence: float,
    draw: Draw | None = None,
    kin: str | None = None,
    *,
    bounds: tuple[float, float] | None = None,
    names: tuple[str, str] = SIDES,
) -> ModelVerdict:
    """Of one metric; see `model_verdicts`."""
    of_metric = {} if bounds is None else {metric: bounds}
    found = model_verdicts(
        before, after, judgements, [metric], about, confidence, draw, kin, bounds=of_metric, names=names
    )
    return found[metric]


def model_verdicts(
    before: Lists,
    after: Lists,
    judgements: Judgements,
    metrics: Sequence[str],
    about: About,
    confidence: float,
    draw: Draw | None = None,
    kin: str | None = None,
    *,
    bounds: Mapping[str, tuple[float, float]] = MappingProxyType({}),
    names: tuple[str, str] = SIDES,
) -> dict[str, ModelVerdict]:
    """By metric: of the change from the lists `before` to those `after`, over every query that anybody judged. `draw`
    is how people's queries were chosen, None where nobody knows: then the sentences say what must hold. `kin` says how
    judge and reranker are related, `bounds` where the change by the model's grades lies whatever it left ungraded;
    `names` are those of the two sides.

    Metrics that are not of grades are left out. Raises what `evaluate` raises.
    """
    wanted = judged_metrics(metrics)
    without = len((before.keys() | after.keys()) - judgements.grades.keys())
    found: dict[str, ModelVerdict] = {}
    for metric, of_metric in opinions(before, after, judgements, wanted, draw).items():
        strata = of_metric.of_change()
        told = _Told(
            metric=metric,
            judge=judgements.judge or UNNAMED,
            names=names,
            about=about,
            confidence=confidence,
            opinions=of_metric,
            change=infer(strata, about, confidence),
            by_model=_mean_of_model(of_metric) if any(judgements.by_model.values()) else None,
            bounds=bounds.get(metric),
            error=circularity(strata, confidence) if of_metric.judged and not of_metric.ungraded else None,
            kin=kin,
            draw=draw,
            without=without,
            partly=bool(judgements.by_people),
        )
        found[metric] = told.verdict()
    return found


def _mean_of_model(found: Opinions) -> float:
    """The mean change by the model's grades, and by people's where it gave none."""
    changes = [pair.after - pair.before for pair in found.whole.values()]
    return math.fsum(changes) / len(changes) if changes else 0.0


@dataclass(frozen=True, slots=True)
class _Told:
    """What the sentences are made of."""

    metric: str
    judge: str
    names: tuple[str, str]
    about: About
    confidence: float
    opinions: Opinions
    change: Inference
    by_model: float | None
    bounds: tuple[float, float] | None
    error: Circularity | None
    kin: str | None
    draw: Draw | None
    without: int
    partly: bool

    def verdict(self) -> ModelVerdict:
        first, second = (infer(self.opinions.of_side(place), self.about, self.confidence) for place in (0, 1))
        return ModelVerdict(
            metric=self.metric,
            judge=self.judge,
            change=self.change,
            by_model=self.by_model,
            bounds=self.bounds,
            first=first,
            second=second,
            error=self.error,
            kin=self.kin,
            unchanged=len(self.opinions.unchanged),
            words=(self._of_change(), *self._of_judge(), *self._conditions()),
        )

    def _of_change(self) -> str:
        found, queries = self.change, len(self.opinions.model)
        if queries and len(self.opinions.unchanged) == queries:
            return f"{self.metric} sees the same in both lists of every query: it does not change, whoever judges"
        if found.interval is None or found.mean is None:
            return self._without_interval()
        low, high = found.interval
        told = self._moves(found.mean)
        if low == high:
            return f"{told}: exactly so, as {found.reason}"
        whom = "these queries" if self.about is About.THESE else "queries like these"
        sure = (
            "it cannot be told from no change"
            if low <= 0 <= high
            else f"statistically significant at the {percent(1 - self.confidence)} level"
        )
        interval = f"{percent(self.confidence)} interval {low:+.4f} to {high:+.4f}, of {whom}"
        return f"{told} ({interval}): {sure}. {self._method()}"

    def _moves(self, change: float) -> str:
        moves = "rises" if change > 0 else "falls" if change < 0 else "does not change"
        by = f" by {abs(change):.4f}" if change else ""
        return f"{self.metric} {moves}{by} from {self.names[0]} to {self.names[1]}"

    def _method(self) -> str:
        """Whose grades the interval is made of, and why."""
        people = counted(len(self.opinions.judged), "query", "queries")
        if self.change.method in (Method.PPI, Method.TUNED):
            name = "prediction-powered inference" + (", tuned" if self.change.method is Method.TUNED else "")
            return f"By people's grades of {people} and {self.judge}'s of all ({name}): {self.change.reason}"
        if self.opinions.ungraded:
            return (
                f"By people's grades of {people} alone: {self.judge} gave no grade of {self.opinions.ungraded:,} of "
                "them, and its grades of the others are of no use without"
            )
        return f"By people's grades of {people} alone: {self.change.reason}"

    def _without_interval(self) -> str:
        why = (
            self.change.reason
            if self.opinions.judged
            else "people judged the whole pool of no query that changes"
            if self.opinions.people
            else "people judged the whole pool of no query"
            if self.partly
            else "people judged no query"
        )
        if self.by_model is None:
            return (
                f"{self.judge} gave no grade at all: {self.metric} tells no change, and there is no interval, as {why}"
            )
        filled = self.opinions.filled
        mixed = f", and people's grades of {counted(filled, 'pair')} that it gave none" if filled else ""
        told = f"{BY_MODEL} ({self.judge}){mixed}, {self._moves(self.by_model)}: {NO_INTERVAL}, as {why}"
        if self.bounds is None or self.bounds[0] == self.bounds[1]:
            return told
        return f"{told}. Whatever it left ungraded, that is between {self.bounds[0]:+.4f} and {self.bounds[1]:+.4f}"

    def _of_judge(self) -> Iterator[str]:
        """How far the judge is off, where that is known to matter; else after the change comes what must hold."""
        if self.kin:
            yield self.kin
        if self.error is not None and (self.error.told or not self.kin):
            yield self.error.words

    def _conditions(self) -> Iterator[str]:
        found = self.opinions
        drawn = len(found.judged) + len(found.unchanged) < len(found.model)
        if found.judged and drawn and self.draw is None and self.change.interval is not None:
            whose = counted(len(found.judged), "query", "queries")
            yield f"this holds if the {whose} that people judged were drawn at random, which nobody told"
        if self.change.doubt:
            yield self.change.doubt
        if self.draw is not None and self.draw.skipped:
            yield (
                f"{counted(self.draw.skipped, 'query was', 'queries were')} drawn and skipped: the interval speaks of "
                "those that can be judged"
            )
        if found.of_lists and found.people:
            yield f"of each query the pool is what {self.metric} sees of the two lists: people did not judge all else"
        if found.beyond and parse_metric(self.metric).measure in OF_ALL_RELEVANT:
            yield (
                f"{self.metric} is of the pool alone here: {counted(found.beyond, 'document')} outside it that people "
                "call relevant would lower both sides, so a run judged by all of people's grades tells other numbers"
            )
        if self.without:
            yield f"{counted(self.without, 'query', 'queries')} of the lists have no grade by anybody: left out"
