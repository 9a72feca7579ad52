"""What an engine that starts is at, in a few words, from what it prints: a large model takes minutes to be ready."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence

from serve_app.engine.start_failure import Printed
from stages.telemetry.beside import beside

LOOK_EVERY_S = 1.0
IMPORTS, CONFIGURES, BEGINS = "the engine's library is imported", "the engine is set up", "the engine's process starts"
# What vLLM's log says (0.32) when it begins with something -> what that is. The last one that was said counts.
PHASES = (
    ("Starting to load model", "the model is loaded"),
    ("Loading weights took", "the engine takes its memory"),
    ("Warming up model for the compilation", "the engine compiles"),
    ("Start compiling", "the engine compiles"),
    ("Capturing CUDA graph", "CUDA graphs are captured"),
    ("Graph capturing finished", "the engine warms up"),
    ("Warming up done", "the engine warms up"),
    ("init engine (", "the engine is nearly ready"),
)


def phase_of(printed: Sequence[str]) -> str | None:
    """What the last line says that says anything; None where none does."""
    for line in reversed(printed):
        for words, phase in PHASES:
            if words in line:
                return phase
    return None


@contextlib.contextmanager
def telling_phases(tell: Callable[[str], object]) -> Iterator[None]:
    """While open, `tell` hears each new phase, from a thread: what starts an engine waits for it."""
    printed = Printed()

    def watch(done: threading.Event) -> None:
        told = None
        while not done.wait(LOOK_EVERY_S):
            if (phase := phase_of(printed.lines())) not in (None, told):
                told = phase
                with contextlib.suppress(Exception):  # the collector starts anew: it is only a word
                    tell(str(phase))

    with beside(watch, "phases"):
        yield
