"""A package that an extra brings is named with the command that installs it; any other missing module is a bug."""

from __future__ import annotations

import sys

import pytest

from pipelines.base.extras import needed_by, require_package
from stages.core.errors import NotInstalledError


@pytest.mark.parametrize(
    ("module", "told"),
    [
        ("ray", "run needs Ray, which this install lacks: pip install 'rerank-eval[cpu]'  (or [gpu])"),
        ("gradio", "run needs Gradio, which this install lacks: pip install 'rerank-eval[ui]'"),
    ],
)
def test_a_package_of_an_extra_is_named_with_the_command_that_installs_it(
    module: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(NotInstalledError) as raised, needed_by("run"):
        __import__(module)
    assert str(raised.value) == told
    assert raised.value.exit_code == 2


@pytest.mark.parametrize("module", ["pipelines.nowhere", "stages.ray", "ray.nowhere", "nowhere"])
def test_any_other_missing_module_stays_what_it_is(module: str) -> None:
    with pytest.raises(ModuleNotFoundError), needed_by("run"):
        __import__(module)


def test_a_package_that_is_needed_later_is_missed_now_and_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "gradio", raising=False)
    require_package("gradio")
    assert "gradio" not in sys.modules
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(NotInstalledError, match="run needs Ray"), needed_by("run"):
        require_package("ray")
