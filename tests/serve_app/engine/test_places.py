"""Libraries write where they can: tried with homes that are missing or only read, and a TMPDIR too long for sockets."""

from __future__ import annotations

import getpass
import os
import pwd
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from serve_app.engine import places
from stages.core.errors import ConfigError

NOWHERE = "/dev/null/home"  # nobody can write there, root included


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A home of its own, and nothing set of what `settle` sets; what it sets is gone afterwards."""
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in (*places.WRITTEN, "HF_HOME", "VLLM_RPC_BASE_PATH", "USER", "LOGNAME"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", tempfile.gettempdir())
    monkeypatch.setattr(tempfile, "tempdir", None)
    places._moved.clear()
    yield
    places._moved.clear()


def test_a_home_that_can_be_written_is_left_alone() -> None:
    before = dict(os.environ)
    places.settle()
    assert dict(os.environ) == before and places.moved() is None


def test_without_one_everything_is_written_to_a_folder_of_the_user_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", NOWHERE)
    monkeypatch.setenv("MPLCONFIGDIR", "/as/the/user/says")
    places.settle()
    ours = places.own_folder()
    assert ours.stat().st_mode & 0o777 == 0o700
    assert os.environ["MPLCONFIGDIR"] == "/as/the/user/says"
    assert os.environ["XDG_CACHE_HOME"].startswith(str(ours)) and os.environ["HOME"] == NOWHERE
    assert all(places.writable(Path(os.environ[name])) for name in places.WRITTEN if name != "MPLCONFIGDIR")
    assert str(places.moved()).startswith(f"{NOWHERE} cannot be written: what libraries keep goes to {ours}")


def test_models_in_a_home_that_can_only_be_read_are_found_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    models = tmp_path / "home" / ".cache" / "huggingface"
    models.mkdir(parents=True)
    monkeypatch.setattr(places, "writable", lambda place: not place.is_relative_to(tmp_path / "home"))
    places.settle()
    assert os.environ["HF_HOME"] == str(models)
    assert not os.environ["XDG_CACHE_HOME"].startswith(str(tmp_path / "home"))


def test_a_user_whom_the_system_does_not_know_has_a_name_and_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(uid: int) -> pwd.struct_passwd:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.delenv("HOME")
    with pytest.raises((KeyError, OSError)):
        getpass.getuser()
    places.settle()
    assert getpass.getuser() == f"user-{os.getuid()}"
    assert Path.home() == places.own_folder()


@pytest.mark.parametrize("length", [30, 69, 70, 71, 100])
def test_a_sockets_path_is_never_too_long_wherever_tmpdir_leads(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, length: int
) -> None:
    if len(str(tmp_path)) >= length:
        pytest.skip(f"this test's own folder has {len(str(tmp_path))} letters")
    temporary = tmp_path / ("t" * (length - len(str(tmp_path)) - 1))
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    chosen = places.short_folder(places.VLLMS_SOCKET)
    assert (chosen == str(temporary)) is (length <= 70)
    with socket.socket(socket.AF_UNIX) as heard:
        path = Path(chosen) / f"{os.getpid():036}"
        heard.bind(str(path))
        path.unlink()
    places.settle()
    assert ("VLLM_RPC_BASE_PATH" in os.environ) is (length > 70)


def test_where_no_short_folder_can_be_written_the_error_says_how_short_tmpdir_must_be(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ("t" * 90)).mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / ("t" * 90)))
    monkeypatch.setattr(places, "SHORT", ("/dev/null/tmp",))
    with pytest.raises(ConfigError, match=r"is too long for a socket's path.* of 70 bytes at most"):
        places.short_folder(places.VLLMS_SOCKET)


def test_a_folder_that_somebody_else_made_under_our_name_is_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    (tmp_path / "theirs").mkdir()
    (tmp_path / f"rerank-eval-{os.getuid()}").symlink_to(tmp_path / "theirs")
    assert places.own_folder().parent == tmp_path
    assert places.own_folder().name not in ("theirs", f"rerank-eval-{os.getuid()}")
