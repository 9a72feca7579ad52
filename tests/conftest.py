"""What every test runs under, and the models that several share."""

from __future__ import annotations

import os

# Before anything else is imported: the libraries read these once.
os.environ.update(
    VLLM_NO_USAGE_STATS="1",
    RAY_USAGE_STATS_ENABLED="0",
    HF_HUB_DISABLE_TELEMETRY="1",
    GRADIO_ANALYTICS_ENABLED="False",
    MLFLOW_DISABLE_TELEMETRY="true",
    HF_HUB_OFFLINE="1",
)

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.examples import THOROUGH  # before any property test is made: how many examples it takes

# A shell starts what it runs in the background with Ctrl-C ignored, and children inherit that; tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# With these a test has an engine, a cluster, a browser, a wheel or a server of its own.
HEAVY_FIXTURES = {"local_ray", "served", "engine", "head", "browser", "wheel"}
# With these it shares the engine, or the Ray that the engine runs in.
ENGINE_FIXTURES = {"local_ray", "application", "served", "engine"}
# Where such tests are, and those that start an engine by themselves.
ENGINE_FILES = (
    "tests/pipelines/base/test_interruption.py",
    "tests/pipelines/job/test_backend.py",
    "tests/pipelines/job/test_cascade_engine.py",
    "tests/pipelines/job/test_gate.py",
    "tests/pipelines/job/test_interrupted_start.py",
    "tests/pipelines/job/test_missing_texts.py",
    "tests/pipelines/job/test_ranges.py",
    "tests/pipelines/job/test_refused_by_engine.py",
    "tests/pipelines/job/test_run.py",
    "tests/pipelines/job/test_several_runs.py",
    "tests/pipelines/job/test_store_access.py",
    "tests/pipelines/job/test_texts_withheld.py",
    "tests/pipelines/job/test_vectors.py",
    "tests/pipelines/service/test_serve.py",
    "tests/pipelines/service/verify/test_served.py",
    "tests/pipelines/speed/tune/test_command.py",
    "tests/pipelines/sweep/test_sweep.py",
    "tests/pipelines/test_api.py",
    "tests/pipelines/test_judge_application.py",
    "tests/pipelines/test_unknown_user.py",
    "tests/serve_app/engine/kinds/test_cross_encoders.py",
    "tests/serve_app/engine/kinds/test_decoder.py",
    "tests/serve_app/engine/kinds/test_embedding.py",
    "tests/serve_app/engine/kinds/test_late_interaction.py",
    "tests/serve_app/engine/kinds/test_listwise.py",
    "tests/serve_app/engine/kinds/test_templated.py",
    "tests/serve_app/engine/test_engine.py",
    "tests/serve_app/engine/test_judge.py",
    "tests/serve_app/engine/test_start_failure.py",
    "tests/serve_app/recipes/test_architectures.py",
    "tests/test_handbook_commands.py",
    "tests/test_readme.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what is heavy or has to do with an engine, and skips what is for `make test-all`.

    Tests that make this process a Ray driver come last: Ray's client ends a process, without a word, minutes after the
    cluster that it once belonged to is gone.
    """
    items.sort(key=lambda item: "local_ray" in getattr(item, "fixturenames", ()))
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if HEAVY_FIXTURES & fixtures:
            item.add_marker("heavy")
        if ENGINE_FIXTURES & fixtures and not item.nodeid.startswith(ENGINE_FILES):
            raise pytest.UsageError(f"{item.nodeid} shares the engine: name its file in ENGINE_FILES, {__file__}")
        if item.get_closest_marker("thorough") and not THOROUGH:
            item.add_marker(
                pytest.mark.skip(
                    reason="takes an engine, a cluster or a server of its own for most of a minute: make test-all"
                )
            )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Which test runs in which process of `make test`."""
    from tests.in_processes import ByEngine

    return ByEngine(config, log, ENGINE_FILES)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of these sources."""
    from tests.wheels import build

    return build(tmp_path_factory.mktemp("build"))


@pytest.fixture(scope="session")
def tiny_qwen3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Qwen3 of 5 million random weights."""
    from tests.tiny_models import make_tiny_qwen3

    return make_tiny_qwen3(tmp_path_factory.mktemp("tiny-qwen3"))


@pytest.fixture(scope="session")
def poisoned_qwen3(tiny_qwen3: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny Qwen3 with one broken row: what holds POISON gives NaN, everything else scores as in `tiny_qwen3`."""
    from tests.tiny_models import make_poisoned_qwen3

    return make_poisoned_qwen3(tiny_qwen3, tmp_path_factory.mktemp("poisoned-qwen3"))


@pytest.fixture(scope="session")
def tiny_cross_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT cross-encoder with token types and random weights."""
    from tests.tiny_models import make_tiny_cross_encoder

    return make_tiny_cross_encoder(tmp_path_factory.mktemp("tiny-cross-encoder"))


@pytest.fixture(scope="session")
def tiny_xlm_roberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An XLM-RoBERTa cross-encoder, without token types, and random weights."""
    from tests.tiny_models import make_tiny_xlm_roberta

    return make_tiny_xlm_roberta(tmp_path_factory.mktemp("tiny-xlm-roberta"))
