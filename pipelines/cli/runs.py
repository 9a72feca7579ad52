"""The commands on finished runs: report, compare, gate, export, sweep. Each imports what it needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from pipelines.base.extras import require_package
from pipelines.cli.options import DEFAULT_URI, ConfigOption, FindOption, JsonOption, database_there

OtherJudgements = Annotated[
    bool, typer.Option("--different-judgements", help="Compare though the judgements differ, on shared queries.")
]
OtherCandidates = Annotated[
    bool, typer.Option("--different-candidates", help="Compare though the candidates differ, on shared queries.")
]


def add_to(app: typer.Typer) -> None:
    """Make them commands of `app`."""
    for command in (report, compare, gate, export, sweep):
        app.command()(command)


def report(
    run: Annotated[str, typer.Argument(help="A run folder, or the id or name of a run in MLflow.")] = "results/latest",
    form: Annotated[str, typer.Option("--format", help="terminal, md, latex, html or json.")] = "terminal",
    out: Annotated[Path | None, typer.Option("--out", help="File to write, instead of the terminal.")] = None,
    uri: FindOption = None,
) -> None:
    """What a run found: did it help, how sure is that, where, how deep, at what cost."""
    from pipelines.base.places import place_in
    from pipelines.runs.report import FORMS, check_form, print_report
    from pipelines.tracking.find import found_run

    check_form(form, FORMS)
    with found_run(run, uri or database_there()) as found:
        # What was fetched is gone in a moment, a page in it too.
        fetched = not Path(run).is_dir()
        page = found.folder.report
        if fetched:
            page = place_in(Path("reports"), found.run_id, f"run {run}: its run_id") / page.name
        print_report(found, form, out, page)


def compare(
    runs: Annotated[
        list[str], typer.Argument(help="Run folders, or ids or names in MLflow; the first is the baseline.")
    ],
    metrics: Annotated[
        str | None, typer.Option("--metrics", help="Comma-separated; by default all they share.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for the comparison's own folder.")] = Path("comparisons"),
    form: Annotated[
        str, typer.Option("--format", help="What the terminal shows: terminal, md, latex or json.")
    ] = "terminal",
    other_judgements: OtherJudgements = False,
    other_candidates: OtherCandidates = False,
    uri: FindOption = None,
    no_track: Annotated[bool, typer.Option("--no-track", help="Do not log the comparison to MLflow.")] = False,
    json_output: JsonOption = False,
) -> None:
    """Several runs against the first: differences with intervals, corrected p values, cost, and what was set apart; or
    two judgings: how far their judges agree with each other and with people.
    """
    from pipelines.comparing.command import Wanted, print_comparison
    from pipelines.grading.comparing import are_judgings, print_judges
    from pipelines.verdict.runs import Allowed

    if are_judgings(runs):
        print_judges(runs, "json" if json_output else form, out)
        return
    wanted = [name.strip() for name in metrics.split(",")] if metrics else []
    print_comparison(
        runs,
        wanted,
        Allowed(other_judgements, other_candidates),
        Wanted(
            out, "json" if json_output else form, uri or (database_there() if no_track else DEFAULT_URI), not no_track
        ),
    )


def gate(
    run: Annotated[str, typer.Argument(help="A run folder, or the id or name of a run in MLflow.")],
    against: Annotated[str | None, typer.Option("--against", help="The baseline: a run folder, id or name.")] = None,
    against_latest: Annotated[
        str | None,
        typer.Option(
            "--against-latest",
            help="The baseline: the last run before this one that passed, of this MLflow experiment or in this folder "
            "of results.",
        ),
    ] = None,
    pin: Annotated[
        str | None,
        typer.Option("--pin", help="A run that stays: the baseline of drift, or of all."),
    ] = None,
    max_drop: Annotated[
        list[str] | None, typer.Option("--max-drop", help="ndcg_at_10=0.01: the most that a metric may fall.")
    ] = None,
    max_drift: Annotated[
        list[str] | None, typer.Option("--max-drift", help="ndcg_at_10=0.02: the most it may fall below --pin.")
    ] = None,
    most: Annotated[list[str] | None, typer.Option("--max", help="queue_p95_ms=200: a number of metrics.json.")] = None,
    least: Annotated[list[str] | None, typer.Option("--min", help="pairs_per_s=100: a number of metrics.json.")] = None,
    slices: Annotated[
        list[str] | None, typer.Option("--slice", help="language=zh: queries that are also judged by themselves.")
    ] = None,
    slice_max_drop: Annotated[
        list[str] | None, typer.Option("--slice-max-drop", help="As --max-drop, for each slice. Default: --max-drop.")
    ] = None,
    min_queries: Annotated[
        int | None,
        typer.Option(
            "--min-queries", min=1, help="Fewer cannot tell a drop, unless every list is the same. Default: 20."
        ),
    ] = None,
    other_judgements: OtherJudgements = False,
    other_candidates: OtherCandidates = False,
    model_judgements: Annotated[
        bool, typer.Option("--model-judgements", help="Gate quality though a model judged, the same one for both.")
    ] = False,
    uri: FindOption = None,
    json_output: JsonOption = False,
) -> None:
    """May this run pass? By these rules, or without any by its own config's section gate.

    Exit code 0: yes; 1: no, with the sentence that says why; 5: its queries cannot tell.
    """
    from pipelines.verdict.gate import Baseline, print_verdict, run_gate
    from pipelines.verdict.limits import parse_limits
    from pipelines.verdict.runs import Allowed

    verdict = run_gate(
        run,
        Baseline(against, against_latest, pin),
        parse_limits(
            max_drop or (), most or (), least or (), max_drift or (), slices or (), slice_max_drop or (), min_queries
        ),
        Allowed(other_judgements, other_candidates, model_judgements),
        uri or database_there(),
    )
    print_verdict(verdict, as_json=json_output)
    raise typer.Exit(verdict.exit_code)


def export(
    to: Annotated[str, typer.Option("--to", help="trec, rank_llm, ragas, jsonl or parquet.")],
    run: Annotated[Path, typer.Argument(help="A run folder, or of several first stages one's own, runs/NAME.")] = Path(
        "results/latest"
    ),
    top: Annotated[int, typer.Option("--top", min=1, help="Documents of each query, at most.")] = 5,
    tokens: Annotated[
        int | None,
        typer.Option("--tokens", min=1, help="Of these, as many whole ones from the first on as fit so many tokens."),
    ] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option("--tokenizer", help="Folder or Hugging Face id that counts them, instead of the run's model."),
    ] = None,
    first_stage: Annotated[
        bool, typer.Option("--first-stage", help="The first stage's order instead, to compare with.")
    ] = False,
    reference: Annotated[
        str | None,
        typer.Option(
            "--reference",
            help="ragas: the column of the queries that holds the ground truth. Default: reference, ground_truth or "
            "answer, where there is one.",
        ),
    ] = None,
    out: Annotated[str, typer.Option("--out", help="File to write; - is the terminal.")] = "-",
) -> None:
    """The best documents of each query, with their texts, for the next stage: rank_llm, ragas, our rows, or TREC."""
    from pipelines.runs.export import ExportOrder, export_run
    from pipelines.runs.read import read_run_folder

    file = None if out == "-" else Path(out)
    order = ExportOrder(to, top, tokens, tokenizer, first_stage, reference)
    exported = export_run(read_run_folder(run), order, file)
    for note in exported.notes():
        typer.echo(f"mind: {note}", err=True)
    if file is not None:
        typer.echo(f"{exported.words} in {file}")


def sweep(
    config: ConfigOption,
    grid: Annotated[list[str], typer.Option("--grid", help="section.key=[a, b]: values to try. Repeatable.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Override a key in every point: section.key=value. Repeatable.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the sweep's, instead of output.dir.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="Of the sweep; the same name again goes on.")] = None,
    most: Annotated[int, typer.Option("--max-points", min=1, help="More points are refused.")] = 100,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the points; start nothing.")] = False,
    json_output: JsonOption = False,
) -> None:
    """Every point of a grid over settings as a run of its own; they share scores, and one MLflow run above them."""
    require_package("ray")
    from pipelines.job.console import JobConsole
    from pipelines.sweep.sweep import SweepOrder, print_plan, run_sweep

    changed = list(overrides or []) + ([f"output.dir={json.dumps(str(out))}"] if out else [])
    order = SweepOrder(config, grid, changed, name, most)
    if dry_run:
        print_plan(order, as_json=json_output)
        return
    done = run_sweep(order, JobConsole(quiet=json_output))
    if json_output:
        typer.echo(done.folder.state.read_text(encoding="utf-8"), nl=False)
    raise typer.Exit(done.exit_code)
