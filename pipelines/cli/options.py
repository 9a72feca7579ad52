"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_DATABASE = Path("mlflow.db")
DEFAULT_URI = f"sqlite:///{DEFAULT_DATABASE}"

ConfigOption = Annotated[
    Path,
    typer.Option(
        "--config", "-c", help="The run config: a YAML file, or a bundled one by name: demo.", show_default=False
    ),
]
SetOption = Annotated[list[str] | None, typer.Option("--set", help="Override a key: section.key=value. Repeatable.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the numbers as JSON, and nothing else.")]
FindOption = Annotated[
    str | None,
    typer.Option(
        "--uri", envvar="MLFLOW_TRACKING_URI", help="MLflow, where runs are looked up and results are logged."
    ),
]
TrackOption = Annotated[bool, typer.Option("--track", help="Log what was found to MLflow.")]
TrackUriOption = Annotated[str, typer.Option("--uri", envvar="MLFLOW_TRACKING_URI", help="MLflow, where --track logs.")]


def database_there() -> str | None:
    """The default database where there is one: looking a run up makes none."""
    return DEFAULT_URI if DEFAULT_DATABASE.is_file() else None
