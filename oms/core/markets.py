"""When a market takes orders: sessions by day of the week in the market's own time, holidays, half days.

Pure: the moment comes with the event, the time zone with the configuration. A session belongs to the day on which it
begins; one that ends at or before its beginning ends on the next day. A time that the clock passes twice counts at
its first passing, one that it leaps over counts as if it had not leapt. What was found for one moment is kept until
the market opens or closes next. Owned by the core thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta, tzinfo

_AHEAD = 400  # days in which a next opening is looked for
_DAY = timedelta(days=1)
Sessions = tuple[tuple[time, time], ...]  # from and to, in order


class Market:
    """One market. `week` has the sessions of each day of the week, `days` those of days that are otherwise."""

    __slots__ = ("_closes", "_opens", "_text", "any_time", "days", "name", "week", "zone")

    def __init__(
        self,
        name: str,
        zone: tzinfo,
        week: tuple[Sessions, ...],
        days: Mapping[date, Sessions] | None = None,
        any_time: frozenset[str] = frozenset(),
    ) -> None:
        """`days`: a holiday has no sessions. `any_time`: TimeInForce(59) of what is taken when it is closed."""
        self.name, self.zone, self.week, self.days, self.any_time = name, zone, week, dict(days or {}), any_time
        self._opens = self._closes = datetime.min.replace(tzinfo=UTC)  # the span for which `_text` holds
        self._text: tuple[bool, str] = (False, "")

    def says(self, at: datetime) -> tuple[bool, str]:
        """Whether it is open at an aware moment, and until when, or when it opens next."""
        if not self._opens <= at < self._closes:
            self._look(at)
        return self._text

    def is_open(self, at: datetime) -> bool:
        """Whether it is open at an aware moment."""
        return self.says(at)[0]

    def next_opening(self, at: datetime) -> datetime | None:
        """When it opens after a moment, in UTC; None where it does not within a year."""
        return next((opens for opens, _ in self._sessions(at) if opens > at), None)

    def _look(self, at: datetime) -> None:
        since = datetime.min.replace(tzinfo=UTC)
        for opens, closes in self._sessions(at):
            if opens <= at < closes:
                self._opens, self._closes = opens, closes
                self._text = (True, f"{self.name} is open until {self._told(closes)}")
                return
            if opens > at:
                self._opens, self._closes = max(since, at), opens
                self._text = (False, f"{self.name} is closed, it opens at {self._told(opens)}")
                return
            since = closes
        self._opens = self._closes = at
        self._text = (False, f"{self.name} is closed, no opening is known")

    def _sessions(self, at: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Sessions in UTC, from those that may last into a moment on, in order; overlapping ones are one."""
        first = at.astimezone(self.zone).date() - 2 * _DAY
        held: tuple[datetime, datetime] | None = None
        for number in range(_AHEAD):
            day = first + number * _DAY
            for begin, end in self.days.get(day, self.week[day.weekday()]):
                opens, closes = self._moment(day, begin), self._moment(day if end > begin else day + _DAY, end)
                if held is not None and opens <= held[1]:
                    held = (held[0], max(held[1], closes))
                    continue
                if held is not None:
                    yield held
                held = (opens, closes)
        if held is not None:
            yield held

    def _moment(self, day: date, clock: time) -> datetime:
        return datetime.combine(day, clock, self.zone).astimezone(UTC)

    def _told(self, moment: datetime) -> str:
        local = moment.astimezone(self.zone)
        return f"{moment:%Y-%m-%d %H:%M} UTC ({local:%H:%M} {self.zone})"
