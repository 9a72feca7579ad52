"""What this process says to the libraries it starts, and how it ends."""

from __future__ import annotations

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
