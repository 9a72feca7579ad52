"""A job whose engine does not start says why, in the engine's own words and in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from pipelines.base.given_config import config_with
from pipelines.job.engine import JobEngine
from serve_app.engine.models import describe
from stages.core.errors import EngineError
from tests.tiny_models import make_tiny_cross_encoder


@pytest.mark.thorough
def test_the_engines_own_reason_reaches_the_job(local_ray: None, tmp_path: Path) -> None:
    """The process that fails is two below the replica's: its parent only points at what it printed."""
    folder = make_tiny_cross_encoder(tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    name = "bert.encoder.layer.0.output.dense.weight"
    save_file(weights | {name: weights[name][:, :64].contiguous()}, folder / "model.safetensors")
    config = config_with(
        {
            "model": {"name": str(folder)},
            "engine": {"compile": False, "kv_cache_gib": 0.1},
            "data": {"format": "jsonl", "path": "unused.jsonl"},
        },
        {},
    )
    engine = JobEngine(describe(config.model), config)
    try:
        with pytest.raises(EngineError) as caught:
            engine.wait_until_ready()
    finally:
        engine.stop()
    assert str(caught.value).startswith("the engine did not start: RuntimeError: start (0) + length (256) exceeds")
    assert "\n" not in str(caught.value)
