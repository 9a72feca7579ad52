"""`rerank.stages`: a cascade, whose stages each have a model of their own and take the rest from the top level."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from pydantic import BaseModel, Field

from pipelines.base.paid_sections import CostSettings, HostedSettings
from serve_app.base_settings import Settings
from serve_app.settings import DeploymentSettings, EngineSettings, ModelSettings
from stages.sources import DataSettings

INHERITED = ("engine", "serve", "hosted", "cost")
"""The sections that a stage takes from the top level, key by key, where it does not set a key itself."""
DEPTH: int = DataSettings.model_fields["depth"].get_default()
OF_THE_WHOLE = ("http", "ray_address")
"""Keys of `serve` that no stage has for itself: one service, one cluster."""


class StageSettings(Settings):
    """One stage of a cascade. What its engine, serve, hosted and cost do not set is as at the top level."""

    depth: int | None = Field(
        None,
        gt=0,
        description="How many documents of what the stage before left are reranked; the rest follow in its order. Of "
        "stage 0 that is data.depth, which need not be said twice.",
    )
    model: ModelSettings = Field(description="As the section model, which a config with stages has not.")
    engine: EngineSettings = EngineSettings()
    serve: DeploymentSettings = DeploymentSettings()
    hosted: HostedSettings = HostedSettings()
    cost: CostSettings = CostSettings()


def merged(content: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A copy with the changes; mappings are merged key by key, everything else is replaced."""
    result = dict(content)
    for name, value in changes.items():
        before = result.get(name)
        both = isinstance(value, Mapping) and isinstance(before, Mapping)
        result[name] = merged(before or {}, value) if both else value
    return result


def resolved(content: Any) -> Any:
    """A config's content in which each stage has whole sections, and `data.depth` and the first one's depth are one.

    Raises ValueError for a key that each stage sets otherwise: at the top level it would do nothing. What else is not
    as it should be stays as it is: validation tells of it.
    """
    sections = _plain(content)
    rerank: Any = sections.get("rerank") if isinstance(sections, dict) else None
    stages: Any = rerank.get("stages") if isinstance(rerank, dict) else None
    if not isinstance(stages, list | tuple) or not all(isinstance(stage, dict) for stage in stages):
        return content
    stages = [_inheriting(stage, sections) for stage in stages]
    for name in INHERITED:
        takers = [stage.get(name) for stage in stages if name == "cost" or _is_hosted(stage) == (name == "hosted")]
        _refuse_idle(name, sections.get(name), takers)
    data = sections.get("data")
    if stages and isinstance(data, dict):
        first = stages[0].get("depth")
        if "depth" not in data:
            sections["data"] = data = data | {"depth": DEPTH if first is None else first}
        if first is None:
            stages[0]["depth"] = data["depth"]
    return {**sections, "rerank": {**rerank, "stages": stages}}


def check_stages(stages: Sequence[StageSettings], serve: DeploymentSettings, hosted: HostedSettings) -> None:
    """Raises ValueError for what no cascade can be."""
    if len(stages) < 2:
        raise ValueError("rerank.stages: a cascade has two stages or more; of one, give model and data.depth instead")
    depths = [stage.depth for stage in stages]
    for place, (before, depth) in enumerate(pairwise(depths), 1):
        if depth is None:
            raise ValueError(f"rerank.stages.{place}.depth is missing: say how many of what was left it reranks")
        if depth > (before or math.inf):
            raise ValueError(
                f"rerank.stages.{place}.depth {depth} is more than {before}, the depth of the stage before: what that "
                "did not rerank cannot be reached. Depths may stay or shrink"
            )
    for place, stage in enumerate(stages):
        _check_one(stage, f"rerank.stages.{place}", serve)
    if hosted != HostedSettings() and not any(stage.model.api for stage in stages):
        raise ValueError("hosted: is about a hosted model. Set model.api in a stage, or remove the section")
    _check_applications(stages)


def _check_one(stage: StageSettings, place: str, serve: DeploymentSettings) -> None:
    if stage.model.api is None and stage.hosted != HostedSettings():
        raise ValueError(f"{place}.hosted: is about a hosted model. Set its model.api, or remove the section")
    for name in OF_THE_WHOLE:
        if getattr(stage.serve, name) != getattr(serve, name):
            raise ValueError(f"{place}.serve.{name}: all stages share it. Set serve.{name} at the top level")


def _check_applications(stages: Sequence[StageSettings]) -> None:
    """An application is of one model with one engine's settings."""
    named: dict[str, tuple[int, StageSettings]] = {}
    for place, stage in enumerate(stages):
        if (name := stage.serve.application) is None or stage.model.api is not None:
            continue
        other, first = named.setdefault(name, (place, stage))
        if (first.model, first.engine) != (stage.model, stage.engine):
            raise ValueError(
                f"serve.application {name}: the stages {other} and {place} have other models or engines, which are no "
                "one application. Name each in its stage, or none"
            )


def above_stages(content: Mapping[str, Any]) -> dict[str, Any]:
    """A config's content without what its stages hold; these without what all of them share."""
    left_out = {"model", *INHERITED} - {"serve"}
    kept = {name: value for name, value in content.items() if name not in left_out}
    if "serve" in kept:
        kept["serve"] = {name: value for name, value in kept["serve"].items() if name in OF_THE_WHOLE}
    if "rerank" in kept:
        kept["rerank"] = {**kept["rerank"], "stages": list(map(_by_itself, kept["rerank"]["stages"]))}
    return kept


def _by_itself(stage: Mapping[str, Any]) -> dict[str, Any]:
    serve = {name: value for name, value in stage["serve"].items() if name not in OF_THE_WHOLE}
    return {**stage, "serve": serve}


def _inheriting(stage: dict[str, Any], sections: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(stage)
    for name in INHERITED:
        above, own = sections.get(name), stage.get(name)
        if name == "hosted" and not _is_hosted(stage):
            continue
        if isinstance(above, dict) and isinstance(own, dict | None):
            result[name] = merged(above, own or {})
        elif name in result and own is None:  # `engine:` alone
            result[name] = {}
    return result


def _is_hosted(stage: Mapping[str, Any]) -> bool:
    model = stage.get("model")
    return isinstance(model, dict) and model.get("api") is not None


def _refuse_idle(place: str, above: Any, stages: Sequence[Any]) -> None:
    if not isinstance(above, dict) or not stages or not all(isinstance(stage, dict) for stage in stages):
        return
    for name, value in above.items():
        if place == "serve" and name in OF_THE_WHOLE:
            continue
        key, theirs = f"{place}.{name}", [stage.get(name) for stage in stages]
        if isinstance(value, dict):
            _refuse_idle(key, value, theirs)
        elif all(own != value for own in theirs):
            raise ValueError(
                f"{key} {value!r:.40}: each stage sets it otherwise, so it would do nothing. Set it in the stages, as "
                f"rerank.stages.0.{key}"
            )


def _plain(value: Any) -> Any:
    """Settings as the mappings that they were given as."""
    if isinstance(value, BaseModel):
        return _plain(value.model_dump(exclude_unset=True))
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value
