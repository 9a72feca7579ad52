"""A cron expression as crontab(5) reads it, computed by APScheduler: which occurrence is next, which is due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.combining import OrTrigger
from apscheduler.triggers.cron import CronTrigger
from tzlocal import get_localzone

from stages.core.errors import ConfigError

WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
INSTANT = timedelta(microseconds=1)
LONGEST = timedelta(days=366 * 9)  # between two 29ths of February, with a skipped leap year between them


class Cron:
    """The occurrences of a trigger; every time that comes in or goes out is aware, what goes out is in UTC."""

    def __init__(self, trigger: BaseTrigger, zone: tzinfo = UTC, *, every_hour: bool = True) -> None:
        self.zone, self._trigger, self._every_hour = zone, trigger, every_hour

    @classmethod
    def parse(cls, expression: str, timezone: str | None = None) -> Cron:
        """Five fields: minute, hour, day, month, weekday (0 and 7 are Sunday; a day or a weekday that fits is enough).

        `timezone` is a name such as Europe/Berlin; None is this machine's. Raises ConfigError.
        """
        zone = _zone(timezone)
        fields = expression.split()
        if len(fields) != 5:
            raise ConfigError(
                f"--cron {expression!r}: {len(fields)} fields, not 5. Write minute hour day month weekday, such as "
                "'0 2 * * *' for 2 o'clock every night"
            )
        minute, hour, day, month, weekday = fields
        weekday = _weekdays(expression, weekday)
        either = day != "*" and weekday != "*"  # then cron takes a day that fits one of them, APScheduler both
        wanted = [(day, "*"), ("*", weekday)] if either else [(day, weekday)]
        try:
            triggers = [CronTrigger.from_crontab(f"{minute} {hour} {d} {month} {w}", zone) for d, w in wanted]
        except ValueError as error:
            raise ConfigError(f"--cron {expression!r}: {error}") from error
        cron = cls(OrTrigger(triggers), zone, every_hour=hour.startswith("*"))
        if cron.next(datetime.now(UTC)) is None:
            raise ConfigError(f"--cron {expression!r} never happens: there is no such day")
        return cron

    def next(self, after: datetime) -> datetime | None:
        """The first occurrence later than `after`; None where there is none."""
        found = self._following(after)
        while found is not None and found.astimezone(self.zone).fold and not self._every_hour:
            # Clocks were set back: cron runs what belongs to a fixed hour once, in the first of the two.
            found = self._following(found)
        return found

    def _following(self, after: datetime) -> datetime | None:
        start = (after.astimezone(UTC) + INSTANT).astimezone(self.zone)
        found: datetime | None = self._trigger.get_next_fire_time(None, start)
        return None if found is None else found.astimezone(UTC)

    def latest(self, now: datetime) -> datetime | None:
        """The last occurrence that is due at `now`; None where there was none in the last nine years."""
        window = timedelta(minutes=1)
        while window < LONGEST:
            found = self.next(now - window)
            if found is not None and found <= now:
                return self._last(found, now)
            window *= 2
        return None

    def _last(self, found: datetime, now: datetime) -> datetime:
        while (later := self.next(found)) is not None and later <= now:
            found = later
        return found


def _zone(name: str | None) -> tzinfo:
    try:
        return ZoneInfo(name) if name else get_localzone()
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(
            f"--timezone {name or '(of this machine)'}: not known here ({error}). Write a name such as Europe/Berlin; "
            "on a system without time zones install tzdata"
        ) from error


def _weekdays(expression: str, field: str) -> str:
    """Weekday numbers as names: APScheduler counts from Monday, cron from Sunday (APScheduler's issue 286)."""
    if field == "*":
        return field
    names: list[str] = []
    for part in field.lower().split(","):
        span, _, step = part.partition("/")
        first, dash, last = ("0", "-", "6") if span == "*" else span.partition("-")
        try:
            start = _weekday(first)
            end = _weekday(last) if dash else 6 if step else start
            end = 7 if dash and end == 0 else end  # fri-sun, 5-7
            chosen = range(start, end + 1, int(step or 1))
        except ValueError:
            chosen = range(0)
        if not chosen:
            raise ConfigError(f"--cron {expression!r}: {part!r} is no weekday. Write 0 to 7, sun to sat, or mon-fri")
        names += [WEEKDAYS[number % 7] for number in chosen]
    return ",".join(names)


def _weekday(text: str) -> int:
    """0 is Sunday. Raises ValueError."""
    number = WEEKDAYS.index(text) if text in WEEKDAYS else int(text)
    if not 0 <= number <= 7:
        raise ValueError(text)
    return number
