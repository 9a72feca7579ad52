"""The tree that is drawn in the docstring is the tree of the classes, exit codes included; an error in one line."""

from __future__ import annotations

import inspect
import re
from itertools import pairwise

import pytest

from stages.core import errors
from stages.core.errors import RerankEvalError, first_line

# `  x InputError   exit code 2: ...`: two columns deeper is one class lower.
DRAWN = re.compile(r"^( *)[*x+-] (\w+)(?: +(?:exit code (\d+))?.*)?$", re.MULTILINE)


def drawn() -> list[tuple[int, str, int | None]]:
    """(depth, class, exit code where one is named) of each line of the drawing."""
    found = DRAWN.findall(inspect.getdoc(errors) or "")
    return [(len(indent) // 2, name, int(code) if code else None) for indent, name, code in found]


def drawn_parents() -> dict[str, str]:
    parents, branch = {}, ["Exception"]
    for depth, name, _ in drawn():
        del branch[depth + 1 :]
        parents[name] = branch[-1]
        branch.append(name)
    return parents


def test_every_class_is_drawn_under_its_parent() -> None:
    defined = {
        name: value.__base__.__name__
        for name, value in inspect.getmembers(errors, inspect.isclass)
        if value.__module__ == errors.__name__
    }
    assert len(defined) == 18
    assert drawn_parents() == defined


def test_the_drawing_goes_down_one_level_at_a_time() -> None:
    depths = [depth for depth, _, _ in drawn()]
    assert depths[0] == 0
    assert all(below - above <= 1 for above, below in pairwise(depths))


def test_the_exit_codes_are_the_drawn_ones_and_children_inherit_them() -> None:
    inherited: dict[str, int | None] = {"Exception": None}
    parents = drawn_parents()
    for _, name, code in drawn():
        inherited[name] = code if code is not None else inherited[parents[name]]
        assert getattr(errors, name).exit_code == inherited[name], name


def test_the_exit_codes_are_those_of_the_command_line() -> None:
    assert [errors.DataError.exit_code, errors.ConfigError.exit_code] == [2, 2]
    assert [errors.EngineError.exit_code, errors.CanaryError.exit_code, RerankEvalError.exit_code] == [1, 1, 1]
    assert [errors.TooManyFailuresError.exit_code, errors.TrackingError.exit_code] == [3, 4]
    assert [errors.CannotTellError.exit_code, errors.RegressedError.exit_code] == [5, 6]


def test_of_several_faults_the_gravest_is_told() -> None:
    kinds = (
        errors.CannotTellError,
        errors.TrackingError,
        errors.RegressedError,
        errors.TooManyFailuresError,
        errors.EngineError,
        errors.DataError,
    )
    faults = [kind("a fault") for kind in kinds]
    codes = [one.exit_code for number in range(len(faults)) if (one := errors.gravest(faults[: number + 1]))]
    assert codes == [5, 4, 6, 3, 1, 2]
    assert errors.gravest([]) is None


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("cut off\nat byte 7"), "cut off"),
        (OSError(2, "No such file", "a.json"), "[Errno 2] No such file: 'a.json'"),
        (RuntimeError("\n\n  CUDA out of memory\nTried to allocate"), "CUDA out of memory"),
        (ConnectionResetError(), "ConnectionResetError"),
        (errors.EngineError(" \n"), "EngineError"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
    ],
)
def test_an_error_is_told_by_the_first_line_of_its_message_or_else_by_its_class(
    error: BaseException, told: str
) -> None:
    assert first_line(error) == told
