"""How long a client would wait for a server that is dead: by what it asks of the clock, on a busy machine too."""

from __future__ import annotations

import time
from typing import Any

import pytest
from requests.adapters import HTTPAdapter


def waits_from_now_on(monkeypatch: pytest.MonkeyPatch, *, pauses: bool = True) -> list[float]:
    """Seconds, one after the other: of an HTTP request all its tries, each up to its timeout, and the `pauses` that are
    made, by whichever thread.
    """
    waits: list[float] = []
    send, sleep = HTTPAdapter.send, time.sleep

    def sent(adapter: HTTPAdapter, *told: Any, timeout: float, **more: Any) -> Any:
        waits.append((1 + (adapter.max_retries.total or 0)) * timeout)
        return send(adapter, *told, timeout=timeout, **more)

    def slept(seconds: float) -> None:
        waits.append(seconds)
        sleep(seconds)

    monkeypatch.setattr(HTTPAdapter, "send", sent)
    if pauses:
        monkeypatch.setattr(time, "sleep", slept)
    return waits
