"""The systemd units start commands that exist, at the hour they say."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from configparser import RawConfigParser
from pathlib import Path

import pytest
import typer.main

from pipelines.base.config import load_config
from pipelines.cli.app import app
from pipelines.nightly.cron import Cron
from pipelines.nightly.loop import HOPELESS
from pipelines.nightly.state import JUDGED

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "configs" / "systemd"
SERVICES = sorted(UNITS.glob("*.service"))


def unit(path: Path) -> RawConfigParser:
    parser = RawConfigParser(comment_prefixes=("#",), inline_comment_prefixes=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # systemd's keys differ by case
    parser.read_string(path.read_text(encoding="utf-8"))
    return parser


def told(path: Path) -> dict[str, object]:
    """What the command line makes of the unit's ExecStart; an unknown option raises."""
    program, command, *arguments = shlex.split(unit(path)["Service"]["ExecStart"])
    assert (Path(program).name, command) == ("rerank-eval", "schedule")
    group = typer.main.get_command(app)
    schedule = group.commands[command]  # type: ignore[attr-defined]
    options: dict[str, object] = schedule.make_context(command, arguments).params
    return options


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.name)
def test_a_unit_runs_a_config_that_ships_with_a_score_store(path: Path) -> None:
    options = told(path)
    overrides = options["overrides"]
    assert isinstance(overrides, list)
    assert load_config(ROOT / str(options["config"]), overrides).rerank.store is not None
    Cron.parse(str(options["cron"]))


def test_the_timer_fires_when_its_service_says_that_a_night_is_due() -> None:
    timer = unit(UNITS / "rerank-eval-nightly.timer")["Timer"]
    clock = re.fullmatch(r"\*-\*-\* (\d\d):(\d\d):00", timer["OnCalendar"])
    assert clock is not None
    options = told(UNITS / "rerank-eval-nightly.service")
    assert options["cron"] == f"{int(clock[2])} {int(clock[1])} * * *"
    assert options["once"] is True
    assert timer["Persistent"] == "true"


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.name)
def test_a_stop_signals_the_scheduler_alone_and_leaves_the_run_time_to_finish(path: Path) -> None:
    service = unit(path)["Service"]
    assert service["KillMode"] == "mixed"
    assert int(service["TimeoutStopSec"]) >= 60


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.name)
def test_a_verdict_or_a_mistake_is_a_failure_that_no_restart_repeats(path: Path) -> None:
    service = unit(path)["Service"]
    codes = {int(code) for code in service["RestartPreventExitStatus"].split()}
    assert codes == HOPELESS.keys() | JUDGED.keys()
    assert "SuccessExitStatus" not in service  # OnFailure= is told of them


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    for path in UNITS.iterdir():  # what only the target machine has, its user and its program, is replaced
        text = re.sub(r"ExecStart=\S+", "ExecStart=/bin/true", path.read_text(encoding="utf-8"))
        (tmp_path / path.name).write_text(text.replace("User=rerank-eval", "User=root"))
    units = [str(path) for path in sorted(tmp_path.iterdir())]
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    assert [line for line in done.stderr.splitlines() if "rerank-eval" in line] == []
