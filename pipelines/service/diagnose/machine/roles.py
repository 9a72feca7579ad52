"""Which process is what: the parts of a Ray Serve application or of another server, this command, and the rest."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import NamedTuple

from pipelines.base.titles import part_of, program_of
from stages.telemetry.machine import Role

INTERPRETERS = ("python", "node", "java", "ruby", "perl", "bash", "sh")
NAME_LENGTH = 80


class Known(NamedTuple):
    """What a process is told apart by. `title` is its whole command line, `name` what may be shown of it."""

    pid: int
    parent: int
    title: str
    name: str = ""
    group: int | None = None


def roles(known: Mapping[int, Known], listeners: Collection[int], own: int | None = None) -> dict[int, Role]:
    """The role of every process, by its id.

    The service is who listens on the port, with the children in its process group and vLLM's; behind Ray Serve's proxy
    it is what that proxy's Ray runs on this machine. Where nobody is seen to listen, titles alone decide. This command
    is its process (`own`) with the children in its process group.
    """
    own = os.getpid() if own is None else own
    scope = _scope(known, listeners, own)
    mine = set(_below(known, own)) | {own}
    group = known[own].group if own in known else None
    return {
        pid: _role(
            one,
            listeners,
            scope,
            own=pid == own or (pid in mine and one.group == group),
            of_a_job=any(_is_job(known[above]) for above in (pid, *_above(known, pid))),
        )
        for pid, one in known.items()
    }


def short_name(arguments: Sequence[str]) -> str:
    """Program, and the script or module that it runs: the rest of a command line may hold secrets."""
    title = " ".join(arguments).strip()
    if not title or "::" in title.split(" ", 1)[0]:  # a title that the process gave itself
        return title[:NAME_LENGTH]
    program, rest = PurePath(arguments[0].split(" ", 1)[0]).name, list(arguments[1:])
    if program.startswith(INTERPRETERS):
        for argument, following in zip(rest, [*rest, ""][1:], strict=True):
            if argument in ("-m", "-jar"):
                return f"{program} {argument} {following}"[:NAME_LENGTH]
            if argument == "-c":
                return f"{program} -c"
            if not argument.startswith("-"):
                return f"{program} {PurePath(argument).name}"[:NAME_LENGTH]
    return program[:NAME_LENGTH]


def _is_job(one: Known) -> bool:
    """Whether it is a task or actor of somebody's own: what works below Ray without a part in serving."""
    return one.title.startswith("ray::") and part_of(one.title).role is None


def _role(one: Known, listeners: Collection[int], scope: Collection[int] | None, *, own: bool, of_a_job: bool) -> Role:
    told = part_of(one.title).role
    in_service = told is not None if scope is None else one.pid in scope
    if scope is not None and program_of(one.title) == "gcs_server":  # Ray's, and no child of the raylet
        in_service = True
    if in_service and told:
        return told
    if one.pid in listeners:
        return "api"
    if own:
        return "this command"
    return "replica" if in_service and not of_a_job else "other"


def _scope(known: Mapping[int, Known], listeners: Collection[int], own: int) -> set[int] | None:
    """All processes among which the service's are; None where nobody listens that can be seen."""
    listening = [pid for pid in listeners if pid in known]
    if not listening:
        return None
    scope = set(listening)
    for pid in listening:
        above = [pid, *_above(known, pid)]
        raylet = next((one for one in above if program_of(known[one].title) == "raylet"), None)
        if raylet is not None:
            scope |= {raylet, *_below(known, raylet)}
        elif pid != own:  # this process's children are not the service's, though a test may serve from it
            scope |= {one for one in _below(known, pid) if _works_for(known[one], known[pid])}
    return scope


def _works_for(child: Known, server: Known) -> bool:
    """Whether it is a part of the server: what only was started by it (a job, a test's load) has a group of its own."""
    return part_of(child.title).role is not None or child.group == server.group


def _above(known: Mapping[int, Known], pid: int) -> Iterator[int]:
    seen = {pid}
    while (parent := known[pid].parent) in known and parent not in seen:
        yield parent
        seen.add(parent)
        pid = parent


def _below(known: Mapping[int, Known], pid: int) -> Iterator[int]:
    return (one for one in known if pid in _above(known, one))
