"""The feed: ticks become few events, by the precedence of their sources, and failures are told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from typing import Any

import pytest

from oms.config.prices import Prices
from oms.core import messages as m
from oms.prices.feed import AT_ONCE, Feed, Quote

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def feed_of(known: dict[str, Quote | None] | None = None, age: int | None = None, **more: Any) -> Feed:
    sources = [{"name": name, "kind": "file", "path": name, "good_for": 10} for name in ("first", "second")]
    settings = Prices.model_validate({"source": sources} | more)
    max_age = timedelta(seconds=age) if age else None
    known = known or {"A": None, "B": Quote("B", D(10), NOW)}
    return Feed(settings, known, lambda event: None, lambda: 0, max_age=max_age)


def prices(feed: Feed, seconds: float) -> list[tuple[str, str, str]]:
    """Source, symbol and price of what is due."""
    found = feed.due(later(seconds))
    return [(one.source, symbol, px) for one in found if isinstance(one, m.Prices) for symbol, px, _ in one.quotes]


def test_of_ten_thousand_ticks_a_second_the_last_one_is_told_once_an_interval() -> None:
    feed, told = feed_of(move="0"), []
    for tick in range(30_000):
        feed.put("first", [Quote("A", D(tick + 1), later(tick / 10_000))])
        if tick % 1000 == 999:
            told += prices(feed, tick / 10_000)
    assert told == [("first", "A", "1000"), ("first", "A", "11000"), ("first", "A", "21000")]


def test_what_moves_by_less_is_told_when_half_of_the_age_is_over() -> None:
    feed = feed_of(age=60, move="1")
    for seconds, price, expected in (
        (1, "10.1", []),
        (2, "10.11", [("first", "B", "10.11")]),
        (31, "10.11", []),
        (32, "10.11", [("first", "B", "10.11")]),
    ):
        feed.put("first", [Quote("B", D(price), later(seconds))])
        assert prices(feed, seconds) == expected, seconds


def test_a_source_further_down_counts_while_those_above_have_no_price_that_is_good() -> None:
    feed = feed_of(move="0")
    feed.put("second", [Quote("A", D(2), later(0))])
    assert prices(feed, 0) == [("second", "A", "2")]
    feed.put("first", [Quote("A", D(1), later(1))])
    feed.put("second", [Quote("A", D(3), later(5))])
    assert prices(feed, 5) == [("first", "A", "1")]
    feed.put("second", [Quote("A", D(4), later(11))])
    assert prices(feed, 11) == []  # the first one is ten seconds old and good still
    assert prices(feed, 11.1) == [("second", "A", "4")]
    feed.put("first", [Quote("A", D(5), later(10))])
    assert prices(feed, 13) == []  # good again, but older than what is in use


def test_events_are_of_one_source_and_a_limited_number_of_symbols() -> None:
    symbols = [f"S{number:03}" for number in range(AT_ONCE + 1)]
    feed = feed_of(dict.fromkeys(symbols))
    feed.put("first", [Quote(symbol, D(1), NOW) for symbol in [*symbols, "UNKNOWN"]])
    found = feed.due(NOW)
    assert [len(one.quotes) for one in found if isinstance(one, m.Prices)] == [AT_ONCE, 1]


def test_a_source_that_fails_is_told_once_its_prices_are_over_and_told_again_when_it_works() -> None:
    feed = feed_of()
    feed.put("first", [], NOW)
    feed.fails("first", "gone")
    assert feed.due(later(10)) == []
    assert feed.due(later(10.1)) == [m.PriceSource("first", "gone")]
    feed.fails("second", "never there")
    assert feed.due(later(11)) == [m.PriceSource("second", "never there")]
    assert feed.due(later(12)) == []
    feed.put("first", [], later(13))
    assert feed.due(later(13)) == [m.PriceSource("first", "")]


def test_after_a_start_a_source_that_failed_before_is_told_when_it_works_or_is_not_configured() -> None:
    settings = Prices.model_validate({"source": [{"name": "first", "kind": "fills"}]})
    feed = Feed(settings, {}, lambda event: None, lambda: 0, unusable=["first", "removed"])
    assert feed.due(NOW) == [m.PriceSource("removed", "")]
    feed.put("first", [], NOW)
    assert feed.due(NOW) == [m.PriceSource("first", "")]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"kind": "file"}, "no path with kind = file"),
        ({"kind": "http", "url": "file:///etc/passwd"}, "not an address of HTTP or HTTPS"),
        ({"kind": "http", "url": "https://"}, "not an address of HTTP or HTTPS"),
        ({"kind": "fills", "every": 1}, "every has an effect only with kind = file or http"),
        ({"kind": "http", "url": "http://h/", "rows": "a"}, "rows has an effect only with format = json"),
    ],
)
def test_a_key_without_effect_and_an_address_of_another_kind_are_refused(source: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Prices.model_validate({"source": [{"name": "one"} | source]})
