"""Cron expressions mean what crontab(5) says, also where APScheduler reads them otherwise."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.nightly.cron import Cron
from stages.core.errors import ConfigError

MONDAY = datetime(2026, 6, 1, tzinfo=UTC)
DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
EXPRESSIONS = ["0 2 * * *", "* * * * *", "*/7 1-5 * * *", "30 4 1 * *", "0 0 29 2 *", "15 3 * * 1-5", "0 2 1 * mon"]


def week_of(field: str) -> list[str]:
    """The days of a week on which it is due."""
    cron, found, days = Cron.parse(f"0 12 * * {field}", "UTC"), MONDAY, []
    while (found := cron.next(found)) < MONDAY + timedelta(days=7):
        days.append(f"{found:%a}")
    return days


@pytest.mark.parametrize(
    ("field", "days"),
    [
        ("0", ["Sun"]),
        ("7", ["Sun"]),
        ("1-5", DAYS[:5]),
        ("5-7", DAYS[4:]),
        ("fri-sun", DAYS[4:]),
        ("*/2", ["Tue", "Thu", "Sat", "Sun"]),
        ("MON,3", ["Mon", "Wed"]),
        ("*", DAYS),
    ],
)
def test_weekdays_count_from_sunday(field: str, days: list[str]) -> None:
    assert week_of(field) == days


def test_a_day_or_a_weekday_that_fits_is_enough() -> None:
    cron = Cron.parse("0 2 3 * 1", "UTC")
    first = cron.next(MONDAY + timedelta(hours=3))
    assert first == datetime(2026, 6, 3, 2, tzinfo=UTC)
    assert cron.next(first) == datetime(2026, 6, 8, 2, tzinfo=UTC)


def test_a_night_whose_clock_is_set_back_has_one_run() -> None:
    cron = Cron.parse("0 2 * * *", "Europe/Berlin")
    first = cron.next(datetime(2026, 10, 24, 12, tzinfo=UTC))
    assert first == datetime(2026, 10, 25, 0, tzinfo=UTC)
    assert cron.next(first) == datetime(2026, 10, 26, 1, tzinfo=UTC)


def test_a_run_for_every_hour_has_both_hours_of_that_night() -> None:
    cron = Cron.parse("0 * * * *", "Europe/Berlin")
    assert cron.next(datetime(2026, 10, 25, 0, tzinfo=UTC)) == datetime(2026, 10, 25, 1, tzinfo=UTC)


def test_a_night_whose_clock_is_set_forward_over_the_time_has_its_run() -> None:
    cron = Cron.parse("30 2 * * *", "Europe/Berlin")
    assert cron.next(datetime(2026, 3, 28, 12, tzinfo=UTC)) == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


@given(
    expression=st.sampled_from(EXPRESSIONS),
    now=st.datetimes(datetime(2020, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"]),
)
def test_the_latest_is_due_and_the_next_after_it_is_not(expression: str, now: datetime, zone: str) -> None:
    cron = Cron.parse(expression, zone)
    latest = cron.latest(now)
    assert latest is not None and latest <= now
    following = cron.next(latest)
    assert following is not None and following > now
    assert cron.next(now) == following


@pytest.mark.parametrize(
    ("expression", "zone", "told"),
    [
        ("0 2 * *", None, "4 fields, not 5"),
        ("@daily", None, "1 fields, not 5"),
        ("0 25 * * *", None, "higher than the maximum value"),
        ("0 2 * * 9", None, "'9' is no weekday"),
        ("0 2 * * sat-mon", None, "'sat-mon' is no weekday"),
        ("0 2 * * */0", None, "'*/0' is no weekday"),
        ("0 0 30 2 *", "UTC", "never happens"),
        ("0 2 * * *", "Europe/Berlni", "--timezone Europe/Berlni: not known here"),
    ],
)
def test_an_expression_that_means_nothing_is_refused(expression: str, zone: str | None, told: str) -> None:
    with pytest.raises(ConfigError, match=r"--cron|--timezone") as refused:
        Cron.parse(expression, zone)
    assert told in str(refused.value)
