"""The file of `--limits F`: where a metric's meaning changes, in sections `health` and `resources`, read strictly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic_core import ErrorDetails

from pipelines.base.yaml_text import read_yaml
from stages.core.errors import ConfigError
from stages.core.words import did_you_mean
from stages.diagnosis.resources import ResourceLimits
from stages.telemetry.health import Zones

# A limit that is not a number compares with nothing.
_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class ServiceLimits:
    """Both sections, with the defaults of what the file leaves out."""

    health: Zones
    resources: ResourceLimits


SECTIONS: Mapping[str, type[Any]] = {"health": Zones, "resources": ResourceLimits}


def load_limits(path: Path | None) -> ServiceLimits:
    """The limits of a YAML file; None: the defaults. Raises ConfigError that names the file, the key, the remedy."""
    if path is None:
        return ServiceLimits(Zones(), ResourceLimits())
    content = _read(path)
    for name in content:
        if name not in SECTIONS:
            raise ConfigError(f"limits {path}: unknown section {name}{did_you_mean(str(name), SECTIONS)}")
    sections = {name: _section(path, name, kind, content.get(name)) for name, kind in SECTIONS.items()}
    return ServiceLimits(**sections)


def _read(path: Path) -> dict[Any, Any]:
    content = read_yaml(path, "limits")
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"limits {path}: expected sections ({', '.join(SECTIONS)}), found {content!r:.60}")
    return content


def _section(path: Path, name: str, kind: type[Any], given: Any) -> Any:
    """One dataclass from its section. `health:` with nothing below it is a section of defaults."""
    if given is None:
        return kind()
    if not isinstance(given, dict) or not all(isinstance(key, str) for key in given):
        raise ConfigError(f"limits {path}: {name} holds {given!r:.60}; expected keys such as {_example(kind)}")
    types = get_type_hints(kind)
    known: dict[str, Any] = {one.name: (types[one.name], None) for one in fields(kind)}
    try:
        checked: BaseModel = create_model(name, __config__=_STRICT, **known)(**given)
        return kind(**checked.model_dump(exclude_unset=True))
    except ValidationError as error:
        raise ConfigError(f"limits {path}: " + "; ".join(_explain(name, kind, e) for e in error.errors())) from error
    except ConfigError as error:
        raise ConfigError(f"limits {path}: {error}") from error


def _explain(section: str, kind: type[Any], error: ErrorDetails) -> str:
    place = ".".join(str(part) for part in (section, *error["loc"]))
    if error["type"] == "extra_forbidden":
        known = [one.name for one in fields(kind)]
        return f"unknown key {place}{did_you_mean(str(error['loc'][-1]), known)}"
    return f"{place}: {error['msg']}, not {error['input']!r:.80}"


def _example(kind: type[Any]) -> str:
    one = fields(kind)[0]
    return f"{one.name}: {one.default if one.default is not MISSING else '...'}"
