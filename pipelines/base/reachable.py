"""Is there a Ray cluster at an address? Tried before Ray is: Ray waits for a dead one without a word or an end.

A cluster answers in HTTP/2, at the port of its head (host:6379) and of its client server (ray://host:10001) alike.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress

from stages.core.errors import ConfigError, EngineError

# Seconds until a port is reached, and until it says what it is: a head on a busy machine takes its time.
CONNECT_S, ANSWER_S = 5.0, 20.0
# How a client of HTTP/2 begins (RFC 9113, 3.4): a preface, and its settings, of which there are none. The server's
# settings, a frame of type 4, are the first that it sends.
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
FRAME_BYTES, SETTINGS = 9, 4
MEND = "Start it, give another address (serve.ray_address, RAY_ADDRESS), or unset both for a local Ray"


def require_cluster(address: str) -> None:
    """Raises ConfigError for an address that is none of a cluster, EngineError where no cluster answers."""
    if address.startswith(("http://", "https://")):
        raise ConfigError(
            f"the Ray address {address} is a job server's, which `rerank-eval submit` takes. Here it is the head's, "
            "host:6379, or unset RAY_ADDRESS for a local Ray"
        )
    place = address.removeprefix("ray://").partition("/")[0].partition("?")[0]
    host, _, port = place.rpartition(":")
    if not host or not port.isdigit() or "://" in place:
        raise ConfigError(f"the Ray address {address} is not of the form host:6379, ray://host:10001, auto or local")
    try:
        reached = socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_S)
    except (OSError, OverflowError) as error:
        reason = str(error).partition("] ")[2] or str(error)
        raise EngineError(f"no Ray cluster at {address}: {reason}. {MEND}") from error
    with reached:
        if os.environ.get("RAY_USE_TLS", "0") in ("", "0") and not _answers(reached):
            raise EngineError(f"what answers at {address} is no Ray cluster. {MEND}")


def _answers(reached: socket.socket) -> bool:
    """Whether a server of HTTP/2 is there."""
    reached.settimeout(ANSWER_S)
    frame = b""
    with suppress(OSError):
        reached.sendall(PREFACE)
        while len(frame) < FRAME_BYTES and (more := reached.recv(FRAME_BYTES - len(frame))):
            frame += more
    return len(frame) == FRAME_BYTES and frame[3] == SETTINGS
