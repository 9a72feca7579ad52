"""What replicas tell of their engines, as the collector keeps it, read by whoever has it, with a Ray or without."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def engine_fact(replicas: Sequence[Mapping[str, Any]], name: str) -> Any:
    """What the newest replica that lives says of its engine; where none does, the last. None: nobody said it."""
    told = [facts for facts in replicas if name in facts]
    living = [facts for facts in told if facts.get("ended_s") is None]
    return (living or told or [{name: None}])[-1][name]


def phase_of_start(replicas: Sequence[Mapping[str, Any]]) -> str | None:
    """What the engine is at that began last, of those that are not ready; None where none is, or does not say."""
    starting = [facts for facts in replicas if facts.get("ended_s") is None and "ready_s" not in facts]
    return starting[-1].get("phase") if starting else None


def notes_of(replicas: Iterable[Mapping[str, Any]]) -> list[str]:
    """What these replicas say that the user should know, each thing once."""
    return sorted({facts[name] for facts in replicas for name in ("note", "niceness") if name in facts})
