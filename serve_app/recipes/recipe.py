"""What every recipe tells: where it was published, for which models, and what a raw value becomes."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from serve_app.base_settings import Settings
from serve_app.settings import Family
from stages.core.scoring import sigmoid

# Of a recipe that is written in a run config.
OWN = "own"


class Score(Settings):
    """A raw value -> what a user sees: activation((raw - shift) * scale). Lists are ranked by the raw value."""

    shift: float = Field(0.0, allow_inf_nan=False)
    scale: float = Field(1.0, gt=0, allow_inf_nan=False)
    activation: Literal["none", "sigmoid"] = "sigmoid"

    def of(self, raw: float) -> float:
        value = (raw - self.shift) * self.scale
        return sigmoid(value) if self.activation == "sigmoid" else value


class BaseRecipe(Settings):
    """`hub` are patterns of hub ids (fnmatch) that it was published for, `architectures` those of config.json that it
    can be read with; none: any that the kind knows. `max_length` is the publisher's limit in tokens, null the model's.
    `verified` says what its scores were compared with.
    """

    family: ClassVar[Family]

    name: str = OWN
    source: str = ""
    verified: str = ""
    hub: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    max_length: int | None = Field(None, gt=8)
