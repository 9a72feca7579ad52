"""In what the configs of runs differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.base.cascade import INHERITED
from pipelines.base.config import VERSION_KEY, RunConfig
from pipelines.base.flatten import flatten
from pipelines.base.redaction import redacted
from pipelines.runs.config import stages_of
from stages.core.cascade import cascade_name
from stages.sources import DataSettings

NOT_COMPARED = ("gate", "output", "tracking", "cost", VERSION_KEY)
"""What of a config decides no result."""


def differing_keys(configs: Sequence[Mapping[str, Any]]) -> dict[str, tuple[Any, ...]]:
    """`section.key` -> its value in each config, for the keys that are not the same in all; secrets are masked.

    A key that an earlier version did not have counts as its default there. Where cascades of other numbers of stages
    are among them, or one model, each is told in a word: `model.name`, with the depths of a cascade.
    """
    alike = len({len(stages_of(config)) for config in configs}) == 1
    flat = [_flat(config, alike) for config in configs]
    defaults = dict(flatten(RunConfig(data=DataSettings(format="jsonl", path="-")).model_dump(mode="json")))
    names = dict.fromkeys(name for one in flat for name in one)
    values = {
        name: tuple(
            one.get(name, None if stages_of(config) and _is_of_stages(name) else defaults.get(name))
            for config, one in zip(configs, flat, strict=True)
        )
        for name in names
    }
    return {
        name: of_runs
        for name, of_runs in values.items()
        if name.split(".")[0] not in NOT_COMPARED
        and name.rpartition(".")[0].split(".")[-1] != "cost"
        and any(value != of_runs[0] for value in of_runs)
    }


def _flat(config: Mapping[str, Any], alike: bool) -> dict[str, Any]:
    told = redacted(dict(config))
    flat = dict(flatten(told, lists=alike))
    if alike:
        return flat
    flat = {name: value for name, value in flat.items() if name == "model.name" or not _is_of_stages(name)}
    if stages := stages_of(told):
        names = cascade_name([(one.get("model") or {}).get("name") for one in stages])
        flat["model.name"] = f"{names} ({', '.join(str(one.get('depth') or 'all') for one in stages)})"
        flat.pop("rerank.stages", None)
    return flat


def _is_of_stages(name: str) -> bool:
    """Whether a cascade has the key in its stages, and not above them."""
    return name.split(".", maxsplit=1)[0] in ("model", *INHERITED)
