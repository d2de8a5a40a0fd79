"""When a market takes orders: sessions in its own time, holidays, half days; and what passes all the same."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oms.core.markets import Market, Sessions
from tests.core.desk import Desk
from tests.core.terms import INSTRUMENTS, TERMS

NEW_YORK = ZoneInfo("America/New_York")
DAY = (time(9, 30), time(16))
WEEK: tuple[Sessions, ...] = ((DAY,),) * 5 + ((), ())
DAYS: dict[date, Sessions] = {date(2026, 11, 26): (), date(2026, 11, 27): ((time(9, 30), time(13)),)}
NIGHTS: tuple[Sessions, ...] = (((time(18), time(17)),),) * 4 + ((), (), ((time(18), time(17)),))


def market(week: tuple[Sessions, ...] = WEEK, days: dict[date, Sessions] = DAYS, **more: frozenset[str]) -> Market:
    return Market("XNYS", NEW_YORK, week, days, **more)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "says"),
    [
        ("2026-11-25 14:29:59", "closed, it opens at 2026-11-25 14:30 UTC (09:30 America/New_York)"),
        ("2026-11-25 14:30:00", "open until 2026-11-25 21:00 UTC (16:00 America/New_York)"),
        (
            "2026-11-25 21:00:00",
            "closed, it opens at 2026-11-27 14:30 UTC (09:30 America/New_York)",
        ),  # a holiday
        ("2026-11-27 17:59:59", "open until 2026-11-27 18:00 UTC (13:00 America/New_York)"),  # a half day
        ("2026-11-27 18:00:00", "closed, it opens at 2026-11-30 14:30 UTC (09:30 America/New_York)"),  # a weekend
        (
            "2026-03-09 13:30:00",
            "open until 2026-03-09 20:00 UTC (16:00 America/New_York)",
        ),  # summer time
        ("2026-03-06 13:30:00", "closed, it opens at 2026-03-06 14:30 UTC (09:30 America/New_York)"),
    ],
)
def test_a_market_is_open_in_its_own_time(at: str, says: str) -> None:
    is_open, text = market().says(utc(at))
    assert (is_open, text) == (says.startswith("open"), f"XNYS is {says}")


def test_a_session_over_midnight_belongs_to_the_day_on_which_it_begins() -> None:
    nights = market(NIGHTS, {})
    found = [nights.is_open(utc(at)) for at in (
        "2026-11-22 22:59:59",  # Sunday, 17:59:59
        "2026-11-22 23:00:00", "2026-11-23 05:00:00", "2026-11-23 21:59:59",
        "2026-11-23 22:00:00",  # Monday, an hour's pause
        "2026-11-23 23:00:00",
        "2026-11-27 21:59:59", "2026-11-27 22:00:00",  # the week ends on Friday
    )]  # fmt: skip
    assert found == [False, True, True, True, False, True, True, False]


def test_a_market_without_any_session_to_come_says_so() -> None:
    never = market(((),) * 7, {})
    assert never.says(utc("2026-11-25 14:30:00")) == (False, "XNYS is closed, no opening is known")
    assert never.next_opening(utc("2026-11-25 14:30:00")) is None


def slow_open(one: Market, at: datetime) -> bool:
    """Straight from the definition: some session of yesterday, today or the day before has begun and not ended."""
    today = at.astimezone(one.zone).date()
    for day in (today - timedelta(1), today, today + timedelta(1)):
        for begin, end in one.days.get(day, one.week[day.weekday()]):
            opens = datetime.combine(day, begin, one.zone).astimezone(UTC)
            over = day if end > begin else day + timedelta(1)
            if opens <= at < datetime.combine(over, end, one.zone).astimezone(UTC):
                return True
    return False


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from((market(), market(NIGHTS))),
    st.lists(st.integers(0, 60 * 24 * 400), min_size=1, max_size=12),
)
def test_whatever_the_order_of_moments_the_answer_is_that_of_the_definition(one: Market, minutes: list[int]) -> None:
    for minute in minutes:
        at = utc("2026-01-01 00:00:00") + timedelta(minutes=minute)
        assert one.is_open(at) == slow_open(one, at)
        opens = one.next_opening(at)
        assert opens is not None
        assert opens > at
        assert slow_open(one, opens)


# -- through whole orders ---------------------------------------------------------------------------------------


def desk(at: str, any_time: frozenset[str] = frozenset()) -> Desk:
    ibm = INSTRUMENTS["IBM"]._replace(market="XNYS")
    made = Desk(TERMS._replace(instruments=INSTRUMENTS | {"IBM": ibm}, markets={"XNYS": market(any_time=any_time)}))
    made.now = utc(at)
    return made


def test_an_order_while_the_market_is_closed_is_refused_with_the_next_opening_and_a_cancel_passes() -> None:
    house = desk("2026-11-27 17:59:00")
    assert [one.msg_type for one in house.new("A1")] == ["D"]
    house.report("A1", "0")
    house.now = utc("2026-11-27 18:00:00")
    (refused,) = house.new("A2")
    told = "market_hours: XNYS is closed, it opens at 2026-11-30 14:30 UTC (09:30 America/New_York)"
    assert (refused.fields["Text"], refused.fields["OrdRejReason"]) == (told, "2")
    assert [one.msg_type for one in house.new("A3", symbol="LOTS")] == ["D"]  # of no market
    assert [one.fields["Text"] for one in house.replace("R1", "A1", 200)] == [told]
    assert [one.msg_type for one in house.cancel("C1", "A1")] == ["F"]


def test_orders_that_the_broker_keeps_until_the_opening_are_taken_at_any_time_where_the_market_says_so() -> None:
    house = desk("2026-11-28 12:00:00", any_time=frozenset("12"))
    taken = [house.new(f"A{tif or 'x'}", time_in_force=tif)[0].msg_type for tif in ("1", "0", "", "3")]
    assert taken == ["D", "8", "8", "8"]


def test_hours_that_are_not_known_refuse() -> None:
    ibm = INSTRUMENTS["IBM"]._replace(market="XLON")
    house = Desk(TERMS._replace(instruments=INSTRUMENTS | {"IBM": ibm}, markets={"XNYS": market()}))
    assert house.new("A1")[0].fields["Text"] == "market_hours: the hours of XLON are not known"
