"""What a diagnosis finds: one observation with its evidence, what it means, and what to change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Literal

Step = Literal["metrics", "resources", "requests", "pressure", "direct"]


class Weight(IntEnum):
    """How much a finding explains. The heaviest one is the bottleneck; NOTE and below are none."""

    FINE = 0  # looked at, and nothing is wrong
    NOTE = 1  # worth knowing, slows nothing down
    COST = 2  # costs something, though something else may cost more
    LIMIT = 3  # the service cannot be faster while this lasts
    BROKEN = 4  # results are wrong or missing: speed does not matter before this is mended


@dataclass(frozen=True, slots=True)
class Advice:
    """What to change next. `setting` is a key of the config, as `serve.replicas`, with its value now and the one to
    try; None where the change is made elsewhere. A `value` of None is the reader's to choose; YAML's null is the text
    `null`. `action` and `effect` are said in words, without a full stop.
    """

    action: str
    effect: str
    setting: str | None = None
    now: Any = None
    value: Any = None


@dataclass(frozen=True, slots=True)
class Finding:
    """`kind` is its stable name; `words` say it with the figures (see `sentence`); `evidence` are the figures by name.

    Units are in the names (`_ms`, `_s`, `_share` is 0 to 1, `_cores`).
    """

    step: Step
    kind: str
    weight: Weight
    words: str
    evidence: Mapping[str, float | str | None] = field(default_factory=dict)
    advice: Advice | None = None

    @property
    def sentence(self) -> str:
        """The words with a capital at their start and a full stop."""
        return f"{self.words[:1].upper()}{self.words[1:].rstrip('.')}."
