"""How two checkouts are held against each other: round by round, and told with the spread."""

from __future__ import annotations

from pathlib import Path

import pytest

from stages.core.errors import EngineError
from tests.measure import against
from tests.measure.against import ratios, spread, tell, wanted
from tests.measure.checkout import ROOT, Figures, Side, checked_out
from tests.measure.parts import BARE, PARTS, Lab, Part

OLD = Side("old", ROOT)


def lab(folder: Path) -> Lab:
    return Lab(folder, None, 1_000)


def test_ratios_are_of_the_rounds_that_both_have() -> None:
    assert ratios([10.0, None, 30.0, 5.0], [5.0, 5.0, 10.0, None]) == [2.0, 3.0]
    assert ratios([], [1.0]) == []


def test_a_spread_is_the_median_and_from_least_to_most() -> None:
    assert spread([3.0, None, 1.0, 2.0]) == "2.00 (1.00-3.00)"
    assert spread([None]) == "-"


def test_services_are_named_together_and_what_there_is_not_is_refused() -> None:
    assert wanted("nano,service-nano") == ["nano", "service-nano-8", "service-nano-100"]
    assert wanted("service")[0] == "service-nano-8"
    assert wanted("equal") == ["equal"]
    with pytest.raises(ValueError, match="nana: choose from nano, tiny"):
        wanted("nana")


def test_each_side_is_measured_once_a_round_and_in_the_other_order_in_every_second_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[str] = []

    def measured(_lab: Lab, side: Side, name: str) -> Figures:
        seen.append(name)
        if name == "made-new-2":
            raise EngineError("it broke")
        return {"pairs/s": {"old": 100.0, "new": 150.0, "bare": 200.0}[side.name] * len(seen)}

    monkeypatch.setattr(against, "PARTS", {"made": Part(measured, bare=True)})
    found = against.measure(lab(tmp_path), OLD, "made", 2)
    assert seen == [f"made-{one}" for one in ("old-1", "new-1", "bare-1", "bare-2", "new-2", "old-2")]
    assert "round 2, new: failed: it broke" in capsys.readouterr().out
    tell("made", found)
    told = capsys.readouterr().out.splitlines()[-2]
    assert told.split("  ")[0] == "pairs/s"
    assert "3.00 (3.00-3.00)" in told  # new over old, of the first round alone
    assert "0.500 (0.500-0.500)" in told


def test_the_largest_difference_of_scores_is_kept_and_other_pairs_are_an_error(tmp_path: Path) -> None:
    made = lab(tmp_path)
    made.compare("nano", {("q", "a"): 1.0, ("q", "b"): 2.0})
    made.compare("nano", {("q", "a"): 1.5, ("q", "b"): 2.0})
    made.compare("nano", {("q", "a"): 1.0, ("q", "b"): 2.25})
    assert made.largest_difference == {"nano": 0.5}
    with pytest.raises(EngineError, match="other pairs were ranked"):
        made.compare("nano", {("q", "a"): 1.0})


def test_a_commit_is_checked_out_beside_this_one_and_gone_afterwards() -> None:
    with checked_out("HEAD") as old:
        assert (old.root / "pyproject.toml").is_file()
        assert old.root != ROOT
        assert old.environment["PYTHONPATH"] == str(old.root)
    assert not old.root.exists()
    with pytest.raises(EngineError, match="no-such-commit"), checked_out("no-such-commit"):
        pass


def test_the_bare_side_is_measured_by_those_that_have_one() -> None:
    assert BARE.name == "bare"
    assert {name for name, part in PARTS.items() if part.bare} == {
        *("nano", "tiny", "small", "one_query"),
        *(f"service-{model}-{clients}" for model in ("nano", "tiny") for clients in (8, 100)),
    }
