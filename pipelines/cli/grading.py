"""The command for a judge model: judge. It imports what it needs when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.base.extras import require_package
from pipelines.cli.options import JsonOption, SetOption


def add_to(app: typer.Typer) -> None:
    app.command()(judge)


def judge(
    runs: Annotated[list[Path], typer.Argument(help="Run folders: the top of each of their lists is graded.")],
    config: Annotated[
        Path, typer.Option("--config", "-c", help="The judge's config: a YAML file.", show_default=False)
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for the judging; the same command goes on in it.")],
    overrides: SetOption = None,
    qrels: Annotated[
        Path | None, typer.Option("--qrels", help="Judgements that people gave, instead of the runs' own.")
    ] = None,
    plan: Annotated[
        Path | None,
        typer.Option("--plan", help="Folder of plan-judging, finished: its queries were drawn at random."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be asked; ask nobody.")] = False,
    json_output: JsonOption = False,
) -> None:
    """Have a language model grade the runs' documents from 0 to 3, and say how far to believe it."""
    from pipelines.base.judge_config import load_judge_config
    from pipelines.grading.command import print_judging
    from pipelines.grading.order import JudgeOrder
    from pipelines.grading.plan import print_plan

    order = JudgeOrder(runs, load_judge_config(config, overrides or ()), out, qrels, plan)
    if dry_run:
        print_plan(order, as_json=json_output)
        return
    require_package("ray" if order.config.judge.url is None else "httpx")
    print_judging(order, as_json=json_output)
