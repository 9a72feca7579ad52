"""The terminal is ours: what libraries print and log while a command is at work goes to a folder."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

NOISY = ("ray", "ray.data", "ray.serve", "mlflow", "alembic", "datasets", "huggingface_hub", "py.warnings")


@contextlib.contextmanager
def libraries_log_to(folder: Path) -> Iterator[None]:
    """While open, stdout, stderr and the libraries' loggers write to `folder`/job.log; a Console keeps the terminal.

    File descriptors are moved: Ray's core writes to descriptor 2 from C++. A stream that somebody put in the place of
    Python's own, as a notebook does, is moved as well.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "job.log"
    handler = logging.FileHandler(log, encoding="utf-8")
    handler.setLevel(logging.INFO)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    loggers = [logging.getLogger(name) for name in NOISY]
    before = [(logger, logger.handlers, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.handlers, logger.propagate = [handler], False
    try:
        with log.open("a", encoding="utf-8") as sink, _moved(sink.fileno()), _streams_moved(sink):
            yield
    finally:
        for logger, handlers, propagate in before:
            logger.handlers, logger.propagate = handlers, propagate
        handler.close()


@contextlib.contextmanager
def _moved(target: int) -> Iterator[None]:
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [(descriptor, os.dup(descriptor)) for descriptor in (1, 2)]
    for descriptor, _ in kept:
        os.dup2(target, descriptor)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor, copy in kept:
            os.dup2(copy, descriptor)
            os.close(copy)


@contextlib.contextmanager
def _streams_moved(target: TextIO) -> Iterator[None]:
    with contextlib.ExitStack() as moved:
        if sys.stdout is not sys.__stdout__:
            moved.enter_context(contextlib.redirect_stdout(target))
        if sys.stderr is not sys.__stderr__:
            moved.enter_context(contextlib.redirect_stderr(target))
        yield


def copy_process_logs(session_logs: Path | None, process_ids: list[int], folder: Path) -> None:
    """Copy what these Ray workers of this machine printed, vLLM's log among it, to `folder`."""
    for process_id in process_ids if session_logs else ():
        for file in Path(session_logs or "").glob(f"worker-*-{process_id}.*"):
            with contextlib.suppress(OSError):
                shutil.copy(file, folder / f"engine-{process_id}{file.suffix}")
