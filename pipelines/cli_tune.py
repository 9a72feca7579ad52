"""The command `rerank-eval tune`. It imports what it needs when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli_runs import JsonOption


def tune(
    config: Annotated[
        Path, typer.Option("--config", "-c", help="The run config, a YAML file; it is not changed.", show_default=False)
    ],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Override a key: section.key=value. Repeatable.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="File to write. Without: NAME.tuned.yaml beside the config.")
    ] = None,
    pairs: Annotated[int, typer.Option("--pairs", min=1, help="The data's first pairs, at most so many.")] = 1000,
    minutes: Annotated[float, typer.Option("--minutes", min=0.1, help="How long to search.")] = 10.0,
    json_output: JsonOption = False,
) -> None:
    """Search the engine settings that are fastest for this device, model and data; write the config."""
    from pipelines.console import Console
    from pipelines.tune import TuneOrder
    from pipelines.tune import tune as run_tune

    order = TuneOrder(config, tuple(overrides or ()), out, pairs, minutes, json_output)
    run_tune(order, Console(quiet=json_output))
