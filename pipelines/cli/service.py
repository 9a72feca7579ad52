"""The commands that ask a running service: diagnose, watch, loadtest, verify; and the handbook. Each imports what it
needs when it runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.options import DEFAULT_URI, ConfigOption, JsonOption, SetOption, TrackOption, TrackUriOption

UrlOption = Annotated[str, typer.Option("--url", help="The service. Its key, if any, comes from $RERANK_EVAL_API_KEY.")]
StartedWithOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="The run config that the service was started with.")
]
LimitsOption = Annotated[
    Path | None, typer.Option("--limits", help="YAML with your own limits: sections health and resources.")
]
OwnOption = Annotated[
    bool, typer.Option("--i-own-this-server", help="Put load on a service that is not on this machine.")
]
ShapeOption = Annotated[
    str | None, typer.Option("--shape", help="Send made-up requests: 1 query x documents x tokens, 1x100x200.")
]
SentOption = Annotated[Path | None, typer.Option("--config", "-c", help="Send the candidates of this run config.")]
ModeOption = Annotated[str, typer.Option("--mode", help="closed: clients that wait for answers; open: a rate.")]
DEFAULT_URL = "http://127.0.0.1:8000"  # as pipelines.service.target has it, whose httpx would slow --help down


def add_to(app: typer.Typer) -> None:
    """Make them commands of `app`."""
    for command in (diagnose, watch, loadtest, verify, handbook):
        app.command()(command)


def diagnose(
    url: UrlOption = DEFAULT_URL,
    config: StartedWithOption = None,
    seconds: Annotated[float, typer.Option("--seconds", min=2, help="How long the service is watched.")] = 20.0,
    probe: Annotated[
        str, typer.Option("--probe", help="What is sent where the service has no traffic of its own.")
    ] = "1x20x200",
    no_load: Annotated[bool, typer.Option("--no-load", help="Send nothing: watch its own traffic alone.")] = False,
    no_direct: Annotated[bool, typer.Option("--no-direct", help="Leave out the comparison with Transformers.")] = False,
    apply_to: Annotated[
        Path | None, typer.Option("--apply-to", help="A config: a copy with the advised setting is written beside it.")
    ] = None,
    limits: LimitsOption = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for the diagnosis's own folder.")] = Path("diagnoses"),
    form: Annotated[str, typer.Option("--format", help="What the terminal shows: terminal, md or json.")] = "terminal",
    json_output: JsonOption = False,
    track: TrackOption = False,
    uri: TrackUriOption = DEFAULT_URI,
    own: OwnOption = False,
) -> None:
    """Where is the bottleneck? Four steps, from symptom to cause, and the next setting to change."""
    from pipelines.base.console import Console
    from pipelines.service.diagnose.command import DiagnoseOrder, run_diagnosis

    form = "json" if json_output else form
    order = DiagnoseOrder(
        url=url,
        config=config,
        seconds=seconds,
        probe=probe,
        load=not no_load,
        direct=not no_direct,
        apply_to=apply_to,
        limits=limits,
        out=out,
        form=form,
        uri=uri if track else None,
        own=own,
    )
    run_diagnosis(order, Console(quiet=form != "terminal"))


def watch(
    url: UrlOption = DEFAULT_URL,
    every_s: Annotated[float, typer.Option("--every", min=0.2, help="Seconds between two looks.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="One look, then end.")] = False,
    limits: LimitsOption = None,
    json_output: JsonOption = False,
) -> None:
    """The golden metrics of a running service, live, each with its health zone."""
    from pipelines.service.limits import load_limits
    from pipelines.service.target import find_target
    from pipelines.service.watch import run_watch

    run_watch(find_target(url), every_s, load_limits(limits).health, once=once, as_json=json_output)


def loadtest(
    url: UrlOption = DEFAULT_URL,
    config: SentOption = None,
    file: Annotated[Path | None, typer.Option("--file", help="Send these request bodies, one JSON a line.")] = None,
    shape: ShapeOption = None,
    repeat: Annotated[float, typer.Option("--repeat", min=0, max=1, help="Share of queries asked before.")] = 0.0,
    mode: ModeOption = "closed",
    start: Annotated[float, typer.Option("--start", help="Clients, or requests/s, to begin with; they double.")] = 1.0,
    step_s: Annotated[float, typer.Option("--step-s", help="Seconds of each step.")] = 10.0,
    warm_up_s: Annotated[float, typer.Option("--warm-up-s", help="Seconds before it, not measured.")] = 5.0,
    max_s: Annotated[float, typer.Option("--max-s", help="Seconds after which no further step begins.")] = 120.0,
    highest: Annotated[float | None, typer.Option("--highest", help="The last level, if it gets so far.")] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for the load test's own folder.")] = Path("loadtests"),
    json_output: JsonOption = False,
    track: TrackOption = False,
    uri: TrackUriOption = DEFAULT_URI,
    own: OwnOption = False,
) -> None:
    """How much load does a service bear? Steps that double until it is saturated; the knee is marked."""
    from pipelines.base.console import Console
    from pipelines.service.load.command import LoadOrder, run_loadtest
    from pipelines.service.load.plan import LoadPlan

    order = LoadOrder(
        url=url,
        out=out,
        config=config,
        file=file,
        shape=shape,
        repeat=repeat,
        plan=LoadPlan(mode, start, step_s, warm_up_s, max_s, highest),  # type: ignore[arg-type]  # it checks the mode
        own=own,
        as_json=json_output,
        uri=uri if track else None,
    )
    run_loadtest(order, Console(quiet=json_output))


def verify(
    config: ConfigOption,
    url: UrlOption = DEFAULT_URL,
    overrides: SetOption = None,
    pairs: Annotated[int, typer.Option("--pairs", min=1, help="How many pairs are compared, about.")] = 200,
    tolerance: Annotated[
        float | None,
        typer.Option("--tolerance", help="Largest difference allowed, instead of what the dtype explains."),
    ] = None,
    dtype: Annotated[
        str | None, typer.Option("--dtype", help="What the service should compute in: float32, bfloat16 or float16.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for the verification's own.")] = Path("verifications"),
    form: Annotated[
        str, typer.Option("--format", help="What the terminal shows: terminal, md, html or json.")
    ] = "terminal",
    json_output: JsonOption = False,
    track: TrackOption = False,
    uri: TrackUriOption = DEFAULT_URI,
) -> None:
    """Are its scores right? The same pairs with Transformers alone; exit code 1, with the fault, where they differ."""
    from pipelines.base.console import Console
    from pipelines.service.verify.command import run_verify
    from pipelines.service.verify.setup import VerifyOrder

    order = VerifyOrder(
        config=config,
        url=url,
        pairs=pairs,
        tolerance=tolerance,
        dtype=dtype,
        out=out,
        form="json" if json_output else form,
        overrides=overrides or (),
        uri=uri if track else None,
    )
    raise typer.Exit(run_verify(order, Console(quiet=order.form != "terminal")))


def handbook(
    language: Annotated[str, typer.Option("--lang", help="en or zh.")] = "en",
) -> None:
    """The operator's handbook: choosing, starting, watching, diagnosing, tuning, upgrading."""
    from pipelines.base.handbook import read_handbook

    typer.echo(read_handbook(language), nl=False)
