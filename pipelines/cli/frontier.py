"""The command on stored scores: frontier. It imports what it needs when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.options import JsonOption


def add_to(app: typer.Typer) -> None:
    app.command()(frontier)


def frontier(
    runs: Annotated[
        list[Path], typer.Argument(help="Run folders of one model each, over the same candidates: A, B, ...")
    ],
    metric: Annotated[
        str | None, typer.Option("--metric", help="The metric that decides; by default the runs' first one.")
    ] = None,
    depths: Annotated[
        str | None, typer.Option("--depths", help="Depths to look at: 5,10,20, or every. Default: a grid.")
    ] = None,
    alphas: Annotated[
        list[float] | None,
        typer.Option(
            "--alpha", help="Expected loss of the metric to certify a depth for. Repeatable. Default: 0.01, 0.02, 0.05."
        ),
    ] = None,
    per_hour: Annotated[
        float | None,
        typer.Option("--price-per-hour", help="Of one replica: cost is told in money then."),
    ] = None,
    seconds: Annotated[
        list[str] | None,
        typer.Option(
            "--seconds-per-1000-pairs", help="A=3.5: engine seconds of a run that did not measure them. Repeatable."
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="Of the split: one half chooses, the other tells.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for the frontier's own folder.")] = Path("frontiers"),
    form: Annotated[
        str, typer.Option("--format", help="What the terminal shows: terminal, md, latex or json.")
    ] = "terminal",
    write: Annotated[Path | None, typer.Option("--write", help="Write the run config of --point here.")] = None,
    point: Annotated[
        str | None, typer.Option("--point", help="A point by its name: A50, or A100-B20 for a cascade.")
    ] = None,
    json_output: JsonOption = False,
) -> None:
    """Quality against cost of every depth, cascade and cut of finished runs, from their stored scores alone."""
    from pipelines.frontier.command import ALPHAS, Order, parse_seconds, print_frontier
    from pipelines.frontier.costs import Asked

    print_frontier(
        Order(
            runs=runs,
            metric=metric,
            depths=depths,
            alphas=tuple(alphas or ALPHAS),
            cost=Asked(per_hour, parse_seconds(seconds or ())),
            seed=seed,
            out=out,
            form="json" if json_output else form,
            write=write,
            point=point,
        )
    )
