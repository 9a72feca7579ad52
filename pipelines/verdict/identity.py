"""What decided the scores of two runs, held against each other."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.runs.read import RunContent
from stages.core.identity import differences


def identity_notes(baseline: RunContent, run: RunContent) -> Iterator[str]:
    """In what differs what decided the scores of two runs; nothing where neither tells, as in rerank-eval 0.1.0."""
    first, second = (dict(one.metrics.get("identity") or {}) for one in (baseline, run))
    unknown = [one.run_id for one, told in ((baseline, first), (run, second)) if not told]
    if len(unknown) == 1:
        yield f"{unknown[0]} does not tell what decided its scores: it is not known in what it differs there"
    if unknown or first["digest"] == second["digest"]:
        return
    told = ", ".join(one.words for one in differences(first, second) if one.name != "digest")
    yield f"the scores of {baseline.run_id} and {run.run_id} were not made alike: {told}"
