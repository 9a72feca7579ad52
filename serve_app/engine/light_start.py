"""Makes an engine start sooner: what its replica, and each process that vLLM spawns from there, has run first.

A process that `multiprocessing` spawns begins with its parent's main module. In a replica that is Ray's worker script,
which imports Ray for nothing; `spawned_light` puts this module in its place, whose import does the one thing below.
"""

import contextlib
import gc
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec

NAME = "serve_app.engine.light_start"  # __name__ is another one where this runs as a main module
# Importing vLLM brings 6,000 modules that all stay: looking for garbage among them every 700 objects is a fifth of the
# time, in each of three processes.
gc.set_threshold(100_000, 20, 20)


@contextlib.contextmanager
def spawned_light() -> Iterator[None]:
    """Processes spawned meanwhile, and those that they spawn, start with this module instead of the main one."""
    main = sys.modules["__main__"]
    spec = main.__spec__
    main.__spec__ = ModuleSpec(NAME, None)
    try:
        yield
    finally:
        main.__spec__ = spec
