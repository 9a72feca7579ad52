"""What each run measured of its cost -> what any part of its pairs would cost.

An engine's cost is held to be in proportion to the tokens that it computes: those of the very pairs that a point asks
for, as the run counted them; a document that is computed once for all queries once, a cached prefix once a query.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from pipelines.frontier.billed import billed
from pipelines.frontier.inputs import Inputs, identity_of
from pipelines.runs.config import section
from pipelines.runs.folder import RunFolder
from pipelines.runs.read import RunContent, read_run_folder
from stages.core.errors import ConfigError, RerankEvalError
from stages.core.metrics import Metrics
from stages.core.records import Ranking
from stages.core.vectors import VECTOR_FAMILIES
from stages.files.rankings import read_rankings
from stages.frontier.cost import Cost, TextsRead, TokensRead, Work
from stages.frontier.lists import Floats
from stages.frontier.points import letter

PROCESSOR, GPU, MONEY, PAIRS = "processor seconds", "GPU seconds", "money", "pairs"
# Fewer measure how a job begins and ends.
LEAST_PAIRS = 100


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user says of cost: a price of an engine's hour, and by a run's letter its engine seconds for 1,000
    pairs, where the run did not measure them.
    """

    per_hour: float | None = None
    seconds: Mapping[str, float] | None = None


class Costs(NamedTuple):
    """One cost for each run, all in `unit`; `told` says of each where it is from, `notes` what to mind."""

    unit: str
    costs: tuple[Cost, ...]
    told: tuple[str, ...]
    notes: tuple[str, ...]


class Measured(NamedTuple):
    """Engine seconds of a run, of the kind asked for, and the units of work that took them; `by` which run."""

    seconds: float
    units: float
    by: str


def costs_of(inputs: Inputs, asked: Asked) -> Costs:
    """Raises ConfigError where runs have no cost in common, or one measured none: it says what to give."""
    unit = _unit(inputs.runs, asked)
    notes: list[str] = []
    costs: list[Cost] = []
    told: list[str] = []
    for place, run in enumerate(inputs.runs):
        if run.metrics.get("hosted"):
            cost, words, note = billed(inputs, place)
            notes += [note] if note else []
        else:
            found, words = _computed(inputs, place, unit, asked, notes)
            if found is None and len(inputs.runs) == 1:
                notes.append(f"{_unmeasured(run, 0)}. Until then a point's cost is its number of pairs")
                by_pair = Cost(TokensRead(np.ones(inputs.shape), np.zeros(inputs.shape[0])))
                return Costs(PAIRS, (by_pair,), ("1 a pair",), tuple(notes))
            if found is None:
                raise ConfigError(_unmeasured(run, place))
            cost = found
        costs.append(cost)
        told.append(words)
    return Costs(unit, tuple(costs), tuple(told), tuple(dict.fromkeys(notes)))


def _unit(runs: Sequence[RunContent], asked: Asked) -> str:
    if asked.per_hour is not None or any(run.metrics.get("hosted") for run in runs):
        return MONEY
    kinds = {_kind(run) for run in runs}
    if len(kinds) > 1:
        raise ConfigError(
            f"some of these runs computed on GPUs and some on processors, whose seconds are not alike "
            f"({', '.join(f'{letter(place)}: {_kind(run)}' for place, run in enumerate(runs))}). Give --price-per-hour"
        )
    return kinds.pop()


def _kind(run: RunContent) -> str:
    return GPU if identity_of(run).get("device") == "cuda" else PROCESSOR


def _computed(inputs: Inputs, place: int, unit: str, asked: Asked, notes: list[str]) -> tuple[Cost | None, str]:
    """By what this run measured, else a run beside it that scored alike, else the user's word."""
    run, name = inputs.runs[place], letter(place)
    work, counted = _work(inputs, place)
    price = 1.0 if unit != MONEY else _per_hour(run, asked, name) / 3600
    if (said := (asked.seconds or {}).get(name)) is not None:
        whole = inputs.reach[place]
        everything = inputs.asked(whole)
        per_unit = said / 1000 * everything.sum() / max(work.of(everything), 1e-12)
        return Cost(work, per_unit * price), f"{said:g} s for 1,000 pairs, as given"
    found = _measured(run, unit, counted=counted) or _beside(run, unit, counted=counted)
    if found is None:
        return None, ""
    if found.by != run.run_id:
        notes.append(f"{name} measured too little itself: its rate is that of run {found.by}, which scored alike")
    if not counted:
        notes.append(f"{name} counted no tokens of its pairs: its cost is in proportion to their number")
    what = "tokens" if counted else "texts" if isinstance(work, TextsRead) else "pairs"
    kind = PROCESSOR if unit == PROCESSOR else "engine seconds"
    words = f"{found.seconds:.4g} {kind} for {found.units:,.0f} {what}, as run {found.by} measured"
    return Cost(work, found.seconds / found.units * price), words


def _unmeasured(run: RunContent, place: int) -> str:
    return (
        f"{letter(place)} ({run.run_id}) does not know what its pairs cost: it is of an earlier version, or scored "
        f"fewer than {LEAST_PAIRS} pairs itself. Run it once with --no-store, or give --seconds-per-1000-pairs "
        f"{letter(place)}=SECONDS"
    )


def _per_hour(run: RunContent, asked: Asked, name: str) -> float:
    price = asked.per_hour if asked.per_hour is not None else section(run.config, "cost").get("per_hour")
    if price is None:
        raise ConfigError(
            f"{name} ({run.run_id}) has no price: give --price-per-hour, or set cost.per_hour in its config"
        )
    return float(price)


def _work(inputs: Inputs, place: int) -> tuple[Work, bool]:
    """What the run's engine reads for its pairs; and whether tokens were counted."""
    run = inputs.runs[place]
    tokens, counted = _tokens(inputs, place)
    family = identity_of(run).get("family") or run.metrics["model"]["family"]
    if family in VECTOR_FAMILIES:
        numbers = inputs.numbers
        of_text = np.zeros(int(numbers.max(initial=-1)) + 1)
        of_text[numbers[numbers >= 0]] = tokens[numbers >= 0]
        return TextsRead(of_text, numbers), counted
    shared = [_shared(inputs.rankings[place][query.query_id]) for query in inputs.queries]
    return TokensRead(tokens, np.array(shared) if counted else np.zeros(inputs.shape[0])), counted


def _tokens(inputs: Inputs, place: int) -> tuple[Floats, bool]:
    """Of each pair; those that were not counted, as they failed, as many as the others have on average."""
    found = np.full(inputs.shape, np.nan)
    for row, query in enumerate(inputs.queries):
        counts = query.tokens[place]
        found[row, : len(query.top)] = [counts.get(doc_id, np.nan) for doc_id in query.top]
    if np.isnan(found).all():
        return np.ones(inputs.shape), False
    return np.where(np.isnan(found), np.nanmean(found), found), True


def _shared(ranking: Ranking) -> float:
    """The tokens that each prompt but the first had cached, of those that the engine read in the run."""
    read = len(ranking.doc_ids) + len(ranking.failed) - ranking.store_hits - ranking.reused_pairs
    return ranking.cached_tokens / (read - 1) if read > 1 else 0.0


def _measured(run: RunContent, unit: str, *, counted: bool) -> Measured | None:
    """None where too little was scored, or nobody measured."""
    folder, metrics = run.folder, run.metrics
    if folder.parent is not None:  # of several first stages the job's own folder has what it took
        try:
            run = read_run_folder(folder.parent.path)
        except RerankEvalError:
            return None
        folder, metrics = run.folder, run.metrics
    pairs = metrics["throughput"]["scored_pairs"] or 0
    if pairs < LEAST_PAIRS:
        return None
    seconds = metrics["throughput"].get("engine_processor_s") if unit == PROCESSOR else _held_s(run)
    if seconds and unit == GPU:
        seconds *= _gpus(run)
    units = _units_read(folder, metrics, counted=counted)
    return Measured(seconds, units, run.run_id) if seconds and units > 0 else None


def _gpus(run: RunContent) -> float:
    """Those of one replica."""
    given = section(run.config, "serve").get("gpus_per_replica")
    return float(given or section(run.config, "engine").get("tensor_parallel") or 1)


def _held_s(run: RunContent) -> float | None:
    """Seconds for which engines were held, of all replicas added up."""
    cost: Mapping[str, Any] = run.analysis.get("cost") or {}
    pairs, scored = run.metrics["coverage"]["pairs"], run.metrics["throughput"]["scored_pairs"]
    if not cost.get("engine_s_per_query") or not pairs or not scored or not cost.get("pairs_per_query"):
        return None
    queries = pairs / cost["pairs_per_query"]
    return float(cost["engine_s_per_query"] * queries * scored / pairs)


def _units_read(folder: RunFolder, metrics: Metrics, *, counted: bool) -> float:
    """What the engine computed in the run."""
    if counted:
        return float(sum(one.prompt_tokens - one.cached_tokens for one in read_rankings(folder.rankings)))
    reused = metrics["cache"].get("reused_vectors") or 0
    return float((metrics["throughput"]["scored_pairs"] or 0) - reused)


def _beside(run: RunContent, unit: str, *, counted: bool) -> Measured | None:
    """The newest run in the same folder of results that scored alike on a machine like this one's."""
    digest = identity_of(run).get("digest")
    found = []
    for file in run.folder.path.parent.glob("*/metrics.json"):
        if file.parent.is_symlink() or file.parent == run.folder.path or digest is None:
            continue
        try:
            other = read_run_folder(file.parent)
        except RerankEvalError:
            continue
        same = identity_of(other).get("digest") == digest
        if same and _hardware(other) == _hardware(run) and (one := _measured(other, unit, counted=counted)):
            found.append((str(other.metrics.get("started")), one))
    return max(found)[1] if found else None


def _hardware(run: RunContent) -> str:
    told: Mapping[str, Any] = run.environment.get("hardware") or {}
    return json.dumps([told.get("processor"), told.get("cores")])
