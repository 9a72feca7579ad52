"""What one would write without an engine, and what the machine can do: `python -m pipelines.speed.bench.library JOB`.

Transformers in batches sorted by length, sentence-transformers' CrossEncoder, and the rate of a large matrix product.
Each job is a process of its own.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from serve_app.engine.models import read_model
from serve_app.settings import ModelSettings
from stages.core.errors import EngineError
from stages.telemetry.cores import core_share

BATCH = 32
# Large enough that a product is bound by arithmetic; on a CPU smaller ones, which take a second as they are.
MATRIX_SIZES = {"cpu": (1024, 2048, 3072), "cuda": (4096, 8192, 16384)}
MATRIX_S = 2.0  # of each size, after one that warms up


def transformers(job: dict[str, Any]) -> dict[str, Any]:
    """The published procedure, batches of BATCH pairs of similar length, in the engine's dtype."""
    from pipelines.direct.prompts import Pair
    from pipelines.direct.scorer import DirectScorer

    _use_all_cores()
    scorer = DirectScorer(read_model(job["model"]), ModelSettings(**job["settings"]), job["dtype"], BATCH)
    warm_up, pairs = ([Pair(query, text, None) for query, text in job[name]] for name in ("warm_up", "pairs"))

    def score(some: list[Any]) -> list[Any]:
        return scorer.score_all(some)

    timed = _timed(score, warm_up, pairs)
    failed = next((one.error for one in timed["values"] if one.error), None)
    if failed:
        raise EngineError(f"a pair failed: {failed}")
    tokens = sum(one.prompt_tokens for one in timed["values"])
    return _result(timed, [one.score for one in timed["values"]], tokens)


def cross_encoder(job: dict[str, Any]) -> dict[str, Any]:
    """sentence-transformers' own batches of BATCH, which it sorts by length."""
    import torch
    from sentence_transformers import CrossEncoder

    _use_all_cores()
    model: Any = CrossEncoder(
        job["model"]["path"],
        revision=job["model"]["revision"],
        max_length=job["model"]["max_length"],
        model_kwargs={"dtype": getattr(torch, job["dtype"])},
    )

    def score(some: list[Any]) -> list[float]:
        values = model.predict(some, batch_size=BATCH, activation_fn=torch.nn.Sigmoid(), show_progress_bar=False)
        return [float(value) for value in values]

    timed = _timed(score, job["warm_up"], job["pairs"])
    lengths = model.tokenizer(*map(list, zip(*job["pairs"], strict=True)))["input_ids"]
    return _result(timed, timed["values"], sum(map(len, lengths)))


def matrix(job: dict[str, Any]) -> dict[str, Any]:
    """Operations per second of the best of several sizes of a square matrix product, in the engine's dtype."""
    import torch

    _use_all_cores()
    device, dtype = job["device"], getattr(torch, job["dtype"])
    rates = {}
    for size in MATRIX_SIZES[device]:
        one = torch.randn(size, size, device=device).to(dtype)
        other = torch.randn(size, size, device=device).to(dtype)
        rates[size] = 2.0 * size**3 / _seconds_each(lambda a=one, b=other: a @ b, device)  # type: ignore[misc]
    return {"flops": max(rates.values()), "by_size": rates}


def _seconds_each(multiply: Callable[[], Any], device: str) -> float:
    import torch

    wait: Callable[[], object] = torch.cuda.synchronize if device == "cuda" else (lambda: None)
    multiply()
    wait()
    times, began_s = 0, time.perf_counter()
    while time.perf_counter() - began_s < MATRIX_S:
        for _ in range(4):
            multiply()
        wait()
        times += 4
    return (time.perf_counter() - began_s) / times


def _timed(score: Callable[[list[Any]], list[Any]], warm_up: list[Any], pairs: list[Any]) -> dict[str, Any]:
    score(warm_up[:1])
    first_s = time.time()
    score(warm_up[1:])
    began_s = time.time()
    values = score(pairs)
    return {"first_s": first_s, "began_s": began_s, "ended_s": time.time(), "values": values}


def _result(timed: dict[str, Any], scores: list[float], tokens: int) -> dict[str, Any]:
    return {name: timed[name] for name in ("first_s", "began_s", "ended_s")} | {"scores": scores, "tokens": tokens}


def _use_all_cores() -> None:
    import torch

    torch.set_num_threads(core_share())


def main(path: Path) -> None:
    job = json.loads(path.read_text(encoding="utf-8"))
    do = {"transformers": transformers, "cross-encoder": cross_encoder, "matrix": matrix}[job["do"]]
    Path(job["out"]).write_text(json.dumps(do(job)), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
