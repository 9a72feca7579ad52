"""`rerank-eval benchmark`: our job, our service and what a user would otherwise have, timed on the same pairs.

A folder `<out>/<id>/` with benchmark.json (stages.speed.content), report.html, figures/ and logs/. Every contender
runs in processes of its own, one after the other, round by round, and all of them are ended before the next begins.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from pipelines.base.config import RunConfig, load_config
from pipelines.base.console import Console
from pipelines.base.interruption import Interruption
from pipelines.base.logs import libraries_log_to
from pipelines.runs.folder import RunFolder
from pipelines.runs.report import check_form, show
from pipelines.speed.backend import require_vllm
from pipelines.speed.bench.bench import Bench
from pipelines.speed.bench.contenders import choose
from pipelines.speed.bench.engines import ask_plan
from pipelines.speed.bench.models import MADE, make_model
from pipelines.speed.bench.order import BenchmarkOrder
from pipelines.speed.bench.pairs import PairMaker
from pipelines.speed.bench.rounds import Rounds
from pipelines.tracking.finding import FindingFolder
from serve_app.engine.models import ModelInfo, describe
from stages.core.errors import ConfigError, DataError, EngineError, InterruptedRunError
from stages.report.benchmark_report import benchmark_document
from stages.speed.benchmark import Benchmark
from stages.speed.content import content, from_content

FORMS = ("terminal", "md", "json")
OVERRIDABLE = ("model", "engine", "serve", "rerank")
# Of each contender's results, what is logged to MLflow.
LOGGED = (
    "pairs_per_s",
    "tokens_per_s",
    "to_ceiling",
    "to_limit",
    "start_up_s",
    "whole_s",
    "peak_mib",
    "peak_gpu_mib",
    "outside_engine_s_per_1000_pairs",
)


def run_benchmark(order: BenchmarkOrder, console: Console) -> Path:
    """Measure, and leave everything in a folder of its own, which is returned.

    A contender that fails is reported with its reason, and the others go on. Ctrl-C and SIGTERM end it with what is
    finished. Raises ConfigError for an order that cannot be carried out, EngineError where not even one contender has
    a figure, InterruptedRunError where none has one yet; after that and the first nothing is kept.
    """
    began_s = time.monotonic()
    order = order.settled()
    folder = FindingFolder.create(order.out.resolve(), f"benchmark-{Path(order.model).name}")
    work = folder.path / "work"
    try:
        work.mkdir()
        with libraries_log_to(folder.logs), Interruption(console.say):
            benchmark = _measure(order, folder, work, console, began_s)
    except ConfigError:
        shutil.rmtree(folder.path, ignore_errors=True)  # nothing was measured
        raise
    except KeyboardInterrupt as error:
        shutil.rmtree(folder.path, ignore_errors=True)
        raise InterruptedRunError("interrupted before any figure was kept: nothing is left of it") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    folder.leave(benchmark_document(benchmark), content(benchmark), "benchmark")
    if not any(one.valid for one in benchmark.measurements):
        raise EngineError(f"no contender has a figure: {benchmark.measurements[0].error}. See {folder.path}")
    return folder.path


def print_benchmark(order: BenchmarkOrder, form: str, uri: str | None) -> None:
    """Measure, print it in one of FORMS, and log it to MLflow at `uri`, unless that is None.

    Raises as `run_benchmark`, and once all is on disk TrackingError, or InterruptedRunError where a part is missing.
    """
    check_form(form, FORMS)
    folder = run_benchmark(order, Console(quiet=form == "json"))
    benchmark = read_benchmark(folder)
    if form == "json":
        print((folder / "benchmark.json").read_text(encoding="utf-8"), end="")
    else:
        show(benchmark_document(benchmark), form, None, folder / "report.html")
        print(f"benchmark   {folder}", file=sys.stdout if form == "terminal" else sys.stderr)
    if uri is not None:
        log_benchmark(folder, uri)
    if benchmark.interrupted:
        raise InterruptedRunError(f"interrupted: what was finished by then is in {folder}")


def log_benchmark(path: Path, uri: str) -> str:
    """Log a benchmark's folder to MLflow, and return the id there. Raises DataError or TrackingError."""
    benchmark = read_benchmark(path)
    params = {"model": benchmark.model["name"], "device": benchmark.machine["device"], "quick": benchmark.quick}
    params |= {"interrupted": benchmark.interrupted}
    params |= {"queries": benchmark.pairs.queries, "documents": benchmark.pairs.documents}
    params |= {"tokens_per_pair": round(benchmark.pairs.tokens / benchmark.pairs.pairs)}
    document = benchmark_document(benchmark)
    return FindingFolder(path.resolve()).log(uri, "benchmark", params, figures_to_log(benchmark), document)


def read_benchmark(folder: Path) -> Benchmark:
    """What `run_benchmark` left. Raises DataError where there is none."""
    path = folder / "benchmark.json"
    try:
        return from_content(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: no benchmark can be read there ({error})") from error


def _measure(order: BenchmarkOrder, folder: RunFolder, work: Path, console: Console, began_s: float) -> Benchmark:
    config, load_format = config_of(order, work)
    require_vllm(config.engine.backend, "a benchmark holds vLLM's speed against Transformers' own")
    model = describe(config.model, config.engine.backend)
    chosen = choose(model.family, load_format, order.clients, order.only, quick=order.quick)
    bench = _bench(order, config, model, work, folder.logs, console)
    console.say(f"pairs       {len(bench.pairs.prompts):,} in {order.rounds} round{'s' if order.rounds > 1 else ''}")
    return Rounds(bench, folder, order, console, began_s).go(chosen)


def open_bench(order: BenchmarkOrder, work: Path, logs: Path, console: Console) -> Bench:
    """What `order`'s contenders work on, in the folder `work`. Raises ConfigError and EngineError."""
    config, _ = config_of(order, work)
    return _bench(order, config, describe(config.model, config.engine.backend), work, logs, console)


def _bench(
    order: BenchmarkOrder, config: RunConfig, model: ModelInfo, work: Path, logs: Path, console: Console
) -> Bench:
    with console.working("making the pairs"):
        maker = PairMaker(model, config.model)
        pairs, warm_up = maker.draw(order.pairs), maker.warm_up(order.pairs)
        config = config.model_copy(
            update={"data": config.data.model_copy(update=pairs.write_rows(work / "pairs.jsonl", order.pairs.seed))}
        )
    with console.working("asking vLLM what our settings come to here"):
        plan = ask_plan(config, model, work, logs / "plan.log")
    return Bench(work, config, model, plan, pairs, warm_up, _dtype(plan))


def config_of(order: BenchmarkOrder, work: Path) -> tuple[RunConfig, str]:
    """The run config of our own contenders, without its pairs; and how the engine loads the model."""
    for one in order.overrides:
        if one.partition(".")[0].strip() not in OVERRIDABLE:
            raise ConfigError(f"--set {one}: a benchmark takes {', '.join(OVERRIDABLE)} alone; the rest is its own")
    made = make_model(order.model) if order.model in MADE else None
    sections: dict[str, Any] = {
        "data": {"format": "jsonl", "path": str(work / "pairs.jsonl"), "depth": None},
        # Random weights make no sense of anything.
        "model": {"name": str(made.folder), "canaries": "finite"} if made else {"name": order.model},
        "engine": {"load_format": made.load_format if made else "auto"},
        "tracking": {"uri": None},
        "output": {"dir": str(work / "results")},
    }
    path = work / "benchmark.yaml"
    path.write_text(yaml.safe_dump(sections), encoding="utf-8")
    config = load_config(path, order.overrides)
    return config, config.engine.load_format


def figures_to_log(benchmark: Benchmark) -> dict[str, float]:
    """`pairs_per_s/job-cold`, `to_ceiling/job-cold` ... of whoever has them."""
    results = content(benchmark)["results"]
    logged = {name: results[name] for name in ("ceiling_pairs_per_s", "limit_pairs_per_s", "matrix_flops")}
    for name, one in results["contenders"].items():
        logged |= {f"{figure}/{name}": one[figure] for figure in LOGGED}
    return {name: value for name, value in logged.items() if value is not None}


def _dtype(plan: dict[str, Any]) -> str:
    """What Transformers and the matrix product compute in: the engine's, on a GPU bfloat16 where none is set."""
    dtype = str(plan["ours"]["arguments"]["dtype"])
    return "bfloat16" if dtype == "auto" else dtype
