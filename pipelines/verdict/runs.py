"""Finished runs beside a baseline run: may they be compared, in what do they differ, and is the difference real?"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pipelines.runs.read import RunContent
from pipelines.verdict.differing import differing_keys
from pipelines.verdict.identity import identity_notes
from pipelines.verdict.judges import judged_difference, second_opinions, unlike
from pipelines.verdict.queries import data_notes, groups_of, restricted, shared_queries
from pipelines.verdict.unjudged import unjudged_between
from stages.core.errors import DataError
from stages.core.judges import mark_of
from stages.files.rankings import read_rankings
from stages.judging.second_opinion import ModelVerdict
from stages.quality.comparison import Tested, compare_systems
from stages.quality.evaluate import metric_key
from stages.quality.significance import CONFIDENCE
from stages.quality.slices import Slice, compare_slices
from stages.quality.unjudged import Unjudged, with_reservation


@dataclass(frozen=True, slots=True)
class Allowed:
    """What may differ between compared runs, where the user says so; and whether a gate takes a model's judgements."""

    judgements: bool = False
    candidates: bool = False
    model_judgements: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """`runs` by label, the baseline first; `tested` are the others against it, over the `queries` that all share.

    `differing` are the config keys in which the runs differ, each with its value in each run. `unjudged` is by run and
    metric, where it is known; `slices` are the groups of the runs' `evaluate.slices`. Where a model judged,
    `inference` has by run and metric what people's grades make of it.
    """

    runs: Mapping[str, RunContent]
    tested: Sequence[Tested]
    metrics: Sequence[str]
    queries: int
    differing: Mapping[str, Sequence[Any]]
    notes: Sequence[str]
    unjudged: Mapping[tuple[str, str], Unjudged] = field(default_factory=dict)
    slices: Sequence[Slice] = ()
    inference: Mapping[tuple[str, str], ModelVerdict] = field(default_factory=dict)

    @property
    def baseline(self) -> str:
        return next(iter(self.runs))

    @property
    def mark(self) -> str | None:
        """What stands beside every value, where a model judged any of the runs: then it says which."""
        marks = {label: mark_of(run.metrics) for label, run in self.runs.items()}
        given = list(dict.fromkeys(filter(None, marks.values())))
        if len(given) == 1 and all(marks.values()):
            return given[0]
        return "; ".join(f"{mark} in {label}" for label, mark in marks.items() if mark) or None

    def sure(self, tested: Tested) -> bool:
        """Whether there is a difference: where a model judged, as people's grades tell."""
        if mark_of(self.runs[tested.system].metrics) is None:
            return tested.significant()
        found = self.inference.get((tested.system, tested.metric))
        ends = found.change.interval if found else None
        return ends is not None and not ends.low <= 0 <= ends.high


def compare_runs(
    runs: Sequence[RunContent],
    *,
    metrics: Sequence[str] = (),
    allowed: Allowed | None = None,
    confidence: float | None = None,
    seed: int | None = None,
    sliced: bool = True,
) -> Comparison:
    """The first run is the baseline. `metrics`: those to compare, by default all that every run has. `confidence` and
    `seed` are by default those of the runs' own evaluation (see `settings_of`). Not `sliced`: neither slices nor
    what people's grades make of a model's are there.

    Raises DataError where fewer than two runs are given, where one is given twice, where they have no metric or query
    in common, and where judgements or candidates differ that are not `allowed` to.
    """
    _check_several(runs)
    own = settings_of(runs)
    notes = [*_differences(runs, allowed or Allowed())]
    if confidence is None and own.differ:
        notes.append(
            f"the runs have different evaluate.confidence: the highest, {own.confidence:g}, is that of all here"
        )
    confidence = own.confidence if confidence is None else confidence
    seed = own.seed if seed is None else seed
    shared = _shared_metrics(runs, metrics)
    queries = shared_queries(runs)
    notes += data_notes(runs, len(queries))
    differing = differing_keys([run.config for run in runs])
    labels = label_runs(runs, differing)
    values = {label: restricted(run.reranked, queries, shared) for label, run in zip(labels, runs, strict=True)}
    baseline = values.pop(labels[0])
    open_ = {
        (label, metric): found
        for label, run in zip(labels[1:], runs[1:], strict=True)
        for metric, found in unjudged_between(runs[0], run, baseline, values[label]).items()
    }
    tested = compare_systems(baseline, values, shared, seed=seed, confidence=confidence)
    groups = groups_of(runs) if sliced else {}
    by_label = dict(zip(labels, runs, strict=True))
    opinions = {
        label: second_opinions(runs[0], by_label[label], shared, confidence) if sliced else {} for label in values
    }
    slices = compare_slices(baseline, values, groups, shared, seed=seed, confidence=confidence)

    def judged(one: Tested, found: Mapping[str, ModelVerdict]) -> Tested:
        return judged_difference(one, runs[0], by_label[one.system], found)

    return Comparison(
        runs=by_label,
        tested=[
            judged(with_reservation(one, open_.get((one.system, one.metric))), opinions[one.system]) for one in tested
        ],
        metrics=shared,
        queries=len(queries),
        differing=differing,
        notes=notes,
        unjudged=open_,
        slices=[replace(one, tested=[judged(each, {}) for each in one.tested]) for one in slices],
        inference={(label, metric): one for label, found in opinions.items() for metric, one in found.items()},
    )


@dataclass(frozen=True, slots=True)
class EvaluationSettings:
    """`confidence` of intervals and `seed` of what is drawn; `differ` where runs do not agree on the confidence."""

    confidence: float
    seed: int
    differ: bool = False


def settings_of(runs: Sequence[RunContent]) -> EvaluationSettings:
    """Of runs beside each other: the highest confidence, so that none is told with less than it asked for; the first
    one's seed. Runs of before these were settings have the defaults.
    """
    given = [run.config.get("evaluate") or {} for run in runs]
    confidences = [float(one.get("confidence", CONFIDENCE)) for one in given]
    return EvaluationSettings(max(confidences), int(given[0].get("seed", 0)), len(set(confidences)) > 1)


def same_lists(one: RunContent, other: RunContent, among: Collection[str] | None = None) -> bool:
    """Whether both ranked the same documents in the same order for each judged query that they share, of those `among`
    which it matters (None: all). False where the rankings of either cannot be read.
    """
    judged = set(one.reranked.query_ids) & set(other.reranked.query_ids if among is None else among)
    try:
        lists, others = (
            {
                ranking.query_id: ranking.ordered()
                for ranking in read_rankings(run.folder.rankings)
                if ranking.query_id in judged
            }
            for run in (one, other)
        )
    except (OSError, ValueError, KeyError):
        return False
    return bool(lists) and lists == others


def label_runs(runs: Sequence[RunContent], differing: Mapping[str, Sequence[Any]]) -> list[str]:
    """What tells each run from the others, in a few words; its id where that takes too many, or tells nothing."""
    labels = [
        ", ".join(f"{name.rpartition('.')[2]} {_short(values[place])}" for name, values in differing.items())
        for place in range(len(runs))
    ]
    if len(differing) > 2 or len(set(labels)) < len(runs):
        return [run.run_id for run in runs]
    return labels


def _short(value: Any) -> str:
    text = str(value).rstrip("/").rpartition("/")[2] if isinstance(value, str) else str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _check_several(runs: Sequence[RunContent]) -> None:
    if len(runs) < 2:
        raise DataError("a comparison needs a baseline and at least one other run")
    ids = [run.run_id for run in runs]
    if repeated := {run_id for run_id in ids if ids.count(run_id) > 1}:
        raise DataError(f"given twice: {', '.join(sorted(repeated))}. A run is not compared with itself")
    if unjudged := [run.run_id for run in runs if not run.reranked.query_ids]:
        raise DataError(f"{', '.join(unjudged)}: nothing was judged, so there is no quality to compare")


def _differences(runs: Sequence[RunContent], allowed: Allowed) -> Iterator[str]:
    """What differs though it is allowed to. Raises DataError where it is not."""
    baseline = runs[0]
    for run in runs[1:]:
        between = f"{baseline.run_id} and {run.run_id}"
        if not _same(baseline, run, "judgements_digest"):
            how = f"{between} were evaluated with different judgements{_kinds(baseline, run)}"
            if not allowed.judgements:
                raise DataError(
                    f"{how}: their values mean different things. Evaluate both with the same, or compare them all the "
                    "same with --different-judgements (gate.allow: [judgements])"
                )
            yield how
        if not same_candidates(baseline, run):
            if not allowed.candidates:
                raise DataError(
                    f"{between} reranked different candidates: what differs may be the first stage, not the reranker. "
                    "Rerank the same, or compare them all the same with --different-candidates "
                    "(gate.allow: [candidates])"
                )
            yield f"{between} reranked different candidates: the first stage differs, too"
        yield from identity_notes(baseline, run)


def kind_of(run: RunContent) -> str:
    """What judged it; runs of before this was told were all judged by qrels."""
    told = run.metrics.get("judgements")
    return told["kind"] if told else "qrels"


def _kinds(one: RunContent, other: RunContent) -> str:
    """Of which kinds the judgements are, where they are not of one kind; else why two of answers differ."""
    kinds = kind_of(one), kind_of(other)
    if kinds[0] != kinds[1]:
        return f" (the one by {kinds[0]}, the other by {kinds[1]})"
    if told := unlike(one, other):
        return f" ({told})"
    return " (answers judge the candidates of their own run)" if kinds[0] == "answers" else ""


def same_candidates(one: RunContent, other: RunContent) -> bool:
    """The same texts, scores and order; between runs of different depths the same lists of ids."""
    if _same(one, other, "candidates_digest"):
        return True
    depths = [run.config.get("data", {}).get("depth") for run in (one, other)]
    return depths[0] != depths[1] and _same(one, other, "lists_digest")


def differing_inputs(one: RunContent, other: RunContent) -> list[str]:
    """Which of `candidates` and `judgements` two runs do not share."""
    judged_alike = _same(one, other, "judgements_digest")
    return [*(["judgements"] if not judged_alike else []), *(["candidates"] if not same_candidates(one, other) else [])]


def _same(one: RunContent, other: RunContent, key: str) -> bool:
    """Also where neither run is recent enough to tell."""
    return bool(one.metrics.get(key) == other.metrics.get(key))


def _shared_metrics(runs: Sequence[RunContent], wanted: Sequence[str]) -> list[str]:
    shared = [name for name in runs[0].reranked.values if all(name in run.reranked.values for run in runs)]
    for name in wanted:
        metric_key(name)  # raises where there is no such metric
        if name not in shared:
            raise DataError(f"{name} was not computed in every run; they share {', '.join(shared) or 'none'}")
    if not shared:
        raise DataError("the runs have no metric in common: see evaluate.metrics of each")
    return list(wanted) or shared
