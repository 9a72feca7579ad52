"""Many models scored on the real vLLM, one after the other in one process: `python -m tests.engine_scores JOB OUT`.

vLLM gets the arguments and the prompts that a replica's engine gives it; what it returns goes through the same
procedure. A process of its own takes half a minute for each engine, this one two seconds. Each model's prompts go as
one request and as one each, and must have the same scores.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from serve_app.engine.engine_args import cpu_environment, engine_arguments
from serve_app.engine.models import describe
from serve_app.engine.packing import KEY, Asked, pack, shared_length, unpack_told, unpack_values
from serve_app.engine.procedure import load_procedure
from serve_app.settings import EngineSettings, ModelSettings
from stages.core.records import PairScore

ROOT = Path(__file__).parents[1]
ENGINE = {"dtype": "float32", "compile": False, "kv_cache_gib": 0.1}


class Job(NamedTuple):
    """A model's settings, and a query with its documents."""

    model: Mapping[str, Any]
    query: str
    documents: Sequence[str]


def scores(jobs: Sequence[Job], folder: Path, timeout_s: float = 600) -> list[list[PairScore]]:
    """Each job's, in order; `folder` takes files. Raises AssertionError, with what was printed, where one fails."""
    job, out = folder / "jobs.json", folder / "scores.json"
    job.write_text(json.dumps([one._asdict() for one in jobs]), encoding="utf-8")
    environment = cpu_environment(os.sched_getaffinity(0), 0, 1, 1) | {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_LOGGING_LEVEL": "WARNING",
        "HF_HUB_OFFLINE": "1",
    }
    ended = subprocess.run(
        [sys.executable, "-m", "tests.engine_scores", str(job), str(out)],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-6000:]
    return [[PairScore(**pair) for pair in pairs] for pairs in json.loads(out.read_text(encoding="utf-8"))]


def _score(settings: ModelSettings, query: str, documents: Sequence[str]) -> list[PairScore]:
    from vllm import LLM

    from serve_app.engine.engine import this_host

    model = describe(settings)
    procedure = load_procedure(model, settings)
    llm = LLM(**engine_arguments(model, EngineSettings.model_validate(ENGINE), this_host(1)))
    try:
        prompts = procedure.encoder.encode(query, None, documents)
        asked = [Asked(one.token_ids, one.second_part) for one in prompts]
        pairs = procedure.pairs(prompts, _as_one(llm, procedure.task, asked))
        _require_same(pairs, procedure.pairs(prompts, _each_alone(llm, procedure.task, asked)))
        return pairs
    finally:
        llm.llm_engine.engine_core.shutdown()


def _as_one(llm: Any, task: Any, prompts: Sequence[Asked]) -> list[Any]:
    """As VllmEngine asks."""
    from vllm.inputs import TokensPrompt

    from serve_app.engine.asking import CARRIER, Computed, Data, parameters

    shared = shared_length(prompts)
    params = parameters(task, {KEY: pack(prompts, shared)})
    head = TokensPrompt(prompt_token_ids=prompts[0].token_ids[:shared] or CARRIER)
    (output,) = llm.encode([head], [params], pooling_task=task, use_tqdm=False)
    told = unpack_told(output.outputs.data)
    values = unpack_values(output.outputs.data, told)
    return [Computed(Data(value), one.cached_tokens) for value, one in zip(values, told, strict=True)]


def _each_alone(llm: Any, task: Any, prompts: Sequence[Asked]) -> list[Any]:
    from vllm.inputs import TokensPrompt

    from serve_app.engine.asking import parameters

    types = [None if one.second_part is None else {"compressed_token_type_ids": one.second_part} for one in prompts]
    inputs = [TokensPrompt(prompt_token_ids=one.token_ids) for one in prompts]
    outputs: list[Any] = llm.encode(inputs, [parameters(task, one) for one in types], pooling_task=task, use_tqdm=False)
    return outputs


def _require_same(pairs: Sequence[PairScore], others: Sequence[PairScore]) -> None:
    """Raises AssertionError."""
    for pair, other in zip(pairs, others, strict=True):
        told = f"as one request {pair}, alone {other}"
        assert pair.score is not None, told
        assert other.score is not None, told
        assert abs(pair.score - other.score) <= 1e-6 * max(1.0, abs(other.score)), told


def main(job: Path, out: Path) -> None:
    found = []
    for one in json.loads(job.read_text(encoding="utf-8")):
        try:
            pairs = _score(ModelSettings.model_validate(one["model"]), one["query"], one["documents"])
        except Exception as error:
            error.add_note(f"of the model {one['model']}")
            raise
        found.append([asdict(pair) for pair in pairs])
    out.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
