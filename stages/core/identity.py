"""Everything that decides a score but the texts, as one record, and in what two such records differ."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, NamedTuple

LONGEST_SHOWN = 60
# What the identities of rerank-eval 0.1.0 begin with: lists, which left half of what decides a score out.
BEFORE = "["
# The family whose scores belong to a whole list.
LISTWISE = "listwise"


@dataclass(frozen=True, slots=True)
class ScoringIdentity:
    """Scores are the same where this and the texts are the same; a score store's key is made of it.

    `model` names the files that the model is loaded from: `owner/name@commit` on the Hugging Face hub, else `sha256:`
    and a digest of each file's content. `recipe` is the name of how it is scored, and a digest of
    what that says; `template` and `instruction` are None where the family has none. `device` is
    `cpu` or `cuda`, `dtype` what the engine computes in. `settings` are those of the engine that change values, each
    as JSON. `backend` is `vllm` or `transformers`. `long_documents` says how documents that do not fit are read in
    passages; None: they are cut. Versions are None where the package is not installed or computes nothing, and all of
    these where no engine is asked.
    """

    model: str
    family: str
    template: str | None
    instruction: str | None
    max_length: int
    scoring_version: int
    recipe: str | None = None
    device: str | None = None
    dtype: str | None = None
    vllm: str | None = None
    transformers: str | None = None
    tokenizers: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    backend: str | None = None
    long_documents: str | None = None

    @property
    def listwise(self) -> bool:
        """Whether a score belongs to its whole list and the order in it, instead of to a pair."""
        return self.family == LISTWISE

    @property
    def key(self) -> str:
        """One text for one identity."""
        return json.dumps(asdict(self), sort_keys=True, ensure_ascii=False)

    @property
    def digest(self) -> str:
        """16 hex digits that stand for it."""
        return hashlib.sha256(self.key.encode()).hexdigest()[:16]


class Difference(NamedTuple):
    """What two identities differ in: a field, or `settings.NAME`, with the value of each; None for none."""

    name: str
    one: Any
    other: Any

    @property
    def words(self) -> str:
        return f"{self.name} {_shown(self.one)} and {_shown(self.other)}"


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[Difference]:
    """In what two identities differ, as `asdict` gives them, in the order of the fields; what only one knows too."""
    first, second = dict(_flat(one)), dict(_flat(other))
    names = dict.fromkeys((*first, *second))
    return [
        Difference(name, first.get(name), second.get(name)) for name in names if first.get(name) != second.get(name)
    ]


def parse_identity(told: Mapping[str, Any]) -> ScoringIdentity | None:
    """What `asdict` gave; None where another version of rerank-eval wrote it, whose fields are not these."""
    known = {one.name for one in fields(ScoringIdentity)}
    return ScoringIdentity(**told) if set(told) == known else None


def read_key(key: str) -> ScoringIdentity | None:
    """The identity of a `key`; None for what is none of this version."""
    try:
        told = json.loads(key)
    except ValueError:
        return None
    return parse_identity(told) if isinstance(told, dict) else None


def _flat(identity: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in identity.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}.{key}", one) for key, one in value.items())
        else:
            yield name, value


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    text = str(value)
    if text.startswith("sha256:"):
        text = text[: len("sha256:") + 12]
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 3]}..."
