"""A job's cluster is connected to once, late, for whoever shares it; and takes no signal from the job."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pipelines.job.connection import LateCluster
from serve_app.settings import DeploymentSettings


@pytest.fixture
def course(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What becomes of a cluster that takes SIGTERM, as Ray does."""
    told: list[object] = []

    @contextmanager
    def connected(address: str | None, replicas: int, niceness: int) -> Iterator[None]:
        signal.signal(signal.SIGTERM, lambda *_: None)
        told.append((address, replicas, niceness))
        yield
        told.append("gone")

    monkeypatch.setattr("pipelines.base.cluster.connected", connected)
    return told


def test_it_is_connected_to_once_when_it_is_needed_and_let_go_by_the_outermost(course: list[object]) -> None:
    cluster = LateCluster(DeploymentSettings(ray_address="10.0.0.1:6379"), replicas=3)
    with cluster:
        for _ in range(2):
            with cluster:
                assert course in ([], [("10.0.0.1:6379", 3, 0)])
                cluster.connect()
                cluster.connect()
        assert course == [("10.0.0.1:6379", 3, 0)]
    assert course == [("10.0.0.1:6379", 3, 0), "gone"]


def test_one_that_was_never_needed_is_never_met(course: list[object]) -> None:
    with LateCluster(DeploymentSettings(replicas=2)):
        pass
    assert course == []


def test_whoever_met_sigterm_before_meets_it_still(course: list[object]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with LateCluster(DeploymentSettings()) as cluster:
        cluster.connect()
        assert signal.getsignal(signal.SIGTERM) is before
    assert course == [(None, 1, 0), "gone"]
