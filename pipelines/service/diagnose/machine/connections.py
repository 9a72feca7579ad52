"""TCP connections to a port, by state: Linux's tables of sockets, looked at again and again."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from pathlib import Path

from pipelines.service.diagnose.machine.rate import Clock, Rate
from stages.telemetry.machine import Connections

PROC = Path("/proc")
# https://github.com/torvalds/linux/blob/master/include/net/tcp_states.h
STATES = (
    "",
    "ESTABLISHED",
    "SYN_SENT",
    "SYN_RECV",
    "FIN_WAIT1",
    "FIN_WAIT2",
    "TIME_WAIT",
    "CLOSE",
    "CLOSE_WAIT",
    "LAST_ACK",
    "LISTEN",
    "CLOSING",
    "NEW_SYN_RECV",
)
TIME_WAIT, LISTEN = "TIME_WAIT", "LISTEN"
MAPPED = "0000000000000000FFFF0000"  # an IPv4 address in a table of IPv6, as this file spells it


class ConnectionWatch:
    """What happens to the connections to `port`, seen in this process's network namespace."""

    def __init__(self, port: int, proc: Path = PROC, clock: Clock = time.monotonic) -> None:
        self._port, self._proc = port, proc
        self._now: dict[str, str] | None = None
        self._opened, self._time_wait, self._accepted = Rate(clock), Rate(clock), Rate(clock)

    def look(self) -> None:
        now = connections_to(self._port, self._proc)
        if now is None:
            return
        before = now if self._now is None else self._now
        self._now = now
        self._opened.see(self._opened.last + len(now.keys() - before.keys()))
        waits = sum(state == TIME_WAIT != before.get(key) for key, state in now.items())
        self._time_wait.see(self._time_wait.last + waits)
        if (accepted := _accepted(self._proc)) is not None:
            self._accepted.see(accepted)

    def result(self) -> Connections | None:
        """None where the system has no such table."""
        if self._now is None:
            return None
        return Connections(
            by_state=dict(Counter(self._now.values()).most_common()),
            time_wait_per_s=self._time_wait.per_s() or 0.0,
            opened_per_s=self._opened.per_s() or 0.0,
            accepted_per_s=self._accepted.per_s(),
        )


def connections_to(port: int, proc: Path = PROC) -> dict[str, str] | None:
    """The client's address of each connection to `port` -> its state; None where there is no table.

    A client on this machine has a socket of its own in the table: the server's counts, or the client's where the
    server has none any more, because the side that closes first keeps the connection in TIME_WAIT.
    """
    servers: dict[str, str] = {}
    clients: dict[str, str] = {}
    mark, seen = f":{port:04X} ", False
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError), (proc / "net" / table).open() as lines:
            seen = True
            for line in lines:
                if mark not in line:  # most lines of a busy machine end here, unsplit
                    continue
                _, local, remote, code, *_ = line.split()
                state = STATES[int(code, 16)]
                if state == LISTEN:
                    continue
                if local.endswith(mark[:-1]):
                    servers[_address(remote)] = state
                elif remote.endswith(mark[:-1]):
                    clients[_address(local)] = state
    return clients | servers if seen else None


def _address(text: str) -> str:
    return text.removeprefix(MAPPED)


def _accepted(proc: Path) -> int | None:
    """Connections that this network namespace has accepted since it began."""
    try:
        names, values = (
            line.split() for line in (proc / "net" / "snmp").read_text().splitlines() if line.startswith("Tcp:")
        )
        return int(dict(zip(names, values, strict=True))["PassiveOpens"])
    except (OSError, ValueError, KeyError):
        return None
