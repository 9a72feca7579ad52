"""The rules of a gate: may this run pass, by its own numbers and against a baseline run?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.runs.read import RunContent
from pipelines.verdict.runs import Allowed, compare_runs, same_lists, settings_of
from stages.core.errors import ConfigError
from stages.core.words import nearest
from stages.quality.evaluate import metric_key
from stages.quality.regression import Check, Ruling, check_drop, check_limit, worst
from stages.quality.significance import Difference

EXIT_CODES = {Ruling.PASSED: 0, Ruling.REGRESSED: 1, Ruling.CANNOT_TELL: 5}

# Ties are ordered by id, so a run with more of them ranks more by chance.
TIES_ABOVE_BASELINE = 0.05
# What a limit may be called besides its place in metrics.json.
SHORT_NAMES = {
    "queue_p50_ms": "queue.time_ms.p50",
    "queue_p95_ms": "queue.time_ms.p95",
    "queue_p99_ms": "queue.time_ms.p99",
}
# Null where the engine scored nothing, as in a run whose scores all were stored: then there is nothing to be slow.
_OF_THE_ENGINE = ("throughput.", "queue.", "cache.prefix", "cache.kv", "tokens.generation")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a gate asks. `drops`: metric key (`ndcg_at_10`) -> allowed drop; `most` and `least`: name -> limit."""

    drops: Mapping[str, float]
    most: Mapping[str, float]
    least: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Verdict:
    """`against` is the baseline's run id, None where there was none."""

    run: str
    against: str | None
    outcome: Ruling
    checks: Sequence[Check]
    notes: Sequence[str]

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.outcome]

    def sentence(self) -> str:
        """What the user reads last: what decided."""
        telling = [check.words for check in self.checks if check.outcome == self.outcome]
        if self.outcome == Ruling.PASSED:
            return f"passed: {len(self.checks)} checks" + (f" against {self.against}" if self.against else "")
        return f"{self.outcome}: {'; '.join(telling)}"


def judge(run: RunContent, baseline: RunContent | None, limits: Limits, *, allowed: Allowed | None = None) -> Verdict:
    """Check `run`, by default for canaries, ties and coverage, and for whatever `limits` asks.

    A limit of the user's takes the place of the default of that name. Raises ConfigError for a name that is not in
    metrics.json and a drop without a baseline; DataError where the two cannot be compared (see `compare_runs`).
    """
    if limits.drops and baseline is None:
        raise ConfigError("--max-drop needs a run to drop from: give --against RUN or --against-latest EXPERIMENT")
    numbers = numbers_of(run.metrics)
    most, least = _resolved(limits.most, numbers), _resolved(limits.least, numbers)
    notes = [] if limits.drops else ["quality is not gated: give --max-drop METRIC=VALUE"]
    checks = [_canaries(run)]
    if baseline is not None and limits.drops:
        differences, told = _differences(run, baseline, limits.drops, allowed)
        notes += told
        unmoved = any(difference.ties == difference.n for difference in differences.values())
        same = unmoved and same_lists(run, baseline)
        checks += [
            check_drop(metric, differences[metric], drop, same_lists=same)
            for metric, drop in _by_metric(run, limits.drops)
        ]
    for name in dict.fromkeys((*most, *least)):
        if (reason := _does_not_apply(name, numbers)) is not None:
            notes.append(f"{name} is not gated: {reason}")
            continue
        checks.append(check_limit(name, numbers[name], most=most.get(name), least=least.get(name)))
    checks += _default_limits(numbers, baseline, {*most, *least})
    return Verdict(run.run_id, baseline.run_id if baseline else None, worst(checks), checks, notes)


def parse_limits(drops: Sequence[str], most: Sequence[str], least: Sequence[str]) -> Limits:
    """`NAME=NUMBER` each. Raises ConfigError that says which one is malformed."""
    return Limits(*(_parsed(option, given) for option, given in (("max-drop", drops), ("max", most), ("min", least))))


def numbers_of(metrics: Mapping[str, Any], prefix: str = "") -> dict[str, float | None]:
    """Place in metrics.json (`queue.time_ms.p95`) -> number, None for null; texts are left out."""
    found: dict[str, float | None] = {}
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            found |= numbers_of(value, f"{prefix}{name}.")
        elif value is None or isinstance(value, int | float):
            found[prefix + name] = None if value is None else float(value)
    return found


def _parsed(option: str, given: Sequence[str]) -> dict[str, float]:
    limits = {}
    for one in given:
        name, equals, number = one.partition("=")
        try:
            limits[name.strip()] = float(number)
        except ValueError:
            equals = ""
        if not equals or not name.strip() or (option == "max-drop" and limits[name.strip()] < 0):
            raise ConfigError(f"--{option} {one}: write NAME=NUMBER, as in --{option} {_EXAMPLES[option]}")
    return limits


_EXAMPLES = {"max-drop": "ndcg_at_10=0.01", "max": "queue_p95_ms=200", "min": "pairs_per_s=100"}


def _resolved(limits: Mapping[str, float], numbers: Mapping[str, float | None]) -> dict[str, float]:
    """Limits by place in metrics.json: a whole place, one of SHORT_NAMES, or the last part where that is unique."""
    found = {}
    for name, limit in limits.items():
        place = SHORT_NAMES.get(name, name.replace("/", "."))
        if place not in numbers:
            ends = [known for known in numbers if known.endswith(f".{place}")]
            # A metric's bare name is the reranked one, as in MLflow.
            ends = [known for known in ends if known.startswith("quality.reranked.")] or ends
            if len(ends) != 1:
                raise ConfigError(_unknown(name, ends, numbers))
            place = ends[0]
        found[place] = limit
    return found


def _unknown(name: str, several: Sequence[str], numbers: Mapping[str, float | None]) -> str:
    if several:
        return f"{name} may be any of {', '.join(several)}: write one of them"
    known = [*numbers, *SHORT_NAMES, *(place.rpartition(".")[2] for place in numbers)]
    return f"{name} is no number of metrics.json; did you mean {nearest(name, known)}?"


def _by_metric(run: RunContent, drops: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    """Drops by the metric's own name (`ndcg@10`), however it was written."""
    names = {metric_key(metric): metric for metric in run.reranked.values}
    for name, drop in drops.items():
        metric = names.get(name, name)
        if metric not in run.reranked.values:
            raise ConfigError(f"--max-drop {name}: this run has {', '.join(names) or 'no metrics'}")
        yield metric, drop


def _differences(
    run: RunContent, baseline: RunContent, drops: Mapping[str, float], allowed: Allowed | None
) -> tuple[dict[str, Difference], list[str]]:
    """At the confidence of the run that is judged: its config is tonight's, the baseline's may be old."""
    metrics = [metric for metric, _ in _by_metric(run, drops)]
    own = settings_of([run])
    compared = compare_runs([baseline, run], metrics=metrics, allowed=allowed, confidence=own.confidence, seed=own.seed)
    return {one.metric: one.difference for one in compared.tested}, list(compared.notes)


def _canaries(run: RunContent) -> Check:
    """The built-in pairs: a job ends where they fail, so here it is only seen whether they were asked."""
    scored = (run.metrics.get("throughput") or {}).get("scored_pairs")
    if (run.metrics.get("scores") or {}).get("canaries_passed"):
        return Check("canaries", Ruling.PASSED, "the engine scored the built-in pairs sensibly")
    if not scored or run.metrics["model"]["family"] == "overlap":
        return Check("canaries", Ruling.PASSED, "no engine was asked, so none could fail on the built-in pairs")
    return Check("canaries", Ruling.CANNOT_TELL, "whether the engine was tried on the built-in pairs is not recorded")


def _does_not_apply(name: str, numbers: Mapping[str, float | None]) -> str | None:
    if numbers[name] is None and name.startswith(_OF_THE_ENGINE) and not numbers.get("throughput.scored_pairs"):
        return "the engine scored nothing in this run, the store knew every pair"
    return None


def _default_limits(
    numbers: Mapping[str, float | None], baseline: RunContent | None, given: set[str]
) -> Iterator[Check]:
    """Coverage as good as the baseline's, or whole where there is none; ties not much above it."""
    before = numbers_of(baseline.metrics) if baseline else {}
    for name in ("coverage.unanswered", "coverage.failed_pairs"):
        if name not in given:
            yield check_limit(name, numbers[name], most=before.get(name) or 0.0, reason=_source(baseline))
    name = "coverage.set_aside_rows"
    if name not in given and baseline is not None and numbers[name] is not None:
        yield check_limit(name, numbers[name], most=before.get(name) or 0.0, reason=_source(baseline))
    name = "scores.tied_share"
    if name not in given and numbers.get(name) is not None:
        limit = TIES_ABOVE_BASELINE + (before.get(name) or 0.0)
        reason = f"{TIES_ABOVE_BASELINE:g} above the baseline" if baseline else "the default"
        yield check_limit(name, numbers[name], most=limit, reason=reason)


def _source(baseline: RunContent | None) -> str:
    return "as in the baseline" if baseline else "the default"
