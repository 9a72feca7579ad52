"""vLLM's own LLM class with nothing built around it, a request a pair, under vLLM's own scheduler:
`python -m serve_app.engine.bare_engine JOB`.

A job either asks what engine settings come to on this machine (`plan`), or has token ids scored with the arguments that
it gives (`score`), ours or vLLM's own. `benchmark` measures everything else against that, `tune` tries settings with
it. Each job is a process of its own, whose environment its caller sets.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from serve_app.engine.engine_args import cpu_environment, engine_arguments
from serve_app.engine.models import ModelInfo, read_model
from serve_app.settings import EngineSettings
from stages.telemetry.cores import core_share

KEPT = (
    *("model", "revision", "trust_remote_code", "code_revision", "runner", "hf_overrides", "load_format"),
    *("tensor_parallel_size", "max_model_len"),
)


def plan(model: ModelInfo, engine: EngineSettings, cores: Sequence[int]) -> dict[str, Any]:
    """`ours` and `defaults`: `arguments` of vLLM's LLM class and `environment` to start it in; and what it runs on:
    `device` (cpu or gpu), `device_name`, and `host`, the fields of engine_args.Host.

    The defaults keep what cannot be left to them: which model it is and how it is read, over how many GPUs, how long
    its prompts are, and on a CPU the size of the cache, for which vLLM would take the machine's memory.
    """
    from vllm.platforms import current_platform

    from serve_app.engine.engine import this_host

    host = this_host(engine.tensor_parallel)
    ours = stock(engine_arguments(model, engine, host))
    kept = [*KEPT, "kv_cache_memory_bytes"] if host.device == "cpu" else KEPT
    defaults = {name: ours[name] for name in kept if ours.get(name) is not None}
    environment: dict[str, str] = {}
    if host.device == "cpu":
        environment = cpu_environment(cores, 0, 1, engine.tensor_parallel, core_share())
    return {
        "ours": {
            "arguments": {name: value for name, value in ours.items() if value is not None},
            "environment": environment,
        },
        "defaults": {"arguments": defaults, "environment": {}},
        "device": host.device,
        "host": host._asdict(),
        "device_name": current_platform.get_device_name(),
    }


def stock(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Engine arguments without a scheduler of ours: what we are measured against must not be a part of us."""
    ours = str(arguments.get("scheduler_cls") or "").startswith("serve_app.")
    return {name: value for name, value in arguments.items() if not (ours and name == "scheduler_cls")}


def score(job: dict[str, Any]) -> dict[str, Any]:
    """Score the prompts of a job; they come tokenized, so that nothing but the engine is timed.

    `task` is what they are read for: `classify`, which gives each its score, or `embed`, where `scores` are only the
    first components of the vectors. With `at_once` so many are handed over when those before are answered, else all.
    `first_s`, `began_s`, `ended_s` are Unix times: when the first prompt to warm up with was answered, when those that
    count began and ended. `error` is None where the engine answered each of those.
    """
    from vllm import LLM

    llm, task = LLM(**job["arguments"]), job.get("task", "classify")
    _encode(llm, task, job["warm_up"][:1])
    first_s = time.time()
    _encode(llm, task, job["warm_up"][1:])
    began_s = time.time()
    prompts = job["prompts"]
    at_once = job.get("at_once") or len(prompts)
    parts = [_encode(llm, task, prompts[start : start + at_once]) for start in range(0, len(prompts), at_once)]
    ended_s = time.time()
    outputs = [one for part in parts for one in part]
    failed = next((str(one.error) for one in outputs if getattr(one, "error", None)), None)
    return {
        "error": failed and f"the engine failed on a pair: {failed}",
        "first_s": first_s,
        "began_s": began_s,
        "ended_s": ended_s,
        "tokens": sum(len(one.prompt_token_ids) for one in outputs),
        "scores": [float(one.outputs.data.flatten()[0]) for one in outputs],
    }


def _encode(llm: Any, task: str, prompts: Sequence[dict[str, Any]]) -> list[Any]:
    """A prompt has `token_ids` and, for models with token types, `second_part`: where the document begins."""
    from vllm import PoolingParams
    from vllm.inputs import TokensPrompt

    params = [
        PoolingParams(
            task=task,
            extra_kwargs=None if one["second_part"] is None else {"compressed_token_type_ids": one["second_part"]},
        )
        for one in prompts
    ]
    inputs = [TokensPrompt(prompt_token_ids=one["token_ids"]) for one in prompts]
    outputs: list[Any] = llm.encode(inputs, params, pooling_task=task, use_tqdm=False)
    return outputs


def main(path: Path) -> None:
    """Do the job at `path` and write its result to the file that it names as `out`."""
    job = json.loads(path.read_text(encoding="utf-8"))
    if job["do"] == "plan":
        told = plan(read_model(job["model"]), EngineSettings(**job["engine"]), job["cores"])
    else:
        told = score(job | json.loads(Path(job["prompts_file"]).read_text(encoding="utf-8")))
    Path(job["out"]).write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
