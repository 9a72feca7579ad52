"""Folders that libraries write to, where what they would take cannot be written, or is too long for a socket.

A container may run as any user: OpenShift gives one without an entry in /etc/passwd, and HOME is then "/". What keeps a
cache in the home fails when it first writes, which may be when everything is scored. So it is tried before.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import tempfile
from collections.abc import MutableMapping
from pathlib import Path

from stages.core.errors import ConfigError

# Variables of the libraries, and where they write without: numba, Hugging Face, vLLM, pip and we ourselves in the
# first, then matplotlib, ir_datasets (of ranx), Triton, vLLM's settings, FlashInfer.
WRITTEN = {
    "XDG_CACHE_HOME": "~/.cache",
    "MPLCONFIGDIR": "~/.config/matplotlib",
    "IR_DATASETS_HOME": "~/.ir_datasets",
    "TRITON_CACHE_DIR": "~/.triton/cache",
    "VLLM_CONFIG_ROOT": "~/.config/vllm",
    "FLASHINFER_WORKSPACE_BASE": "~",
}
HUB = "~/.cache/huggingface"
# Bytes of the path of a UNIX socket (Linux's `sun_path` less its end), and what vLLM puts behind the folder's name.
LONGEST_SOCKET, VLLMS_SOCKET = 107, len("/01234567-0123-0123-0123-0123456789ab")
SHORT = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108  # where Ray makes a folder that is its own

_moved: list[str] = []


def settle(environment: MutableMapping[str, str] = os.environ) -> None:
    """Have each library write where it can. What the user has set stays; what a home has that can only be read, such
    as models, is still found there. Raises ConfigError where no folder can be written.
    """
    unwritable = [name for name, place in WRITTEN.items() if name not in environment and not writable(_expanded(place))]
    if unwritable:
        ours = own_folder()
        if (models := _expanded(HUB)).is_dir():
            environment.setdefault("HF_HOME", str(models))
        for name in unwritable:
            environment[name] = str(ours / name.lower())
        _moved[:] = [
            f"{_home()} cannot be written: what libraries keep goes to {ours}. Set HOME to a folder that lasts"
        ]
        if not _home().is_absolute():
            environment["HOME"] = str(ours)
    try:
        getpass.getuser()
    except (KeyError, OSError):  # torch asks for the name of a folder
        environment["USER"] = f"user-{os.getuid()}"
    if (short := short_folder(VLLMS_SOCKET)) != tempfile.gettempdir():
        environment.setdefault("VLLM_RPC_BASE_PATH", short)


def moved() -> str | None:
    """What the user should know of where `settle` has libraries write; None where that is as it always is."""
    return _moved[0] if _moved else None


def writable(place: Path) -> bool:
    """Whether a folder, or one that is made there, can be written."""
    there = next((one for one in (place, *place.parents) if one.exists()), Path())
    return place.is_absolute() and there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def own_folder() -> Path:
    """A folder of this user alone, the same for each command until the machine forgets it. Raises ConfigError."""
    folder = Path(_temporary()) / f"rerank-eval-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():  # somebody else was there first
        return Path(tempfile.mkdtemp(prefix="rerank-eval-"))
    return folder


def short_folder(room: int) -> str:
    """The folder for temporary files, or another one where a socket's path, `room` bytes longer, would be too long.

    Raises ConfigError where there is none.
    """
    temporary = _temporary()
    if len(os.fsencode(temporary)) + room <= LONGEST_SOCKET:
        return temporary
    for other in SHORT:
        if writable(Path(other)):
            return other
    raise ConfigError(
        f"TMPDIR {temporary} is too long for a socket's path, and none of {', '.join(SHORT)} can be written: set "
        f"TMPDIR to a folder of {LONGEST_SOCKET - room} bytes at most"
    )


def _temporary() -> str:
    try:
        return tempfile.gettempdir()
    except FileNotFoundError as error:
        raise ConfigError("no folder for temporary files can be written: set TMPDIR to one that can") from error


def _home() -> Path:
    return _expanded("~")


def _expanded(place: str) -> Path:
    """Relative where there is no home: no HOME, and no such user."""
    return Path(os.path.expanduser(place))  # noqa: PTH111  # Path's own raises there
