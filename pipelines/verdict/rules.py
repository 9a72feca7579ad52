"""The rules of a gate: may this run pass, by its own numbers, against a baseline, and against a pinned run?"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipelines.base.limits import GAINED, RERANKED, metric_of, numbers_of, place_of, places
from pipelines.runs.read import RunContent
from pipelines.verdict.doubts import doubted_drop, held_limit
from pipelines.verdict.limits import Limits, parse_limits
from pipelines.verdict.refused import asks_quality, check_judge
from pipelines.verdict.runs import Allowed, compare_runs, differing_inputs, same_lists, settings_of
from pipelines.verdict.slices import check_slices
from stages.core.errors import ConfigError
from stages.core.judges import mark_of
from stages.core.words import counted
from stages.quality.regression import Check, Ruling, check_drop, check_limit, worst

__all__ = ["Limits", "Verdict", "judge", "parse_limits"]

EXIT_CODES = {Ruling.PASSED: 0, Ruling.REGRESSED: 1, Ruling.CANNOT_TELL: 5}
"""Of `rerank-eval gate`. From `run`, where 1 is an engine that failed, a regression is 6."""

# Ties are ordered by id, so a run with more of them ranks more by chance.
TIES_ABOVE_BASELINE = 0.05
# Null where the engine scored nothing, as in a run whose scores all were stored: then there is nothing to be slow.
_OF_THE_ENGINE = ("throughput.", "queue.", "cache.prefix", "cache.kv", "tokens.generation")


@dataclass(frozen=True, slots=True)
class Verdict:
    """`against` is the baseline's run id, `pinned` the pinned run's; None where there was none. `differing` is what
    differed though it was allowed to: candidates, judgements; `mark` stands where quality is by a model's judgements.
    """

    run: str
    against: str | None
    outcome: Ruling
    checks: Sequence[Check]
    notes: Sequence[str]
    pinned: str | None = None
    differing: Sequence[str] = ()
    mark: str | None = None

    @property
    def exit_code(self) -> int:
        """Of `rerank-eval gate`."""
        return EXIT_CODES[self.outcome]

    def sentence(self) -> str:
        """What the user reads last: what decided."""
        telling = [check.words for check in self.checks if check.outcome == self.outcome]
        if self.outcome == Ruling.PASSED:
            told = f"passed: {counted(len(self.checks), 'check')}"
            held = dict.fromkeys(one for one in (self.against, self.pinned) if one)
            told += f" against {' and '.join(held)}" if held else ""
            doubts = [f"{check.name}{check.doubt}" for check in self.checks if check.doubt]
            told += f" ({'; '.join(doubts)})" if doubts else ""
        else:
            told = f"{self.outcome}: {'; '.join(telling)}"
        told += f"; quality is {self.mark}" if self.mark else ""
        return told + (f" (with other {' and '.join(self.differing)}, as allowed)" if self.differing else "")


def judge(
    run: RunContent,
    baseline: RunContent | None,
    limits: Limits,
    *,
    allowed: Allowed | None = None,
    pinned: RunContent | None = None,
    unknown: str | None = None,
) -> Verdict:
    """Check `run`, by default for canaries, ties and coverage, and for whatever `limits` asks.

    Without a baseline limits alone decide; `unknown` says why nobody knows whether there is one, and then nobody can
    tell. A limit of the user's takes the place of the default of that name. Raises ConfigError for a name that is not
    in metrics.json and a drift without a pinned run; DataError where runs cannot be compared (see `compare_runs`).
    """
    if limits.drifts and pinned is None:
        raise ConfigError("--max-drift needs a pinned run to drift from: give --pin RUN")
    numbers = dict.fromkeys(places(list(run.reranked.values))) | numbers_of(run.metrics)
    most, least = ({place_of(name, numbers): limit for name, limit in of.items()} for of in (limits.most, limits.least))
    of_quality = asks_quality(limits, {*most, *least})
    others = filter(None, (baseline if limits.compares else None, pinned if limits.drifts else None))
    check_judge(run, others, limits, {*most, *least}, allowed=(allowed or Allowed()).model_judgements)
    held = [*_drops(run, baseline, limits, allowed), *_drifts(run, pinned, limits, allowed)]
    checks, notes = [_canaries(run)], [*_not_gated(limits, {*most, *least}), *(run.analysis.get("remarks") or ())]
    if unknown is not None and limits.compares:
        checks.append(Check("baseline", Ruling.CANNOT_TELL, unknown))
    for one in held:
        checks += one.checks
        notes += one.notes
    for name in dict.fromkeys((*most, *least)):
        if (reason := _does_not_apply(name, numbers)) is None:
            checks.append(held_limit(run, name, numbers[name], most.get(name), least.get(name)))
        else:
            notes.append(f"{name} is not gated: {reason}")
    checks += _default_limits(numbers, baseline, pinned, {*most, *least})
    return Verdict(
        run=run.run_id,
        against=baseline.run_id if baseline else None,
        outcome=worst(checks),
        checks=checks,
        notes=list(dict.fromkeys(notes)),
        pinned=pinned.run_id if pinned else None,
        differing=list(dict.fromkeys(name for one in held for name in one.differing)),
        mark=mark_of(run.metrics) if of_quality else None,
    )


@dataclass(frozen=True, slots=True)
class _Held:
    """What came of holding a run against another; `differing` is what differed though it was allowed to."""

    checks: Sequence[Check]
    notes: Sequence[str]
    differing: Sequence[str]


def _drops(run: RunContent, baseline: RunContent | None, limits: Limits, allowed: Allowed | None) -> Iterator[_Held]:
    if baseline is None or not limits.compares:
        return
    drops = _by_metric(run, limits.drops, "max-drop")
    in_slices = _by_metric(run, limits.slice_drops, "slice-max-drop") or drops
    yield _held(run, baseline, drops or in_slices, limits, allowed)
    if limits.slices:
        yield _Held(check_slices(run, baseline, limits.slices, in_slices, limits.min_queries), [], [])


def _drifts(run: RunContent, pinned: RunContent | None, limits: Limits, allowed: Allowed | None) -> Iterator[_Held]:
    if pinned is None or not limits.drifts:
        return
    drifts = _by_metric(run, limits.drifts, "max-drift")
    yield _held(run, pinned, drifts, limits, allowed, since=f" since {pinned.run_id}")


def _held(
    run: RunContent,
    other: RunContent,
    drops: Mapping[str, float],
    limits: Limits,
    allowed: Allowed | None,
    since: str = "",
) -> _Held:
    """At the confidence of the run that is judged: its config is tonight's, the other's may be old."""
    own = settings_of([run])
    compared = compare_runs(
        [other, run],
        metrics=list(drops),
        allowed=allowed,
        confidence=own.confidence,
        seed=own.seed,
        sliced=False,
    )
    found = {one.metric: one.difference for one in compared.tested}
    open_ = {metric: one for (_, metric), one in compared.unjudged.items()}
    same = any(one.ties == one.n for one in found.values()) and same_lists(run, other)
    checks = [
        doubted_drop(
            check_drop(f"{metric}{since}", found[metric], drop, min_queries=limits.min_queries, same_lists=same),
            open_.get(metric),
            drop,
        )
        for metric, drop in drops.items()
    ]
    return _Held(checks, compared.notes, differing_inputs(run, other))


def _by_metric(run: RunContent, drops: Mapping[str, float], option: str) -> dict[str, float]:
    """Drops by the metric's own name (`ndcg@10`), however it was written."""
    return {metric_of(name, run.reranked.values, f"--{option}"): drop for name, drop in drops.items()}


def _not_gated(limits: Limits, limited: Collection[str]) -> Iterator[str]:
    """What the verdict does not say, and might be thought to."""
    limits_quality = any(place.startswith((RERANKED, GAINED)) for place in limited)
    if not (limits.compares or limits.drifts or limits_quality):
        yield "quality is not gated: give --max-drop METRIC=VALUE"


def _canaries(run: RunContent) -> Check:
    """The built-in pairs: a job ends where they fail, so here it is only seen whether they were asked."""
    scored = (run.metrics.get("throughput") or {}).get("scored_pairs")
    scores = run.metrics.get("scores") or {}
    if scores.get("canaries_passed"):
        how = "with numbers, as model.canaries asks" if scores.get("canaries_asked") == "finite" else "sensibly"
        return Check("canaries", Ruling.PASSED, f"the engine scored the built-in pairs {how}")
    stages = run.metrics.get("stages") or []
    families = {one["model"]["family"] for one in stages} or {run.metrics["model"]["family"]}
    if not scored or families <= {"overlap", "hosted"}:
        return Check("canaries", Ruling.PASSED, "no engine was asked, so none could fail on the built-in pairs")
    return Check("canaries", Ruling.CANNOT_TELL, "whether the engine was tried on the built-in pairs is not recorded")


def _does_not_apply(name: str, numbers: Mapping[str, float | None]) -> str | None:
    if numbers[name] is None and name.startswith(_OF_THE_ENGINE) and not numbers.get("throughput.scored_pairs"):
        return "the engine scored nothing in this run, the store knew every pair"
    return None


def _default_limits(
    numbers: Mapping[str, float | None],
    baseline: RunContent | None,
    pinned: RunContent | None,
    given: Collection[str],
) -> Iterator[Check]:
    """Coverage as good as the baseline's, or whole where there is none; ties not much above the pinned run's, or the
    baseline's, where they could rise a little every night.
    """
    before = numbers_of(baseline.metrics) if baseline else {}
    for name in ("coverage.unanswered", "coverage.failed_pairs"):
        if name not in given:
            yield check_limit(name, numbers[name], most=before.get(name) or 0.0, reason=_source(baseline))
    name = "coverage.set_aside_rows"
    if name not in given and baseline is not None and numbers[name] is not None:
        yield check_limit(name, numbers[name], most=before.get(name) or 0.0, reason=_source(baseline))
    name = "scores.tied_share"
    if name not in given and numbers.get(name) is not None:
        first = pinned or baseline
        limit = TIES_ABOVE_BASELINE + ((numbers_of(first.metrics).get(name) if first else None) or 0.0)
        above = f"{TIES_ABOVE_BASELINE:g} above {first.run_id}" if first else "the default"
        yield check_limit(name, numbers[name], most=limit, reason=above)


def _source(baseline: RunContent | None) -> str:
    return "as in the baseline" if baseline else "the default"
