"""The command line. Each command imports what it needs when it runs, so that `--help` answers at once."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from pipelines.base.extras import needed_by, require_package
from pipelines.base.process import INTERRUPTED, called_with
from pipelines.base.surroundings import settle
from pipelines.cli import data, frontier, grading, judging, models, runs, scores, service, speed
from pipelines.cli.options import ConfigOption, JsonOption, SetOption
from stages.core.errors import ConfigError, RerankEvalError

app = typer.Typer(
    help="Does this reranker help, what does it cost, and is the difference real?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"rerank-eval {version('rerank-eval')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version, and end.")
    ] = False,
) -> None:
    """Does this reranker help, what does it cost, and is the difference real?"""


@app.command()
def run(
    config: ConfigOption,
    overrides: SetOption = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for run folders, instead of output.dir.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan; start no engine, write nothing.")] = False,
    no_store: Annotated[bool, typer.Option("--no-store", help="Score everything afresh; keep nothing.")] = False,
    gpu: Annotated[
        str | None,
        typer.Option("--gpu", help="With --dry-run: forecast from the arithmetic of this GPU, such as H100."),
    ] = None,
    json_output: JsonOption = False,
) -> None:
    """Rerank the candidates, measure what that changed and what it cost, log it to MLflow."""
    from pipelines.base.config import load_config

    # Quoted, since an override is YAML: a folder may be called 2024.
    changed = list(overrides or []) + ([f"output.dir={json.dumps(str(out))}"] if out else [])
    changed += ["rerank.store=null"] if no_store else []
    settings = load_config(config, changed, cascade=True)
    if dry_run:
        from pipelines.job.dry_run import print_plan

        print_plan(settings, as_json=json_output, gpu=gpu)
        return
    if gpu:
        raise ConfigError(
            "--gpu names a GPU to forecast for: add --dry-run, or set serve.accelerator_type to run on it"
        )
    require_package("ray")
    from pipelines.job.console import JobConsole
    from pipelines.job.run import run as run_job

    folder = run_job(settings, JobConsole(quiet=json_output))
    if json_output:
        for remark in json.loads(folder.analysis.read_text(encoding="utf-8"))["remarks"]:
            typer.echo(f"mind: {remark}", err=True)
        typer.echo(folder.metrics.read_text(encoding="utf-8"), nl=False)


@app.command()
def serve(
    config: ConfigOption,
    overrides: SetOption = None,
    host: Annotated[str | None, typer.Option("--host", help="Address, instead of serve.http.host.")] = None,
    port: Annotated[int | None, typer.Option("--port", help="Port, instead of serve.http.port.")] = None,
    no_ui: Annotated[bool, typer.Option("--no-ui", help="No page for people.")] = False,
    open_to_all: Annotated[
        bool, typer.Option("--open-to-all", help="Listen on any address without an API key; anybody may use it.")
    ] = False,
) -> None:
    """Serve the reranker over HTTP: POST /v1/rerank, and a page for people."""
    from pipelines.base.config import ServeConfig, load
    from pipelines.service.serve import run_service

    changed = list(overrides or [])
    changed += [f"serve.http.host={json.dumps(host)}"] if host else []
    changed += [f"serve.http.port={port}"] if port is not None else []
    changed += ["serve.http.page_port=null"] if no_ui else []
    run_service(load(ServeConfig, config, changed, cascade=True), open_to_all=open_to_all)


@app.command()
def submit(
    config: ConfigOption,
    overrides: SetOption = None,
    address: Annotated[
        str,
        typer.Option(
            "--address", envvar=["RAY_API_SERVER_ADDRESS", "RAY_ADDRESS"], help="The job server: Ray's dashboard."
        ),
    ] = "http://127.0.0.1:8265",
    working_dir: Annotated[
        Path, typer.Option("--working-dir", help="What travels, less .rayignore; the job runs in a copy of it.")
    ] = Path(),
    date: Annotated[
        datetime | None, typer.Option("--date", formats=["%Y-%m-%d"], help="Part of the job's name. Default: today.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Once more, though the job of this date succeeded.")] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not follow the log.")] = False,
    json_output: JsonOption = False,
) -> None:
    """Run the job on a Ray cluster, once per config and date; follow its log and exit as it does."""
    from pipelines.nightly.submit import describe_job, submit_job

    job = describe_job(config, overrides or (), working_dir, (date or datetime.now()).date())
    log = sys.stderr if json_output else sys.stdout
    standing = submit_job(job, address, again=again, wait=not no_wait, log=log)
    if json_output:
        typer.echo(json.dumps(asdict(standing)))
    raise typer.Exit(standing.exit_code or 0)


@app.command()
def schedule(
    config: ConfigOption,
    cron: Annotated[str | None, typer.Option("--cron", help="When: minute hour day month weekday.")] = None,
    timezone: Annotated[str | None, typer.Option("--timezone", help="Of --cron. Without: this machine's.")] = None,
    overrides: SetOption = None,
    once: Annotated[bool, typer.Option("--once", help="Run what is due and not done yet, then end: for cron.")] = False,
    status: Annotated[bool, typer.Option("--status", help="Print what was done and what is next.")] = False,
    retries: Annotated[int, typer.Option("--retries", min=0, help="Further tries of a failed run.")] = 3,
    backoff_s: Annotated[float, typer.Option("--backoff-s", min=0, help="Before the first retry; doubles.")] = 60.0,
    name: Annotated[str | None, typer.Option("--name", help="Of its state, instead of the config's.")] = None,
    state: Annotated[Path | None, typer.Option("--state", help="Its folder. Without: <output.dir>/schedule.")] = None,
    json_output: JsonOption = False,
) -> None:
    """Run the job at every occurrence of a cron expression; one that was missed is caught up once."""
    from pipelines.nightly.schedule import Schedule, print_status, run_schedule

    told = Schedule(config, overrides or (), cron, timezone, name, state, retries, backoff_s)
    if status:
        print_status(told, as_json=json_output)
        return
    raise typer.Exit(run_schedule(told, once=once))


@app.command()
def sync(
    run_folder: Annotated[Path, typer.Argument(help="A run folder, such as results/latest.")],
    uri: Annotated[str | None, typer.Option("--uri", help="MLflow tracking URI, instead of the run's own.")] = None,
) -> None:
    """Log a run folder to MLflow, again or for the first time; nothing is logged twice."""
    from pipelines.sweep.folder import SweepFolder

    if SweepFolder(run_folder).state.is_file():
        from pipelines.sweep.tracking import sync_sweep as log
    else:
        from pipelines.tracking.sync import sync_run as log
    typer.echo(f"logged as MLflow run {log(run_folder, uri)}")


# Below those above, in the order of --help.
data.add_to(app)
runs.add_to(app)
frontier.add_to(app)
judging.add_to(app)
grading.add_to(app)
service.add_to(app)
speed.add_to(app)
app.add_typer(models.app, name="models")
app.add_typer(scores.app, name="scores")


@contextlib.contextmanager
def _no_interrupt_lost() -> Iterator[None]:
    """Python drops what is raised in a finalizer, such as that of a connection. If that was Ctrl-C, it comes again."""
    others = sys.unraisablehook

    def hook(dropped: sys.UnraisableHookArgs) -> None:
        if not issubclass(dropped.exc_type, KeyboardInterrupt):
            others(dropped)
            return
        # Not at once: it would meet this very function, and be dropped as well.
        main_thread = threading.main_thread().ident
        again = threading.Timer(0.05, signal.pthread_kill, (main_thread, signal.SIGINT))
        again.daemon = True
        again.start()

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = others


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point: our errors become one line on stderr and their exit code; anything else is a bug, with its
    traceback.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    called_with(given)
    command = next((word for word in given if not word.startswith("-")), "rerank-eval")
    try:
        settle()
        with _no_interrupt_lost(), needed_by(command):
            app(args=given)
    except RerankEvalError as error:
        print(f"rerank-eval: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except SystemExit as stop:
        if stop.code == INTERRUPTED:  # what typer makes of Ctrl-C, without a word
            print("rerank-eval: interrupted", file=sys.stderr)
        raise
