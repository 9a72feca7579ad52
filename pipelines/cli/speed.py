"""The commands on speed: benchmark, tune. Each imports what it needs when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.options import DEFAULT_URI, JsonOption, SetOption, TrackOption, TrackUriOption


def add_to(app: typer.Typer) -> None:
    """Make them commands of `app`."""
    for command in (benchmark, tune):
        app.command()(command)


def benchmark(
    model: Annotated[
        str,
        typer.Option(
            "--model",
            help="Random weights: nano, tiny, small, qwen3-reranker-0.6b, -4b, -8b, bge-reranker-v2-m3; or a model.",
        ),
    ] = "tiny",
    queries: Annotated[int, typer.Option("--queries", min=1, help="Queries.")] = 40,
    documents: Annotated[int, typer.Option("--documents", min=1, help="Documents of each query.")] = 50,
    tokens: Annotated[int, typer.Option("--tokens", min=1, help="Tokens of a pair, on average.")] = 220,
    spread: Annotated[float, typer.Option("--spread", min=0, help="Their standard deviation over their mean.")] = 0.3,
    repeats: Annotated[float, typer.Option("--repeats", min=0, help="Share of queries asked before.")] = 0.0,
    seed: Annotated[int, typer.Option("--seed", help="Of what is drawn.")] = 0,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Each contender is timed so often.")] = 3,
    clients: Annotated[list[int] | None, typer.Option("--clients", help="Of servers. Repeatable. [default: 8]")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="A key of model, engine, serve or rerank: section.key=value.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option("--only", help="This contender alone. Repeatable.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="What fits into three minutes.")] = False,
    out: Annotated[Path, typer.Option("--out", help="Folder for the benchmark's own.")] = Path("benchmarks"),
    form: Annotated[str, typer.Option("--format", help="What the terminal shows: terminal or md.")] = "terminal",
    json_output: JsonOption = False,
    track: TrackOption = False,
    uri: TrackUriOption = DEFAULT_URI,
) -> None:
    """Our job and service beside the bare engine, vLLM's server and Transformers, on the same pairs."""
    from pipelines.speed.bench.command import print_benchmark
    from pipelines.speed.bench.order import BenchmarkOrder
    from pipelines.speed.bench.pairs import PairOrder

    order = BenchmarkOrder(
        model=model,
        out=out,
        pairs=PairOrder(queries, documents, tokens, spread, repeats, seed),
        rounds=rounds,
        clients=tuple(clients or (8,)),
        overrides=tuple(overrides or ()),
        only=tuple(only or ()),
        quick=quick,
    )
    print_benchmark(order, "json" if json_output else form, uri if track else None)


def tune(
    config: Annotated[
        Path,
        typer.Option("--config", "-c", help="The run config, as for `run`; it is not changed.", show_default=False),
    ],
    overrides: SetOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="File to write. Without: NAME.tuned.yaml beside the config.")
    ] = None,
    pairs: Annotated[int, typer.Option("--pairs", min=1, help="The data's first pairs, at most so many.")] = 1000,
    minutes: Annotated[float, typer.Option("--minutes", min=0.1, help="How long to search.")] = 10.0,
    json_output: JsonOption = False,
) -> None:
    """Search the engine settings that are fastest for this device, model and data; write the config."""
    from pipelines.base.console import Console
    from pipelines.speed.tune.command import TuneOrder
    from pipelines.speed.tune.command import tune as run_tune

    order = TuneOrder(config, tuple(overrides or ()), out, pairs, minutes, json_output)
    run_tune(order, Console(quiet=json_output))
