"""Several engines, one after the other in one process: `python -m tests.engines_in_turn JOBS OUT`.

A job has `arguments` of vLLM's LLM class, and `prompts`, token ids each, that it reads for the task `classify`. What
they give is written to OUT, a list for each job. An engine's own process would take half a minute for each.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "OMP_WAIT_POLICY": "PASSIVE",
}


def raw_logits(jobs: Sequence[dict[str, Any]], folder: Path) -> list[list[float]]:
    """Of each job's prompts, before any activation; `folder` is for what goes to and fro."""
    asked, given = folder / "jobs.json", folder / "logits.json"
    asked.write_text(json.dumps(list(jobs)), encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, "-m", "tests.engines_in_turn", str(asked), str(given)],
        env=os.environ | HERE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-4000:]
    found: list[list[float]] = json.loads(given.read_text(encoding="utf-8"))
    return found


def _logits(job: dict[str, Any]) -> list[float]:
    from vllm import LLM, PoolingParams
    from vllm.inputs import TokensPrompt

    llm = LLM(**job["arguments"])
    inputs = [TokensPrompt(prompt_token_ids=ids) for ids in job["prompts"]]
    params = PoolingParams(task="classify", use_activation=False)
    outputs = llm.encode(inputs, params, pooling_task="classify", use_tqdm=False)
    return [float(one.outputs.data.flatten()[0]) for one in outputs]


def main(jobs: Path, out: Path) -> None:
    found = []
    for job in json.loads(jobs.read_text(encoding="utf-8")):
        found.append(_logits(job))
        gc.collect()  # the engine's groups and caches, before the next one makes its own
    out.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
