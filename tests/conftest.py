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

import pytest

import tests.examples  # noqa: F401  # before any property test is made: how many examples it takes

# A shell starts what it runs in the background with Ctrl-C ignored, and children inherit that; tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# With these a test has an engine, a cluster, a browser, a wheel or a server of its own.
HEAVY_FIXTURES = {"local_ray", "served", "engine", "head", "browser", "wheel"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that make this process a Ray driver come last; what has one of HEAVY_FIXTURES is marked.

    Ray's client ends a process, without a word, minutes after the cluster that it once belonged to is gone.
    """
    items.sort(key=lambda item: "local_ray" in getattr(item, "fixturenames", ()))
    for item in items:
        if HEAVY_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker("heavy")


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
