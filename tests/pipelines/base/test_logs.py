"""While a job runs the terminal is ours: whatever libraries print or log lands in job.log, and none of it is lost."""

from __future__ import annotations

import ctypes
import io
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.base.console import Console
from pipelines.base.logs import NOISY, copy_process_logs, libraries_log_to

LIBC = ctypes.CDLL(None)


def job_log(folder: Path) -> str:
    return (folder / "job.log").read_text(encoding="utf-8")


@pytest.mark.parametrize("descriptor", [1, 2])
def test_what_c_code_writes_to_a_descriptor_lands_in_the_log(
    descriptor: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with libraries_log_to(tmp_path):
        LIBC.write(descriptor, b"from C\n", 7)
    assert job_log(tmp_path) == "from C\n"
    assert capfd.readouterr() == ("", "")


def test_what_python_prints_to_a_stream_of_a_notebooks_own_lands_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = io.StringIO()
    monkeypatch.setattr(sys, "stdout", notebook)
    monkeypatch.setattr(sys, "stderr", notebook)
    with libraries_log_to(tmp_path):
        print("a library")
        print("its warning", file=sys.stderr)
    print("the user")
    assert job_log(tmp_path) == "a library\nits warning\n"
    assert notebook.getvalue() == "the user\n"


def test_what_a_child_process_prints_lands_in_the_log(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with libraries_log_to(tmp_path):
        subprocess.run(["sh", "-c", "echo to stdout; echo to stderr >&2"], check=True)
    assert job_log(tmp_path) == "to stdout\nto stderr\n"
    assert capfd.readouterr() == ("", "")


def test_what_python_prints_lands_in_the_log_and_what_it_printed_before_and_after_on_the_terminal(
    tmp_path: Path,
) -> None:
    code = (
        "import sys; from pathlib import Path; from pipelines.base.logs import libraries_log_to\n"
        "print('before')\n"
        "with libraries_log_to(Path(sys.argv[1])):\n"
        "    print('inside'); print('inside too', file=sys.stderr)\n"
        "print('after')\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    assert (told.stdout, told.stderr) == ("before\nafter\n", "")
    assert sorted(job_log(tmp_path).splitlines()) == ["inside", "inside too"]


@pytest.mark.parametrize("name", ["ray", "ray.serve", "mlflow", "alembic.runtime.migration", "datasets"])
def test_a_librarys_log_lands_in_the_log_with_time_level_and_name(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with libraries_log_to(tmp_path):
        logging.getLogger(name).warning("the disk is full")
    [line] = job_log(tmp_path).splitlines()
    assert re.fullmatch(rf"[-\d]+ [\d:,]+ WARNING {name}: the disk is full", line)
    assert capfd.readouterr() == ("", "")


def test_afterwards_the_terminal_and_the_loggers_are_as_they_were(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    own = logging.StreamHandler()
    logger = logging.getLogger("ray.data")
    logger.addHandler(own)
    before = [(list(logging.getLogger(name).handlers), logging.getLogger(name).propagate) for name in NOISY]
    try:
        with libraries_log_to(tmp_path):
            assert own not in logger.handlers
        assert [(logging.getLogger(n).handlers, logging.getLogger(n).propagate) for n in NOISY] == before
    finally:
        logger.removeHandler(own)
    os.write(2, b"on the terminal\n")
    assert capfd.readouterr().err == "on the terminal\n"
    assert job_log(tmp_path) == ""


def test_an_error_inside_gives_the_terminal_back(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with libraries_log_to(tmp_path):
            os.write(2, b"last words\n")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    os.write(2, b"on the terminal\n")
    assert capfd.readouterr().err == "on the terminal\n"
    assert job_log(tmp_path) == "last words\n"


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    def opened() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    with libraries_log_to(tmp_path):
        pass
    before = opened()
    with libraries_log_to(tmp_path):
        pass
    assert opened() == before


def test_a_second_use_adds_to_the_log(tmp_path: Path) -> None:
    for word in (b"one\n", b"two\n"):
        with libraries_log_to(tmp_path / "logs"):
            os.write(1, word)
    assert job_log(tmp_path / "logs") == "one\ntwo\n"


def test_a_console_made_before_keeps_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    console = Console()
    with libraries_log_to(tmp_path):
        console.say("to the user")
    assert capfd.readouterr().out == "to the user\n"
    assert job_log(tmp_path) == ""


def test_the_logs_of_the_engines_processes_are_copied_and_no_others(tmp_path: Path) -> None:
    session, folder = tmp_path / "session", tmp_path / "logs"
    session.mkdir()
    folder.mkdir()
    for process in (11, 111, 12):
        (session / f"worker-ab-01000000-{process}.out").write_text(f"out of {process}")
    (session / "worker-ab-01000000-11.err").write_text("err of 11")
    copy_process_logs(session, [11, 13], folder)
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        "engine-11.out": "out of 11",
        "engine-11.err": "err of 11",
    }


def test_a_cluster_elsewhere_has_no_logs_to_copy(tmp_path: Path) -> None:
    copy_process_logs(None, [11], tmp_path)
    assert list(tmp_path.iterdir()) == []
