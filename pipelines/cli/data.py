"""The command that says what files are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.options import JsonOption


def data(
    paths: Annotated[list[Path], typer.Argument(help="Files or folders; those that belong together, in one call.")],
    json_output: JsonOption = False,
) -> None:
    """What a file is, what it holds, and the section of a run config that reads it. Starts nothing."""
    from pipelines.job.describe_data import print_description

    print_description(paths, as_json=json_output)


def add_to(app: typer.Typer) -> None:
    app.command()(data)
