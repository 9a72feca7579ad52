"""With what a run was made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from stages.core.metrics import Metrics
from stages.report.document import Cell, Code, Column, Details, Section, Table


def settings_section(metrics: Metrics, environment: Mapping[str, Any], config_text: str) -> Section:
    """The model, versions and hardware; config and environment as a whole, folded."""
    model = metrics["model"]
    packages = ", ".join(f"{name} {version}" for name, version in (environment.get("packages") or {}).items())
    hardware = environment.get("hardware") or {}
    rows: list[list[Cell | str]] = [
        ["model", f"{model['name']} ({model['family']}, {model['dtype'] or 'not loaded'})"],
        ["scored as", model.get("recipe") or model["family"]],
        ["weights", str(model["weights_digest"] or model["revision"] or "not told")],
        ["commit", str(environment.get("git_commit") or "not told")],
        ["hardware", ", ".join(f"{name} {value}" for name, value in hardware.items())],
        ["packages", packages],
        ["settings, candidates", f"{metrics['config_digest']}, {metrics['candidates_digest'][:16]}"],
    ]
    table = Table([Column("", numeric=False), Column("", numeric=False)], rows)
    told = json.dumps(environment, indent=2, ensure_ascii=False, default=str)
    folded = [Details("The whole config", [Code(config_text)]), Details("The whole environment", [Code(told)])]
    return Section("With what settings?", [table, *folded])
