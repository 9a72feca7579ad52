"""The slices of compared runs, as the runs themselves have them in order."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from pipelines.verdict import queries
from pipelines.verdict.queries import groups_of


def test_groups_stand_in_the_order_of_the_runs_own_analysis(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table of queries has them as they came by."""
    lengths = {"q1": "9+ words", "q2": "1-5 words", "q3": "9+ words"}
    monkeypatch.setattr(queries, "read_fields", lambda _folder, names: dict.fromkeys(names, lengths))
    run = SimpleNamespace(
        folder=None,
        config={"evaluate": {"slices": {"length": {"words": [5, 8]}}}},
        analysis={"slices": [{"name": "length=1-5 words"}, {"name": "length=9+ words"}]},
    )
    assert list(groups_of([cast("Any", run)])["length"].values()) == ["1-5 words", "9+ words", "9+ words"]
    run.analysis = {}
    assert groups_of([cast("Any", run)])["length"] == lengths
