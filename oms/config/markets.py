"""The markets file: when each market takes orders, in its own time, and the days on which it is closed or ends early.

One ``[[markets]]`` section per market; instruments name theirs in their column ``market``. Read once at start-up.
Invariant: a section with any problem stops the start; a market without any session is one.
"""

from __future__ import annotations

import re
from datetime import date, time
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, model_validator

from oms.config.problems import REQUIRED, Problems, Section, key, wrong
from oms.config.reference import A_NAME, NAME
from oms.config.rules import TIMES_IN_FORCE, fix_value
from oms.core.markets import Market as CoreMarket
from oms.core.markets import Sessions

WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SPAN = re.compile(r"([0-2][0-9]:[0-5][0-9])-([0-2][0-9]:[0-5][0-9])")
_SESSIONS = 'a text "HH:MM-HH:MM", or a list of them'


def _zone(value: object) -> object:
    if isinstance(value, ZoneInfo):
        return value
    try:
        return ZoneInfo(value if isinstance(value, str) and value.isprintable() else "")
    except (ValueError, OSError, LookupError):  # what a name can lead to that is none: a directory, a file, nothing
        raise wrong(
            f'no time zone "{value}"', "write a name such as America/New_York, Europe/Berlin or UTC"
        ) from None


def _listed(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _sessions(value: object) -> object:
    made: list[tuple[time, time]] = []
    for one in _listed(value):
        if isinstance(one, tuple):
            made.append(one)
            continue
        found = _SPAN.fullmatch(one) if isinstance(one, str) else None
        if found is None:
            raise wrong(
                f'"{one}" is no session', 'write "HH:MM-HH:MM" in the market\'s own time, such as "09:30-16:00"'
            )
        made.append((time.fromisoformat(found[1]), time.fromisoformat(found[2])))
    begins = [begin for begin, _ in made]
    if begins != sorted(set(begins)):
        raise wrong("sessions are not in the order of the day", "write the first one first, each once")
    return tuple(made)


def _day(value: object) -> object:
    if isinstance(value, str):
        return date.fromisoformat(value)
    if isinstance(value, date) and type(value) is date:
        return value
    raise ValueError("not a date")


def _days(value: object) -> object:
    days = tuple(_day(one) for one in _listed(value))
    if len(set(days)) != len(days):
        raise wrong("a day is there twice", "write each once")
    return days


def _codes(value: object) -> object:
    return frozenset(fix_value(str(one), TIMES_IN_FORCE, "TimeInForce(59)") for one in _listed(value))


def _week(value: object) -> object:
    given = _listed(value)
    if not given or not all(one in WEEK for one in given) or len(set(given)) != len(given):
        raise ValueError("not days of the week")
    return tuple(given)


Spans = Annotated[tuple[tuple[time, time], ...], BeforeValidator(_sessions)]
Day = Annotated[date, BeforeValidator(_day)]


class HalfDay(Section):
    """A day with other sessions than its day of the week has."""

    day: Day = key(REQUIRED, "The day.", expects="a date YYYY-MM-DD", example="2026-11-27")
    sessions: Spans = key(REQUIRED, "Its sessions.", expects=_SESSIONS, example='"09:30-13:00"')


class Market(Section):
    """One market. Orders for its instruments are refused outside its sessions; cancels never are."""

    name: str = key(REQUIRED, "As instruments name it.", expects=A_NAME, example='"XNYS"', pattern=NAME)
    time_zone: Annotated[ZoneInfo, BeforeValidator(_zone)] = key(
        REQUIRED, "Of its times.", expects="a name of the time zone database", example='"America/New_York"'
    )
    sessions: Spans = key(
        REQUIRED,
        "When it takes orders, in its own time; one that ends at or before its beginning ends on the next day.",
        expects=_SESSIONS,
        example='["09:30-16:00"]',
    )
    days: Annotated[tuple[str, ...], BeforeValidator(_week)] = key(
        WEEK[:5],
        "Days of the week on which sessions begin.",
        expects="a list of mon, tue, wed, thu, fri, sat, sun",
        example='["mon", "tue"]',
    )
    holidays: Annotated[tuple[date, ...], BeforeValidator(_days)] = key(
        (), "Days without sessions.", expects="a list of dates YYYY-MM-DD", example="[2026-11-26, 2026-12-25]"
    )
    half_days: tuple[HalfDay, ...] = key(
        (),
        "Days with sessions of their own.",
        expects="a list of tables with day and sessions",
        example='[{ day = 2026-11-27, sessions = "09:30-13:00" }]',
    )
    any_time: Annotated[frozenset[str], BeforeValidator(_codes)] = key(
        frozenset(),
        "TimeInForce(59) of orders that are taken while it is closed, because the broker keeps them until it opens.",
        expects="a list of words such as gtc, gtd, opg, or FIX values",
        example='["gtc", "opg"]',
    )

    @model_validator(mode="after")
    def _right(self) -> Market:
        if not self.sessions:
            raise wrong("no session, so that every order would be refused", "give at least one")
        half = [one.day for one in self.half_days]
        twice = next((day for day in half if half.count(day) > 1 or day in self.holidays), None)
        if twice is not None:
            raise wrong(f"{twice} is there twice among holidays and half_days", "keep one of the two")
        return self

    def core(self) -> CoreMarket:
        """The market in the core's own words."""
        week: tuple[Sessions, ...] = tuple(self.sessions if name in self.days else () for name in WEEK)
        days: dict[date, Sessions] = dict.fromkeys(self.holidays, ())
        days |= {one.day: one.sessions for one in self.half_days}
        return CoreMarket(self.name, self.time_zone, week, days, self.any_time)


class MarketsToml(Section):
    """The whole of the markets file."""

    markets: tuple[Market, ...] = key((), "The markets.", expects="[[markets]] sections")


def read_markets(file: Path | None, named_by: str, problems: Problems) -> dict[str, Market]:
    """All markets of the file by name; what is wrong goes to `problems`. None is a file that is not named."""
    if file is None:
        return {}
    text = problems.read(file, named_by)
    data = None if text is None else problems.toml(text, file)
    whole = None if data is None else problems.validated(MarketsToml, data, file)
    found: dict[str, Market] = {}
    for number, market in enumerate(whole.markets if whole is not None else (), 1):
        if market.name in found:
            where = f"[[markets]] #{number} name"
            problems.add(file, where, f'"{market.name}" is there twice', "give each market its own name")
        found.setdefault(market.name, market)
    return found
