"""A port for a server that is started in a moment."""

from __future__ import annotations

import random
import socket

# Below the ports that Linux, macOS and Windows give to whoever connects (from 32768 and from 49152), and above those
# that Ray gives its workers (10002 to 19999): between the look and the server's start, which an engine can put off by a
# minute, nobody is given it by chance.
LOWEST, HIGHEST = 20_000, 32_000
TRIES = 100


def free_port() -> int:
    """A port of loopback where nobody listens. Raises OSError where none of a hundred is free."""
    for port in random.SystemRandom().sample(range(LOWEST, HIGHEST), TRIES):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError(f"none of {TRIES} ports between {LOWEST} and {HIGHEST} is free")
