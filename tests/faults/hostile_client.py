"""A service under clients that mean well, and one that does not: it sends documents of 30 MB, requests of 2,000
documents, bodies that drip in, and leaves before it has its answer.

Takes five minutes on two cores: `python -m tests.faults.hostile_client [--clients 16] [--quiet-s 60] [--storm-s 120]`.
Exit code 1 where a claim does not hold: the others' p95 at most doubles, each of their requests is answered, and no
process of the service is replaced.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import multiprocessing
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.faults.jobs import ROOT, Claims
from tests.faults.services import CONTROLLER, PROXY, REPLICA, Service, service

CONFIG = ROOT / "configs" / "demo.yaml"
DOCUMENTS = 20
WARM_UP_S = 10.0
MOST_TIMES = 2.0
LARGE, LONG, MANY = "one large document", "several long documents", "2,000 documents"
SLOW, LEFT = "slow body", "left early"
DEADLINE_S = 20.0  # serve.http.deadline_s: several slow bodies meet it within two minutes
# What each deserves. A long document is refused, or it is cut: both are right.
DESERVED = {LARGE: {200, 413}, LONG: {200, 413}, MANY: {422}, SLOW: {408}, LEFT: {0}}


def passages() -> list[str]:
    lines = (ROOT / "configs" / "demo" / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["text"] for line in lines]


@dataclass
class Traffic:
    """What clients that mean well saw: seconds of each request, and statuses."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    @property
    def p95(self) -> float:
        return statistics.quantiles(self.seconds, n=20)[-1]

    def told(self, over_s: float) -> str:
        rate = len(self.seconds) / over_s
        median, most = statistics.median(self.seconds), max(self.seconds)
        return f"{rate:.1f} requests/s, p50 {median:.3f} s, p95 {self.p95:.3f} s, most {most:.3f} s"


def traffic(url: str, clients: int, seconds: float) -> Traffic:
    """Clients that each ask again as soon as they have their answer."""
    seen, texts, turn = Traffic(), passages(), itertools.count()
    until_s = time.monotonic() + seconds

    def ask_on() -> None:
        with httpx.Client(timeout=120) as client:
            while time.monotonic() < until_s:
                number = next(turn)
                chosen = [texts[(number * 7 + place) % len(texts)] for place in range(DOCUMENTS)]
                began_s = time.monotonic()
                body = {"query": f"which of them tells about {number}?", "documents": chosen}
                try:
                    status = client.post(f"{url}/v1/rerank", json=body).status_code
                except httpx.HTTPError:
                    status = 599
                seen.seconds.append(time.monotonic() - began_s)
                seen.statuses[status] += 1

    threads = [threading.Thread(target=ask_on) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seen


def long_text(megabytes: float) -> str:
    return "a long word or two " * int(megabytes * 1_000_000 / 19)


class Hostile:
    """One client that does all of it, in turn, and lets a slow body drip meanwhile."""

    def __init__(self, port: int, large_mb: int) -> None:
        self.port, self.statuses = port, {kind: Counter[int]() for kind in DESERVED}
        self._large = json.dumps({"query": "sea", "documents": [long_text(large_mb)]}).encode()
        self._long = json.dumps({"query": "sea", "documents": [long_text(large_mb / 4)] * 3}).encode()
        self._many = json.dumps({"query": "sea", "documents": ["calm sea"] * 2000}).encode()
        self._some = json.dumps({"query": "sea", "documents": passages()[:50]}).encode()

    def run(self, until_s: float) -> None:
        slow = threading.Thread(target=self._repeat, args=(until_s, [self.drip]))
        slow.start()
        self._repeat(until_s, [self.large, self.long, self.many, self.leave])
        slow.join()

    def large(self) -> None:
        self._post(LARGE, self._large)

    def long(self) -> None:
        self._post(LONG, self._long)

    def many(self) -> None:
        self._post(MANY, self._many)

    def leave(self) -> None:
        """In the midst of its body, and when it has sent it all."""
        for part in (len(self._some) // 2, len(self._some)):
            with self._connected(len(self._some)) as raw:
                raw.sendall(self._some[:part])
                time.sleep(0.05)
            self.statuses[LEFT][0] += 1

    def drip(self) -> None:
        """A byte at a time, for as long as the service listens."""
        with self._connected(1_000_000) as raw:
            raw.settimeout(0.2)
            answer = b""
            while not answer:
                raw.sendall(b" ")
                with contextlib.suppress(TimeoutError):
                    answer = raw.recv(1000)
        self.statuses[SLOW][int(answer.split()[1])] += 1

    def _post(self, kind: str, content: bytes) -> None:
        answer = httpx.post(f"http://127.0.0.1:{self.port}/v1/rerank", content=content, timeout=120)
        self.statuses[kind][answer.status_code] += 1

    def _connected(self, length: int) -> socket.socket:
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        raw.sendall(b"POST /v1/rerank HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % length)
        return raw

    def _repeat(self, until_s: float, deeds: list[Callable[[], None]]) -> None:
        for deed in itertools.cycle(deeds):
            if time.time() >= until_s:
                return
            try:
                deed()
            except (OSError, httpx.HTTPError, ValueError, IndexError) as error:
                print(f"        {deed.__name__}: {error!r}", flush=True)
                time.sleep(0.5)


def attack(port: int, large_mb: int, until_s: float, told: Any) -> None:
    """In a process of its own: what it costs to be hostile is not what is measured."""
    hostile = Hostile(port, large_mb)
    hostile.run(until_s)
    told.put({kind: dict(statuses) for kind, statuses in hostile.statuses.items()})


def drill(running: Service, claims: Claims, clients: int, quiet_s: float, storm_s: float, large_mb: int) -> None:
    traffic(running.url, clients, WARM_UP_S)
    before = {name: running.processes(name) for name in (REPLICA, PROXY, CONTROLLER)}
    quiet = traffic(running.url, clients, quiet_s)
    print(f"        undisturbed: {quiet.told(quiet_s)}; replica {running.memory_mib(REPLICA):.0f} MiB", flush=True)

    spawn = multiprocessing.get_context("spawn")
    told = spawn.Queue()
    enemy = spawn.Process(target=attack, args=(running.port, large_mb, time.time() + storm_s, told))
    enemy.start()
    storm = traffic(running.url, clients, storm_s)
    print(f"        disturbed:   {storm.told(storm_s)}; replica {running.memory_mib(REPLICA):.0f} MiB", flush=True)
    answers = told.get(timeout=180)
    enemy.join()

    claims.check("each request of the others is answered", set(storm.statuses) == {200}, dict(storm.statuses))
    claims.check(
        f"their p95 is at most {MOST_TIMES:g} times as long",
        storm.p95 <= MOST_TIMES * quiet.p95,
        f"{storm.p95 / quiet.p95:.2f} times",
    )
    for kind, statuses in answers.items():
        claims.check(f"{kind}: got what it deserves", bool(statuses) and set(statuses) <= DESERVED[kind], statuses)
    after = {name: running.processes(name) for name in before}
    claims.check(
        "no process of the service was replaced", after == before, {name: len(one) for name, one in after.items()}
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--quiet-s", type=float, default=60)
    parser.add_argument("--storm-s", type=float, default=120)
    parser.add_argument("--large-mb", type=int, default=30)
    options = parser.parse_args()
    claims = Claims()
    with (
        tempfile.TemporaryDirectory() as folder,
        service(CONFIG, Path(folder), f"serve.http.deadline_s={DEADLINE_S:g}") as running,
    ):
        starting = running.starting
        claims.check(
            "while it starts it says 503 in its own form",
            {(503, "application/json")} >= set(starting) - {(200, "application/json")},
            dict(starting),
        )
        drill(running, claims, options.clients, options.quiet_s, options.storm_s, options.large_mb)
        stopping: Counter[tuple[int, str]] = Counter()
        claims.check("exit code 0", running.stop(stopping) == 0)
        claims.check(
            "while it stops it says 503 in its own form",
            {(503, "application/json")} >= set(stopping) - {(200, "application/json")},
            dict(stopping),
        )
    sys.exit(claims.exit_code)


if __name__ == "__main__":
    main()
