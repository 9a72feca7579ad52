"""Who takes part in a benchmark: names, titles, and which of them a model and an order allow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec

from pipelines.speed.bench import engines, ours
from pipelines.speed.bench.bench import Contender
from stages.core.errors import ConfigError
from stages.speed.benchmark import FEW_CLIENTS

# The bare engine with our settings: its scores are what all others are compared with.
REFERENCE = "engine-ours"
SENT: dict[engines.Sent, str] = {"ids": "token ids", "text": "texts"}
QUICK = (REFERENCE, "job-cold", "transformers", "engine-defaults", "server-ours-ids-8")


@dataclass(frozen=True, slots=True)
class Chosen:
    """Who runs, in this order, and what is left out and why."""

    contenders: tuple[Contender, ...]
    notes: tuple[str, ...]


def choose(family: str, load_format: str, clients: Sequence[int], only: Sequence[str], *, quick: bool) -> Chosen:
    """Of all contenders those that can score this model; of those `only` the named ones, where any are named.

    Raises ConfigError for a name that there is not.
    """
    every = contenders(clients)
    names = [one.name for one in every]
    if unknown := [name for name in only if name not in names]:
        raise ConfigError(f"--only {unknown[0]}: no such contender. Choose from: {', '.join(names)}")
    wanted = list(only) or (list(QUICK) if quick else names)
    reasons = {name: why for name in names if (why := _why_not(name, family, load_format))}
    notes = [f"{name}: {reasons[name]}" for name in wanted if name in reasons]
    if quick and not only:
        left_out = [name for name in names if name not in wanted and name not in reasons]
        notes.append(f"--quick leaves out: {', '.join(left_out)}")
    chosen = tuple(one for name in wanted for one in every if one.name == name and name not in reasons)
    if not chosen:
        raise ConfigError(f"none of the contenders can run: {'; '.join(notes)}")
    return Chosen(chosen, tuple(notes))


def contenders(clients: Sequence[int]) -> list[Contender]:
    """All of them. Servers are asked by each number of `clients`, which stands in brackets in their titles."""
    return [*_bare(clients), *_jobs(), *_services(clients), *_alone(), *_libraries()]


def _bare(clients: Sequence[int]) -> list[Contender]:
    few = min(clients, key=lambda number: abs(number - FEW_CLIENTS))
    defaults = partial(engines.server, "defaults", "ids", few)
    found = [
        Contender(
            "engine-defaults", "vLLM offline, defaults", "engine", False, partial(engines.offline, "defaults", False)
        ),
        Contender(REFERENCE, "vLLM offline, our settings", "engine", True, partial(engines.offline, "ours", False)),
        Contender("server-defaults-ids", f"vLLM server, defaults ({few})", "server", False, defaults, few),
    ]
    for number in clients:
        for send, told in SENT.items():
            title = f"vLLM server, {told} ({number})"
            run = partial(engines.server, "ours", send, number)
            found.append(Contender(f"server-ours-{send}-{number}", title, "server", True, run, number))
    return found


def _jobs() -> list[Contender]:
    return [
        Contender("job-cold", "our job, cold", "job", True, partial(ours.job, "none", False)),
        Contender("job-cold-store", "our job, cold, store on", "job", True, partial(ours.job, "fresh", False)),
        Contender("job-stored", "our job, all pairs stored", "stored", True, partial(ours.job, "filled", False)),
        Contender("job-warm", "our job, warm", "job", True, partial(ours.job, "none", True)),
        Contender("job-warm-store", "our job, warm, store on", "job", True, partial(ours.job, "fresh", True)),
    ]


def _services(clients: Sequence[int]) -> list[Contender]:
    return [
        Contender(f"service-{one}", f"our service ({one})", "service", True, partial(ours.service, one), one)
        for one in clients
    ]


def _alone() -> list[Contender]:
    """A query at a time: the next is sent when the one before is answered."""
    bare, mine = partial(engines.offline, "ours", True), partial(ours.service, 1)
    return [
        Contender("engine-alone", "vLLM offline, a query at a time", "alone", True, bare),
        Contender("service-alone", "our service, a query at a time", "alone", True, mine, 1),
    ]


def _libraries() -> list[Contender]:
    return [
        Contender("transformers", "Transformers", "library", False, partial(engines.library, "transformers")),
        Contender("cross-encoder", "CrossEncoder", "library", False, partial(engines.library, "cross-encoder")),
    ]


def _why_not(name: str, family: str, load_format: str) -> str | None:
    if name in ("transformers", "cross-encoder") and load_format == "dummy":
        return "the engine makes this model's weights up, and no file holds them"
    if name == "cross-encoder" and family != "cross-encoder":
        return f"sentence-transformers' CrossEncoder is for cross-encoders, and this model is a {family}"
    if name == "cross-encoder" and find_spec("sentence_transformers") is None:
        return "sentence-transformers is not installed"
    if "-ids" in name and family == "cross-encoder":
        return "vLLM's server takes no token types, which a cross-encoder's token ids need"
    return None
