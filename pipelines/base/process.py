"""What this process says to the libraries it starts, how it was called, and how it ends."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

# No library reports home unless the user says so. Set before any of them is imported; an existing value wins.
QUIET = {
    "VLLM_NO_USAGE_STATS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "1",
}
INTERRUPTED = 130
"""The exit code of a command that Ctrl-C stopped."""

_command: list[str] = []


def called_with(arguments: Sequence[str]) -> None:
    """Note the arguments of `rerank-eval`, for `same_again`."""
    _command[:] = ["rerank-eval", *arguments]


def same_again(*more: str) -> str:
    """What to call to go on from here: this command, with `more` arguments; in Python the same call."""
    if _command:
        return shlex.join([*_command, *more])
    return f"the same call{' with ' if more else ''}{shlex.join(more)}"
