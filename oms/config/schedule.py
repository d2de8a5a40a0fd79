"""The schedule of a session: when it is open, and when its sequence numbers start at 1 again.

As QuickFIX takes StartTime, EndTime, StartDay and EndDay: a session lasts from a start to the next end. Numbers and
message store are reset when a new one begins, at the first event of the engine in it. With UseLocalTime=Y the times
are of this machine's zone. A session without a schedule never ends and is never reset.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import NamedTuple

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Schedule(NamedTuple):
    """Start and end, each a time of day and a weekday (0 is Monday), None where it is every day."""

    start: time
    end: time
    start_day: int | None
    end_day: int | None
    local: bool

    def next_reset(self, now: datetime) -> datetime:
        """The next start after `now` (UTC)."""
        return self._next(now, self.start, self.start_day)

    def is_open(self, now: datetime) -> bool:
        """Whether a session is under way at `now`; at the second of its end it is."""
        if (self.start, self.start_day) == (self.end, self.end_day):
            return True
        return self._next(now, self.end, self.end_day) < self._next(now, self.start, self.start_day)

    def _next(self, now: datetime, at: time, day: int | None) -> datetime:
        here = now.astimezone() if self.local else now.astimezone(UTC)
        for ahead in range(9):
            date = here.date() + timedelta(days=ahead)
            if day is None or date.weekday() == day:
                found = datetime.combine(date, at)
                found = found.astimezone() if self.local else found.replace(tzinfo=UTC)
                if found > now:
                    return found.astimezone(UTC)
        raise AssertionError("a week has every day")


def schedule_of(settings: Mapping[str, str]) -> Schedule | None:
    """The schedule in a session's settings, None where it has none."""
    if settings.get("NonStopSession") == "Y" or "StartTime" not in settings:
        return None
    start, end = (time.fromisoformat(settings[name]) for name in ("StartTime", "EndTime"))
    days = [_DAYS.index(settings[name][:3].lower()) if name in settings else None for name in ("StartDay", "EndDay")]
    return Schedule(start, end, days[0], days[1], settings.get("UseLocalTime") == "Y")
