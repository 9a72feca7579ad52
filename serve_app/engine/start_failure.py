"""Why an engine did not start, in one line.

vLLM's own last error is seldom the one that tells: pydantic names the class and says why on the next line, and where
the engine's process fails, its parent points at what that printed ("See root cause above").
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path

from stages.core.errors import EngineError, RerankEvalError

LONGEST = 400  # characters of a reason
LOOKED_THROUGH = 1 << 20  # bytes of the end of what was printed
POINTERS = ("root cause", "Engine core initialization failed", "ENGINE_DEAD")
# `package.SomeError: what it says`
_ERROR = re.compile(r"(?P<name>[\w.]*(?:Error|Exception)|rerank-eval)(?:: |$)(?P<said>.*)")
_INVALID = re.compile(r"\d+ validation errors? for ")
# Behind a reason: all of vLLM's architectures, and what pydantic was given.
_DETAILS = re.compile(r"(?: Supported architectures: .*)? \[type=\w+, input_value=.*$")
# What vLLM puts before the lines of a process, and of its log.
_PREFIX = re.compile(r"^(?:\([^)]*\) )?(?:ERROR [^\]]*\] )?")


@contextlib.contextmanager
def telling_why() -> Iterator[None]:
    """Whatever fails inside is raised as an EngineError of one line; errors of our own are left as they are."""
    printed = Printed()
    try:
        yield
    except RerankEvalError:
        raise
    except Exception as error:
        raise EngineError(_reason(error, printed)) from error


class Printed:
    """What this process and those that it starts print from now on, where that goes to files, as of Ray's workers."""

    def __init__(self) -> None:
        self._places = [(path, size) for number in (1, 2) if (found := _file(number)) for path, size in [found]]

    def lines(self) -> list[str]:
        """All of it, the errors' stream last; nothing where it goes elsewhere."""
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        return [line for path, start in self._places for line in _read(path, start).splitlines()]


def telling_line(printed: Sequence[str]) -> str | None:
    """The last error of which these lines (of a log, of a traceback) tell the reason; None where they tell of none."""
    lines = [_PREFIX.sub("", line) for line in printed]
    for place in range(len(lines) - 1, -1, -1):
        if (found := _ERROR.match(lines[place])) and not any(word in lines[place] for word in POINTERS):
            return _shortened(_said(found, lines[place + 1 :]))
    return None


def _reason(error: Exception, printed: Printed) -> str:
    own = telling_line("".join(traceback.format_exception_only(error)).splitlines())
    told = own or telling_line(printed.lines())
    return told or f"{type(error).__name__}, for a reason that its log may tell: {_shortened(str(error))}"


def _said(found: re.Match[str], following: Sequence[str]) -> str:
    """pydantic's reasons stand behind the first line, each under the name of its field, where it has one."""
    if not _INVALID.match(found["said"]):
        said = [found["said"], *following[:1]] if found["said"].endswith(":") or not found["said"] else [found["said"]]
        return f"{found['name'].rpartition('.')[2]}: {' '.join(said)}"
    reasons = []
    for line in following:
        if not line.startswith("  ") and not re.fullmatch(r"[\w.]+", line):
            break
        if _DETAILS.search(line):
            reasons.append(_DETAILS.sub("", line).strip().removeprefix("Value error, "))
    return "; ".join(reasons) or found["said"]


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]} ..."


def _file(number: int) -> tuple[Path, int] | None:
    """The regular file that a descriptor writes to, and its size (bytes)."""
    with contextlib.suppress(OSError):
        told = os.fstat(number)
        path = Path(f"/proc/self/fd/{number}")
        if stat.S_ISREG(told.st_mode) and path.exists():
            return path.resolve(), told.st_size
    return None


def _read(path: Path, start: int) -> str:
    with contextlib.suppress(OSError), path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(start, end - LOOKED_THROUGH))
        return file.read().decode("utf-8", errors="replace")
    return ""
