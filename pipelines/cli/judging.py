"""The command for data without judgements: plan-judging. It imports what it needs when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.options import JsonOption
from stages.core.errors import ConfigError


def add_to(app: typer.Typer) -> None:
    app.command()(plan_judging)


def plan_judging(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN... or PLAN",
            help="A run folder (its order against its first stage's) or two (the second against the first); or the "
            "folder of a plan, to go on with it.",
        ),
    ],
    metric: Annotated[str | None, typer.Option("--metric", help="What is to be told, such as ndcg@10.")] = None,
    width: Annotated[
        float | None, typer.Option("--width", help="How far the interval's ends may be from the estimate, as 0.03.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the plan.")] = None,
    about: Annotated[
        str | None,
        typer.Option(
            "--about",
            help="these: exactly these queries; like-these: all that they are a sample of. Default: like-these.",
        ),
    ] = None,
    pilot: Annotated[
        int | None, typer.Option("--pilot", help="Queries judged before the number is known. Default: 30.")
    ] = None,
    sd: Annotated[
        float | None,
        typer.Option("--sd", help="Instead of a pilot: the standard deviation that a query's change is taken to have."),
    ] = None,
    stratify: Annotated[
        str | None, typer.Option("--stratify", help="A field of the queries; each value gets its share of the draw.")
    ] = None,
    pool: Annotated[
        int | None, typer.Option("--pool", help="How deep every list is judged. Default: the metric's cutoff.")
    ] = None,
    highest: Annotated[
        int | None, typer.Option("--highest", help="The largest grade. Default: 3, or that of known judgements.")
    ] = None,
    qrels: Annotated[
        Path | None, typer.Option("--qrels", help="Judgements that people gave already, instead of the runs' own.")
    ] = None,
    confidence: Annotated[
        float | None, typer.Option("--confidence", help="Of the interval. Default: evaluate.confidence of the runs.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Of the draw. Default: evaluate.seed.")] = None,
    filled: Annotated[
        list[Path] | None, typer.Option("--read", help="A filled tasks.jsonl from elsewhere. Repeatable.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="A filled file changes grades saved before.")] = False,
    serve: Annotated[bool, typer.Option("--serve", help="Open the judging page on this machine.")] = False,
    host: Annotated[str, typer.Option("--host", help="Address of the page.")] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option("--port", min=1, max=65535, help="Port of the page. Default: one that is free.")
    ] = None,
    open_to_all: Annotated[bool, typer.Option("--open-to-all", help="Let --host be one that others reach.")] = False,
    json_output: JsonOption = False,
) -> None:
    """Which queries, and how many, people must judge for an interval of +-x on a change; and the page to judge on."""
    from pipelines.judging.command import Continuing, continue_plan, start_plan
    from pipelines.judging.folder import PlanFolder
    from pipelines.judging.plan import PlanOrder
    from stages.judging.number import PILOT
    from stages.judging.precision import About

    if json_output and serve:
        raise ConfigError("--json prints numbers and ends, --serve stays: give one of them")
    then = Continuing(filled or (), overwrite, serve, host, port, open_to_all)
    if len(paths) == 1 and PlanFolder(paths[0]).is_plan():
        given = {"--metric": metric, "--width": width, "--out": out, "--sd": sd, "--stratify": stratify}
        given |= {"--about": about, "--pilot": pilot}
        given |= {"--pool": pool, "--highest": highest, "--qrels": qrels, "--confidence": confidence, "--seed": seed}
        if changed := [name for name, value in given.items() if value is not None]:
            raise ConfigError(
                f"{', '.join(changed)}: {paths[0]} is a plan, which is fixed; make a new one from the runs"
            )
        continue_plan(PlanFolder(paths[0]), then, as_json=json_output)
        return
    if metric is None or width is None or out is None:
        raise ConfigError(
            f"{paths[0]} is no plan; a new one needs --metric, --width and --out, as in: plan-judging results/latest "
            "--metric ndcg@10 --width 0.03 --out judging"
        )
    order = PlanOrder(
        runs=paths,
        out=out,
        metric=metric,
        width=width,
        about=about or About.LIKE_THESE.value,
        confidence=confidence,
        seed=seed,
        pilot=PILOT if pilot is None else pilot,
        sd=sd,
        stratify=stratify,
        pool=pool,
        highest=highest,
        qrels=qrels,
    )
    start_plan(order, then, as_json=json_output)
