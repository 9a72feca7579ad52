"""Contenders without us: vLLM offline, vLLM's own HTTP server, Transformers, sentence-transformers."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pipelines.base.config import RunConfig
from pipelines.base.ports import free_port
from pipelines.speed.bench.bench import Bench, Timed, do_job, timed
from pipelines.speed.bench.pairs import PairSet, requests_of, scored_texts
from pipelines.speed.bench.process import Group
from serve_app.engine.models import ModelInfo, plain_model
from serve_app.engine.prompts import Prompt
from serve_app.recipes.decoder import DecoderRecipe, around_document, fill
from stages.core.records import Candidates
from stages.telemetry.cores import usable_cores

PLAN_LIMIT_S = 300.0
WhoseSettings = Literal["ours", "defaults"]
Sent = Literal["ids", "text"]
Body = dict[str, Any]
# Makes the body of a request: some documents of a query, of which the first is at a place among all pairs.
MakeBody = Callable[[PairSet, Candidates, int], Body]


def ask_plan(config: RunConfig, model: ModelInfo, folder: Path, log: Path) -> dict[str, Any]:
    """What serve_app.engine.bare_engine says that the settings come to here. Raises EngineError."""
    job = {
        "do": "plan",
        "model": plain_model(model),
        "engine": config.engine.model_dump(mode="json"),
        "cores": usable_cores(),
    }
    path = folder / "plan.json"
    path.write_text(json.dumps(job | {"out": str(folder / "plan-told.json")}), encoding="utf-8")
    with Group(log, PLAN_LIMIT_S) as group:
        return do_job(group, "serve_app.engine.bare_engine", path)


def prompts_job(prompts: Sequence[Prompt]) -> list[dict[str, Any]]:
    """As serve_app.engine.bare_engine takes them."""
    return [{"token_ids": one.token_ids, "second_part": one.second_part} for one in prompts]


def offline(settings: WhoseSettings, alone: bool, bench: Bench, group: Group, name: str) -> Timed:
    """`vllm.LLM`: all prompts at once, as token ids; `alone`, those of a query when those before it are answered."""
    planned = bench.plan[settings]
    told = {"prompts": prompts_job(bench.pairs.prompts), "warm_up": prompts_job(bench.warm_up.prompts)}
    prompts = bench.write("prompts", told)
    job = {
        "do": "score",
        "arguments": planned["arguments"],
        "prompts_file": str(prompts),
        "at_once": len(bench.pairs.queries[0].texts) if alone else None,
        "out": str(bench.folder / f"{name}-told.json"),
    }
    started_s = time.time()
    return timed(
        do_job(group, "serve_app.engine.bare_engine", bench.write(name, job), planned["environment"]), started_s
    )


def server(settings: WhoseSettings, send: Sent, clients: int, bench: Bench, group: Group, name: str) -> Timed:
    """`vllm.entrypoints.openai.api_server`, asked by so many clients at once.

    With `ids` the prompts come tokenized to /classify; with `text` to /v1/score, which joins and tokenizes them itself,
    as our own service must.
    """
    planned, port = bench.plan[settings], free_port()
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--host", "127.0.0.1", "--port", str(port)]
    started_s = time.time()
    running = group.start([*command, *flags(planned["arguments"])], planned["environment"])
    path = "/classify" if send == "ids" else "/v1/score"
    make = classify_body if send == "ids" else partial(score_body, bench)
    job = client_job(bench, f"http://127.0.0.1:{port}", path, clients, "/health", make)
    told = do_job(group, "pipelines.speed.bench.client", bench.write(name, _out(bench, job, name)), beside=running)
    return timed(told, started_s)


def library(do: Literal["transformers", "cross-encoder"], bench: Bench, group: Group, name: str) -> Timed:
    """Pairs of texts, tokenized, sorted and batched by the library's own means."""
    job = {
        "do": do,
        "model": _plain(bench),
        "settings": bench.config.model.model_dump(mode="json"),
        "dtype": bench.library_dtype,
        "warm_up": scored_texts(bench.warm_up),
        "pairs": scored_texts(bench.pairs),
    }
    started_s = time.time()
    return timed(do_job(group, "pipelines.speed.bench.library", bench.write(name, _out(bench, job, name))), started_s)


def matrix_flops(bench: Bench, group: Group, name: str) -> float:
    """Operations/s of a large matrix product in the engine's dtype, on all cores or the GPU."""
    device = "cpu" if bench.plan["device"] == "cpu" else "cuda"
    job = {"do": "matrix", "device": device, "dtype": bench.library_dtype}
    told = do_job(group, "pipelines.speed.bench.library", bench.write(name, _out(bench, job, name)))
    return float(told["flops"])


def client_job(bench: Bench, url: str, path: str, clients: int, ready_path: str, make: MakeBody) -> dict[str, Any]:
    """A job for pipelines.speed.bench.client."""
    return {
        "url": url,
        "path": path,
        "clients": clients,
        "ready_path": ready_path,
        "pairs": len(bench.pairs.prompts),
        "requests": list(_requests(bench.pairs, 2 * clients if clients > len(bench.pairs.queries) else 1, make)),
        "warm_up": list(_requests(bench.warm_up, 1, make)),
    }


def classify_body(drawn: PairSet, one: Candidates, first: int) -> Body:
    """Of vLLM's /classify: prompts as token ids."""
    return {"input": drawn.token_ids[first : first + len(one.texts)]}


def score_body(bench: Bench, _drawn: PairSet, one: Candidates, _first: int) -> Body:
    """Of vLLM's /v1/score, so that what it joins is our prompt: a decoder's template is in the texts, around them."""
    recipe = bench.model.recipe
    if not isinstance(recipe, DecoderRecipe):
        return {"queries": one.query, "documents": list(one.texts)}
    task = bench.config.model.instruction or recipe.instruction
    before, behind = around_document((recipe.instructed if task else None) or recipe.prompt)
    values = {"query": one.query, "instruction": task or ""}
    return {
        "queries": fill(before, values),
        "documents": [fill(behind, values | {"document": text}) for text in one.texts],
    }


def flags(arguments: Mapping[str, Any]) -> list[str]:
    """Arguments of vLLM's LLM class as its server's command line has them."""
    written: list[str] = []
    for name, value in arguments.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            written.append(f"--{flag}" if value else f"--no-{flag}")
        elif value is not None:
            written += [f"--{flag}", json.dumps(value) if isinstance(value, dict | list) else str(value)]
    return written


def _requests(drawn: PairSet, least: int, make: MakeBody) -> Iterator[dict[str, Any]]:
    for one, first in requests_of(drawn, least):
        yield {"first": first, "body": make(drawn, one, first)}


def _plain(bench: Bench) -> dict[str, Any]:
    return plain_model(bench.model)


def _out(bench: Bench, job: Mapping[str, Any], name: str) -> dict[str, Any]:
    return dict(job) | {"out": str(bench.folder / f"{name}-told.json")}
