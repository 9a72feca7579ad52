"""Makes a process on Linux lack what macOS lacks: a light install of the tests does so before anything else.

Our own modules may not import those of Unix alone either; libraries, which ask before they do, may.
"""

from __future__ import annotations

import builtins
import os
import select
import signal
import socket
import sys
from typing import Any

LINUX_ONLY: dict[Any, str] = {
    os: "sched_getaffinity sched_setaffinity sched_setscheduler memfd_create eventfd pidfd_open splice posix_fadvise "
    "posix_fallocate copy_file_range getrandom fdatasync setns unshare setresuid getresuid O_TMPFILE O_DIRECT",
    select: "epoll",
    signal: "sigtimedwait sigwaitinfo SIGPWR SIGSTKFLT SIGPOLL SIGRTMIN SIGRTMAX",
    socket: "AF_NETLINK AF_PACKET AF_VSOCK SO_BINDTODEVICE TCP_USER_TIMEOUT",
}
UNIX_ONLY = {"fcntl", "resource", "termios", "pty", "pwd", "grp", "syslog"}
OURS = {"stages", "serve_app", "pipelines"}
FOLDERS = ("/proc/", "/sys/")


def take_linux_away() -> None:
    """From this process, for good."""
    for module, names in LINUX_ONLY.items():
        for name in names.split():
            if hasattr(module, name):
                delattr(module, name)
    builtins.__import__ = _import_as_on_macos
    sys.addaudithook(_without_linux_folders)


_import = builtins.__import__


def _import_as_on_macos(name: str, globals: Any = None, *others: Any, **named: Any) -> Any:  # noqa: A002
    importer = str((globals or {}).get("__name__", ""))
    if name in UNIX_ONLY and importer.partition(".")[0] in OURS:
        raise ImportError(f"{importer} imports {name}, which is not there on every system")
    return _import(name, globals, *others, **named)


def _without_linux_folders(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("open", "os.listdir", "os.scandir") and str(arguments[0]).startswith(FOLDERS):
        raise FileNotFoundError(2, "No such file or directory", arguments[0])


def our_modules() -> list[str]:
    """Those of our modules that this process has imported."""
    return sorted(name for name in sys.modules if name.partition(".")[0] in OURS)
