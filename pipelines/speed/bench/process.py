"""The processes of one contender: started, watched from outside, and all of them ended afterwards."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from pipelines.base.titles import part_of
from pipelines.speed.bench.gpu_memory import GpuMemory
from serve_app.engine.start_failure import telling_line
from serve_app.replica.gpus import open_gpus
from stages.core.errors import EngineError

SAMPLE_S, MEMORY_EVERY = 0.5, 8  # memory is read every 4 s: it makes the kernel walk all pages
STOP_S = 20.0
MIB = 1 << 20
TOLD_LINES = 400  # of the end of a log, where a reason is looked for
# What would make a contender another one: a cluster elsewhere, engine settings of the user's own.
DROPPED = ("RAY_ADDRESS", "VLLM_CPU_OMP_THREADS_BIND", "VLLM_CPU_KVCACHE_SPACE")


@dataclass(slots=True)
class Watch:
    """Processor seconds by role as time goes on, and the most memory at once, of some processes and what they start."""

    points: list[tuple[float, Counter[str]]] = field(default_factory=list)
    peak_mib: float = 0.0
    seen: dict[psutil.Process, float] = field(default_factory=dict)  # -> processor seconds at the last look
    gpus: GpuMemory = field(default_factory=GpuMemory)

    def look(self, roots: Sequence[psutil.Process], *, memory: bool) -> None:
        spent = Counter(self.points[-1][1]) if self.points else Counter[str]()
        pss = 0
        tree = self._tree(roots)
        for one in tree:
            with contextlib.suppress(psutil.Error, OSError):
                seconds = sum(one.cpu_times()[:2])
                spent[part_of(" ".join(one.cmdline())).name] += seconds - self.seen.get(one, 0.0)
                self.seen[one] = seconds
                pss += _pss(one.pid) if memory else 0
        self.points.append((time.time(), spent))
        self.peak_mib = max(self.peak_mib, pss / MIB)
        self.gpus.look({one.pid for one in tree})

    def _tree(self, roots: Sequence[psutil.Process]) -> set[psutil.Process]:
        """With what was seen before: a process whose parent is gone is still one of ours. All processes are read once:
        asking each for its children would read them all as often.
        """
        children: dict[int, list[psutil.Process]] = defaultdict(list)
        alive: set[psutil.Process] = set()
        for one in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                children[one.ppid()].append(one)
                alive.add(one)
        found: set[psutil.Process] = set()
        left = [one for one in (*roots, *self.seen) if one in alive]
        while left:
            one = left.pop()
            if one not in found:
                found.add(one)
                left += children[one.pid]
        return found

    def between(self, began_s: float, ended_s: float) -> dict[str, float]:
        """Processor seconds by role between two moments (Unix s), interpolated; empty where nobody looked."""
        if len(self.points) < 2:
            return {}
        before, after = self._at(began_s), self._at(ended_s)
        spent = {role: after[role] - before.get(role, 0.0) for role in after}
        return {role: seconds for role, seconds in spent.items() if seconds > 0}

    def _at(self, time_s: float) -> dict[str, float]:
        later = next((place for place, (at_s, _) in enumerate(self.points) if at_s >= time_s), len(self.points) - 1)
        (first_s, first), (next_s, then) = self.points[max(later - 1, 0)], self.points[later]
        share = min(max((time_s - first_s) / (next_s - first_s), 0.0), 1.0) if next_s > first_s else 1.0
        return {role: first[role] + share * (then[role] - first[role]) for role in then}


class Group:
    """The processes of one contender. Leaving it ends them all, and whatever they started."""

    def __init__(self, log: Path, limit_s: float) -> None:
        """`log` takes what they print; whoever is not done after `limit_s` seconds counts as failed."""
        self.log = log
        self.watch = Watch(gpus=GpuMemory(open_gpus()))
        self._deadline = time.monotonic() + limit_s
        self._limit_s = limit_s
        self._started: list[subprocess.Popen[bytes]] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look_forever, name="watch", daemon=True)

    def __enter__(self) -> Group:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
        except KeyboardInterrupt:  # while they end: nobody waits for them any more, and none may stay
            self._kill()
            raise
        finally:
            self._done.set()
            self._thread.join()

    def start(
        self, command: Sequence[str], environment: Mapping[str, str] | None = None, folder: Path | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a command in `folder`, by default this one; `environment` is added to this process's own."""
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env={name: value for name, value in os.environ.items() if name not in DROPPED}
                | dict(environment or {}),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the benchmark, which then ends them in order
            )
        self._started.append(process)
        return process

    def finish(self, process: subprocess.Popen[bytes], beside: subprocess.Popen[bytes] | None = None) -> None:
        """Wait until it has done its work. Raises EngineError where it fails, takes too long, or loses `beside`."""
        while process.poll() is None:
            if beside is not None and beside.poll() is not None:
                raise EngineError(f"the server ended with code {beside.returncode}: {self.reason()}")
            self.check_time()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
        if process.returncode:
            raise EngineError(f"exit code {process.returncode}: {self.reason()}")

    def check_time(self) -> None:
        """Raises EngineError when the time for this contender is over."""
        if time.monotonic() > self._deadline:
            raise EngineError(f"not done within {self._limit_s:.0f} s ({self.log})")

    def stop(self) -> None:
        """End all, the newest first: asked for it, and killed when they do not listen."""
        for process in reversed(self._started):
            if process.stdin:
                process.stdin.close()
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(STOP_S)
        psutil.wait_procs(self._left(), timeout=STOP_S / 4)
        self._kill()

    def _left(self) -> list[psutil.Process]:
        """Who still runs of those that were seen; what the first ones started since the last look too."""
        found = dict.fromkeys(list(self.watch.seen))  # at once: the watch goes on
        for process in self._started:
            if process.poll() is None:
                with contextlib.suppress(psutil.Error):
                    one = psutil.Process(process.pid)
                    found |= dict.fromkeys([*one.children(recursive=True), one])
        return [one for one in found if one.is_running()]

    def _kill(self) -> None:
        left = self._left()
        for one in left:
            with contextlib.suppress(psutil.Error):
                one.kill()
        for process in self._started:  # what one started at the last moment, between two looks, is in its group
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
        psutil.wait_procs(left, timeout=STOP_S / 4)
        for process in self._started:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_S)

    def reason(self) -> str:
        """The last line of the log that tells of an error, else its last line, and where the log is."""
        with contextlib.suppress(OSError):
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-TOLD_LINES:]
            told = [line.strip() for line in lines if line.strip()]
            if told:
                return f"{telling_line(lines) or told[-1][:300]} ({self.log})"
        return f"nothing was printed ({self.log})"

    def _look_forever(self) -> None:
        for turn in _ticks(self._done):
            roots = []
            for process in list(self._started):
                with contextlib.suppress(psutil.Error):
                    roots.append(psutil.Process(process.pid))
            self.watch.look(roots, memory=turn % MEMORY_EVERY == 0)


def _ticks(done: threading.Event) -> Iterator[int]:
    turn = 0
    while not done.wait(SAMPLE_S):
        yield turn
        turn += 1


def _pss(pid: int) -> int:
    """Bytes of a process's memory, of what it shares with others its part."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0
