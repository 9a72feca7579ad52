"""One query at a time through the engine of whatever checkout PYTHONPATH names: `python tests/measure/alone.py JOB`.

The next query is handed over when the one before is answered. It knows the engine of 0.1.0 and today's.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any


def _load(*names: str) -> Any:
    """The first of these modules that there is."""
    for name in names:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if not name.startswith(str(error.name)):
                raise
    raise ModuleNotFoundError(f"none of {', '.join(names)} in {sys.path[1]}")


def _engine(job: dict[str, Any]) -> Any:
    """0.1.0 counts no characters of a text; the others are told how many may come."""
    settings = _load("serve_app.settings")
    model = settings.ModelSettings(**job["model"])
    engine = settings.EngineSettings(**job["engine"])
    described = _load("serve_app.engine.models", "serve_app.models").describe(model)
    module = _load("serve_app.engine.engine", "serve_app.engine")
    limits = [1_000_000] if hasattr(_load("serve_app.engine"), "__path__") else []
    return module.VllmEngine(described, model, engine, "alone", *limits)


async def _measure(job: dict[str, Any]) -> dict[str, Any]:
    scorer = _engine(job)
    scores: list[float | None] = []
    try:
        for query, texts in job["warm_up"][:1]:
            await scorer.score(query, texts)
        first_s = time.time()
        for query, texts in job["warm_up"][1:]:
            await scorer.score(query, texts)
        began_s = time.time()
        for query, texts in job["queries"]:
            scores += [one.score for one in await scorer.score(query, texts)]
        ended_s = time.time()
    finally:
        scorer.shutdown()
    return {"first_s": first_s, "began_s": began_s, "ended_s": ended_s, "scores": scores, "tokens": 0}


def main(path: Path) -> None:
    job = json.loads(path.read_text(encoding="utf-8"))
    Path(job["out"]).write_text(json.dumps(asyncio.run(_measure(job))), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
