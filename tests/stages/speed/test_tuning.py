"""The search for faster settings: pure, over made-up surfaces of pairs/s, with a clock that only trials move."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.report.document import Table, Text
from stages.report.tuning_report import compiling_told, sentence, tuning_content, tuning_document
from stages.speed.tuning import MARGIN, Axis, Change, Compiling, Point, Search, TrialResult, Tuned, doubling

SEQS, COMPILE, BLOCK = "engine.max_num_seqs", "engine.compile", "engine.block_size"
AXES = (doubling(SEQS, 64, 8, 512), Axis(COMPILE, (False, True)), Axis(BLOCK, (32, 64, 128)))
START = {SEQS: 64, COMPILE: True, BLOCK: 32}
FAILED = TrialResult(error="out of memory")
LONG = 1e9


@dataclass
class Machine:
    """Gives each point the rate that `rate_of` says, None: it fails; a trial takes `trial_s` of its clock."""

    rate_of: Callable[[Point], float | None]
    trial_s: float = 10.0
    time_s: float = 0.0
    measured: list[Point] = field(default_factory=list)

    def measure(self, point: Point) -> TrialResult:
        self.measured.append(point)
        self.time_s += self.trial_s
        rate = self.rate_of(point)
        return FAILED if rate is None else TrialResult(rate, self.trial_s / 2)

    def search(self, ends_s: float = LONG, allowed: Callable[[Point], bool] = lambda _point: True) -> Search:
        return Search(START, AXES, self.measure, lambda: self.time_s, ends_s, allowed)


def tuned(rate_of: Callable[[Point], float | None], ends_s: float = LONG) -> Tuned:
    return Machine(rate_of).search(ends_s).run()


def by_seqs(rates: Mapping[int, float | None], otherwise: float = 100.0) -> Callable[[Point], float | None]:
    return lambda point: rates.get(point[SEQS], otherwise)


def visited(found: Tuned, key: str) -> list[int]:
    return [one.point[key] for one in found.trials if one.verdict != "again"]


surfaces = st.dictionaries(
    st.tuples(st.sampled_from(AXES[0].values), st.booleans(), st.sampled_from(AXES[2].values)),
    st.none() | st.floats(1, 1000),
)


def on(surface: dict[tuple[int, bool, int], float | None]) -> Callable[[Point], float | None]:
    return lambda point: surface.get((point[SEQS], bool(point[COMPILE]), point[BLOCK]), 100.0)


@given(surfaces, st.floats(0, 600))
def test_what_is_written_is_ahead_of_the_start_by_the_margin_and_anything_else_is_not_written(
    surface: dict[tuple[int, bool, int], float | None], ends_s: float
) -> None:
    rate_of = on(surface)
    found = tuned(rate_of, ends_s)
    after = START | {change.key: change.after for change in found.changes}
    start, best = rate_of(START), rate_of(after)
    if found.changes:
        assert start is not None and best is not None and best > start * (1 + MARGIN)
        rates = [one.result.pairs_per_s for one in found.trials if one.result.pairs_per_s is not None]
        assert best * (1 + MARGIN) >= max(rates)
    else:
        assert after == START


@given(surfaces, st.floats(0, 600))
def test_no_point_is_measured_twice_but_for_the_confirmation_and_none_lies_outside_its_axes(
    surface: dict[tuple[int, bool, int], float | None], ends_s: float
) -> None:
    found = tuned(on(surface), ends_s)
    points = [tuple(sorted(one.point.items())) for one in found.trials]
    confirmation = 2 if found.seeming else 0
    searched = points[: len(points) - confirmation]
    assert len(set(searched)) == len(searched)
    assert set(points) == set(searched)
    for axis in AXES:
        assert {one.point[axis.key] for one in found.trials} <= set(axis.values)


@given(surfaces, st.floats(30, 600), st.floats(1, 100))
def test_the_time_is_kept_the_confirmation_included(
    surface: dict[tuple[int, bool, int], float | None], ends_s: float, trial_s: float
) -> None:
    machine = Machine(on(surface), trial_s)
    found = machine.search(ends_s).run()
    assert machine.time_s <= max(ends_s, trial_s) + 1e-6
    if not found.not_tried:
        return
    assert set(found.not_tried) <= {axis.key for axis in AXES}


@given(st.lists(st.floats(-0.014, 0.014), min_size=20, max_size=40))
def test_noise_within_the_margin_changes_nothing(noise: list[float]) -> None:
    source = iter(noise)
    machine = Machine(lambda _point: 200 * (1 + next(source, 0.0)))
    found = machine.search().run()
    assert found.changes == found.seeming == ()
    assert found.after is None


@given(st.lists(st.floats(0.5, 1.5), min_size=60, max_size=60))
def test_however_noisy_both_measurements_must_be_ahead(noise: list[float]) -> None:
    source = iter(noise)
    found = Machine(lambda _point: 200 * next(source)).search().run()
    rates = [one.result.pairs_per_s or 0 for one in found.trials]
    if found.changes:
        assert (found.before, found.after) == (rates[-2], rates[-1])
        assert rates[-1] > rates[-2] * (1 + MARGIN)
        assert max(rates[:-2]) > rates[0] * (1 + MARGIN)


def test_along_a_number_it_goes_on_while_that_improves() -> None:
    found = tuned(by_seqs({64: 100, 128: 120, 256: 140, 512: 141}))
    assert visited(found, SEQS)[:4] == [64, 128, 256, 512]
    assert found.changes == (Change(SEQS, 64, 256),)
    assert (found.before, found.after) == (100, 140)


def test_it_turns_round_where_the_first_direction_does_not_improve() -> None:
    found = tuned(by_seqs({128: 90, 32: 110, 16: 130, 8: 100}))
    assert visited(found, SEQS)[:5] == [64, 128, 32, 16, 8]
    assert found.changes == (Change(SEQS, 64, 16),)


def test_a_step_that_fails_is_a_result_and_the_search_goes_on() -> None:
    found = tuned(lambda point: None if point[SEQS] == 128 else 150.0 if not point[COMPILE] else 100.0)
    assert [one.verdict for one in found.trials][:3] == ["start", "failed", "not faster"]
    assert found.trials[1].result.error == "out of memory"
    assert found.changes == (Change(COMPILE, True, False),)


def test_nothing_is_tried_where_the_start_fails() -> None:
    found = tuned(lambda _point: None)
    assert [one.verdict for one in found.trials] == ["failed"]
    assert (found.changes, found.before, found.after) == ((), None, None)


def test_points_that_are_not_allowed_are_never_measured() -> None:
    machine = Machine(by_seqs({128: 200}))
    machine.search(allowed=lambda point: point[SEQS] <= 64).run()
    assert max(point[SEQS] for point in machine.measured) == 64


def test_start_and_best_are_measured_once_more_alternating() -> None:
    found = tuned(by_seqs({128: 200}))
    again = [one.point[SEQS] for one in found.trials if one.verdict == "again"]
    assert again == [64, 128]
    assert found.trials[-1].verdict == "again"


def test_what_was_faster_once_and_not_again_is_not_written() -> None:
    rates = iter([200.0, 278.0, 266.0])  # the start was disturbed: a mean of both would call it 16 % slower
    found = Machine(lambda _point: next(rates, 275.0)).search().run()
    assert found.seeming == (Change(SEQS, 64, 128),)
    assert not found.confirmed
    assert found.changes == ()
    assert "seemed faster, and was not by more than 3% when both were measured again (275 -> 275 pairs/s)" in sentence(
        found, 10
    )


def test_a_confirmation_that_fails_confirms_nothing() -> None:
    seen: list[Point] = []

    def rate(point: Point) -> float | None:
        seen.append(point)
        return None if seen.count(point) > 1 else 200.0 if point[SEQS] == 128 else 100.0

    found = tuned(rate)
    assert found.changes == ()
    assert "could not be measured again" in sentence(found, 10)


def test_without_time_only_the_start_is_measured_and_the_sentence_says_what_was_not() -> None:
    found = tuned(by_seqs({128: 200}), ends_s=39)
    assert len(found.trials) == 1
    assert found.not_tried == (SEQS, COMPILE, BLOCK)
    told = sentence(found, 0.65)
    assert told.startswith("Only the config's own settings were measured: 100 pairs/s.")
    assert told.endswith(f"The 0.65 minutes left no time to try {SEQS}, {COMPILE} and {BLOCK}.")


def test_time_for_one_neighbour_is_used() -> None:
    found = tuned(by_seqs({128: 200}), ends_s=40)
    assert [one.verdict for one in found.trials] == ["start", "faster", "again", "again"]
    assert found.changes == (Change(SEQS, 64, 128),)


def test_what_was_measured_is_there_when_measuring_is_interrupted() -> None:
    machine = Machine(by_seqs({128: 200}))
    search = machine.search()

    def stop(_point: Point) -> float:
        if len(machine.measured) == 3:
            raise KeyboardInterrupt
        return 200.0 if len(machine.measured) == 2 else 100.0

    machine.rate_of = stop
    with pytest.raises(KeyboardInterrupt):
        search.run()
    found = search.result()
    assert [one.verdict for one in found.trials] == ["start", "faster"]
    assert found.changes == ()


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 5000))
def test_doubling_keeps_to_its_bounds_and_holds_the_value(value: int, least: int, most: int) -> None:
    values = doubling("k", value, least, most).values
    assert value in values
    assert list(values) == sorted(set(values))
    assert all(least <= one <= most for one in values if one != value)


# What is told


def test_compiling_pays_off_once_the_time_that_it_took_is_saved() -> None:
    found = Compiling(start_up_s=60, eager_start_up_s=20, pairs_per_s=200, eager_pairs_per_s=100)
    assert found.pays_off_after == 8000
    after = found.pays_off_after
    assert 60 + after / 200 == pytest.approx(20 + after / 100)
    assert "60 s, else after 20 s; then 200 and 100 pairs/s. Compiling pays off after 8,000" in compiling_told(found)
    assert Compiling(60, 20, 100, 100).pays_off_after is None
    assert compiling_told(Compiling(60, 20, 90, 100)).endswith("never pays off.")
    assert Compiling(10, 20, 200, 100).pays_off_after == 0
    assert compiling_told(None) == ""


def test_both_ways_of_compiling_are_compared_under_the_same_other_settings() -> None:
    found = tuned(lambda point: (100.0 if point[COMPILE] else 80.0) + point[SEQS])
    assert found.changes == (Change(SEQS, 64, 512),)
    assert found.compiling == Compiling(5, 5, 612, 592)


def test_the_table_has_a_line_for_each_trial_in_order() -> None:
    found = tuned(lambda point: None if point[SEQS] == 32 else 120.0 if not point[COMPILE] else 100.0)
    document = tuning_document(found, "Tuning m", "2 pairs", sentence(found, 10))
    (section,) = document.sections
    table = next(block for block in section.blocks if isinstance(block, Table))
    assert [row[1] for row in table.rows][:4] == [
        "the config's own settings",
        "engine.max_num_seqs 64 -> 128",
        "engine.max_num_seqs 64 -> 32",
        "engine.compile true -> false",
    ]
    assert [row[1] for row in table.rows][-2:] == ["the config's own settings", "the fastest settings"]
    assert len(table.rows) == len(found.trials)
    texts = [block.text for block in section.blocks if isinstance(block, Text)]
    assert texts[0] == "engine.compile true -> false: 100 -> 120 pairs/s (+20%), when both were measured again."
    assert "Compiling never pays off." in texts[1]
    assert "3: out of memory" in str(section.blocks)


def test_the_sentence_says_when_nothing_is_faster() -> None:
    assert sentence(tuned(by_seqs({})), 10) == (
        "Nothing that was tried is faster by more than 3%, the noise of it: the config stays as it is."
    )


def test_the_json_has_every_trial_and_what_to_change() -> None:
    told = tuning_content(tuned(by_seqs({128: 200})))
    assert told["changes"] == {SEQS: {"before": 64, "after": 128}}
    assert (told["pairs_per_s_before"], told["pairs_per_s_after"]) == (100, 200)
    assert told["trials"][0] == {
        "settings": START,
        "changes": {},
        "pairs_per_s": 100,
        "start_up_s": 5,
        "seconds": 10,
        "verdict": "start",
        "error": None,
    }
