"""Ports for servers that start in a moment."""

from __future__ import annotations

import socket

import pytest

from pipelines.base import ports
from pipelines.base.ports import free_port


def test_a_port_can_be_listened_on_and_is_none_that_systems_give_away_by_themselves() -> None:
    port = free_port()
    assert ports.LOWEST <= port < ports.HIGHEST
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_where_none_is_free_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(ports, "LOWEST", port)
        monkeypatch.setattr(ports, "HIGHEST", port + 1)
        monkeypatch.setattr(ports, "TRIES", 1)
        with pytest.raises(OSError, match="none of 1 ports between"):
            free_port()
