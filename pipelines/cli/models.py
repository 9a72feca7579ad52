"""The commands on models: `rerank-eval models` and `rerank-eval models check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.options import JsonOption, SetOption

app = typer.Typer(help="Which models can be scored, and how one would be.", invoke_without_command=True)


@app.callback()
def models(context: typer.Context, json_output: JsonOption = False) -> None:
    """Which models can be scored, and how one would be. Alone: the recipes, what each needs, how it was verified."""
    if context.invoked_subcommand is None:
        from pipelines.job.models import print_recipes

        print_recipes(as_json=json_output)


@app.command()
def check(
    model: Annotated[
        str | None, typer.Argument(help="A folder or a Hugging Face id, instead of the config's.", show_default=False)
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="A run config, for its model.", show_default=False)
    ] = None,
    overrides: SetOption = None,
    json_output: JsonOption = False,
) -> None:
    """How a job would score this model, or why it refuses to (exit code 2). Starts no engine."""
    from pipelines.job.models import print_check

    print_check(model, config, overrides or (), as_json=json_output)
