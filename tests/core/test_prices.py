"""Reference prices in the core: what is taken, held and refused, whom an old one stops, and replay."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal as D
from typing import Any

import pytest

from oms.core import messages as m
from oms.core.effects import Price
from oms.core.judge import LiveJudge
from oms.core.prices import PriceBook, stale
from oms.core.terms import Instrument
from tests.core.desk import Desk, order_out
from tests.core.driver import START
from tests.core.terms import INSTRUMENTS, TERMS
from tests.core.test_projection_limits import answer, row

AGE = timedelta(seconds=60)


def at(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).isoformat()


def desk_of(*rows: Any, max_move: D | None = None, age: timedelta | None = AGE, **ibm: Any) -> Desk:
    """A desk whose prices may change; IBM has a price of 10 as of the start."""
    one = INSTRUMENTS["IBM"]._replace(**{"reference_at": START, "max_price_age": age} | ibm)
    desk = Desk(TERMS._replace(instruments=dict(INSTRUMENTS) | {"IBM": one}, limit_rows=rows))
    judge = desk.core._context.judge
    assert isinstance(judge, LiveJudge)
    assert isinstance(desk.terms.instruments, dict)
    judge.prices = PriceBook(desk.terms.instruments, max_move)
    if judge.exposure is not None:
        judge.prices.revalue = judge.exposure.revalue
    return desk


def told(desk: Desk, price: str, seconds: float, symbol: str = "IBM") -> dict[str, Any]:
    desk.event("", m.Prices("vendor", ((symbol, price, at(seconds)),)))
    found: dict[str, Any] = desk.details[-1]["prices"]
    return found


def ibm(desk: Desk) -> tuple[D | None, datetime | None]:
    one = desk.terms.instruments["IBM"]
    return one.reference_price, one.reference_at


def market(desk: Desk, cl_ord_id: str) -> str:
    return answer(desk.new(cl_ord_id, px=None, ord_type="1"))


# -- age ---------------------------------------------------------------------------------------------------------


def test_a_market_order_is_refused_once_the_price_it_is_valued_at_is_older_than_the_limit() -> None:
    desk = desk_of()
    desk.now = START + timedelta(seconds=59)
    assert market(desk, "A1") == "sent"
    desk.now = START + timedelta(seconds=60)
    old = f"reference price 10 of IBM is of {START:%Y-%m-%d %H:%M:%S}, over 60 s old at"
    assert market(desk, "A2") == f"stale_price: {old} {desk.now:%Y-%m-%d %H:%M:%S} UTC"
    assert desk.new("A3") == [order_out("A3")]  # has a price of its own, and no collar
    assert told(desk, "11", 60) == {"taken": ["IBM"], "held": [], "refused": []}
    assert market(desk, "A4") == "sent"
    desk.replayed()


def test_an_order_under_a_collar_is_refused_by_an_old_price_and_warned_by_a_soft_row() -> None:
    desk = desk_of(row("price_collar", 50))
    assert answer(desk.new("A1")) == "sent"
    desk.now = START + timedelta(seconds=61)
    text = answer(desk.new("A2"))
    assert text.startswith("stale_price: reference price 10 of IBM is of 2026-")
    assert text.endswith("(the firm, limits.csv line 2)")
    soft = desk_of(row("price_collar", 50, soft=True))
    soft.now = START + timedelta(seconds=61)
    assert answer(soft.new("A1")) == "sent"
    checks = soft.details[-1]["checks"]
    assert [(rule, ok) for rule, ok, text in checks if text.startswith("soft: ")] == [("stale_price", True)]


def test_a_replace_that_adds_no_risk_passes_whatever_the_age() -> None:
    desk = desk_of(row("price_collar", 50)).working("A1")
    desk.now = START + timedelta(seconds=61)
    assert [one.msg_type for one in desk.replace("R1", "A1", 50)] == ["G"]


@pytest.mark.parametrize(
    ("ibm", "text"),
    [
        ({"max_price_age": None, "reference_at": None}, ""),
        ({}, ""),
        ({"reference_at": None}, "reference price 10 of IBM has no time, and may be 60 s old"),
        ({"reference_price": None}, "no reference price for IBM"),
        ({"reference_at": START + timedelta(seconds=5)}, ""),
        ({"reference_at": START + timedelta(seconds=6)}, "in the future at"),
        ({"reference_at": START - timedelta(seconds=60)}, ""),
        ({"reference_at": START - timedelta(seconds=61)}, "over 60 s old at"),
    ],
)
def test_what_an_order_may_be_judged_by(ibm: dict[str, Any], text: str) -> None:
    one: Instrument = INSTRUMENTS["IBM"]._replace(**{"reference_at": START, "max_price_age": AGE} | ibm)
    found = stale(one, START)
    assert (text in found) if text else found == ""
    assert stale(one, None) if one.max_price_age else stale(one, None) == ""


# -- what is taken ------------------------------------------------------------------------------------------------


def test_a_price_is_taken_into_use_into_its_row_and_into_the_worth_of_positions() -> None:
    desk = desk_of(row("max_gross_notional", 1500))
    desk.working("A1")
    desk.fill("A1", 100)
    told(desk, "12.5", 0.5)
    assert ibm(desk) == (D("12.5"), START + timedelta(seconds=0.5))
    row_of = Price("IBM", D("12.5"), START + timedelta(seconds=0.5), "vendor", desk.events[-1][0])
    assert desk.fx.prices == {"IBM": row_of}
    refused = answer(desk.new("A2", 30, px=10))
    assert refused.startswith("max_gross_notional: 1625 USD gross exceeds 1500")  # 130 at 12.5
    other = desk.replayed()
    assert other.details == desk.details
    assert other.fx.prices == desk.fx.prices


@pytest.mark.parametrize(
    ("symbol", "seconds", "why"),
    [
        ("NOPE", 0, "is not in the instruments file"),
        ("IBM", -1, "older than the price in use"),
        ("IBM", 6, "in the future"),
    ],
)
def test_a_price_of_no_instrument_an_older_one_and_one_of_tomorrow_are_refused(
    symbol: str, seconds: float, why: str
) -> None:
    desk = desk_of()
    found = told(desk, "11", seconds, symbol)
    assert (found["taken"], found["refused"][0][0]) == ([], symbol)
    assert why in found["refused"][0][1]
    assert ibm(desk) == (D(10), START)
    assert desk.fx.prices == {}


# -- what is held -------------------------------------------------------------------------------------------------


def test_a_jump_is_held_and_raised_once_and_a_price_near_enough_closes_the_item() -> None:
    desk = desk_of(max_move=D(20))
    assert told(desk, "12", 0.1)["taken"] == ["IBM"]
    held = told(desk, "14.41", 0.2)
    assert (held["taken"], held["held"]) == ([], [["IBM", "14.41", at(0.2), "12"]])
    (item,) = desk.fx.items.values()
    text = "prices of vendor moved too far and are not used: IBM from 12 to 14.41"
    assert (item.kind, item.severity, item.text) == ("price_held", "warning", text)
    assert told(desk, "14.5", 0.3)["held"] != []
    assert desk.fx.items == {}  # one item is enough
    assert ibm(desk)[0] == D(12)
    assert told(desk, "14.4", 0.4)["closes"] == [item.item_id]
    assert ibm(desk)[0] == D("14.4")
    assert desk.open_items() == []
    desk.replayed()


def test_an_operator_may_accept_a_jump() -> None:
    desk = desk_of(max_move=D(20))
    told(desk, "30", 0.1)
    quotes = f'[["IBM","30","{at(0.2)}"]]'
    desk.event("", m.Command("ann", "prices.load", (("source", "ann: f.csv"), ("quotes", quotes))))
    assert desk.fx.answer is not None
    assert desk.fx.answer["held"] == [["IBM", "30", at(0.2), "10"]]
    accepted = (("source", "ann: f.csv"), ("quotes", quotes), ("accept", "Y"))
    desk.event("", m.Command("ann", "prices.load", accepted))
    assert desk.fx.answer["taken"] == ["IBM"]
    assert desk.fx.prices["IBM"].source == "ann: f.csv"
    assert desk.open_items() == []
    desk.replayed()


def test_an_unusable_source_opens_one_item_that_closes_when_it_works() -> None:
    desk = desk_of()
    desk.event("", m.PriceSource("vendor", "no answer"))
    desk.event("", m.PriceSource("vendor", "no answer still"))
    desk.event("", m.PriceSource("other", ""))
    assert desk.open_items() == ["price_source"]
    desk.event("", m.PriceSource("vendor", ""))
    assert desk.open_items() == []
    desk.replayed()


def test_after_a_start_the_newer_of_ledger_and_file_counts() -> None:
    book = PriceBook(dict(INSTRUMENTS) | {"IBM": INSTRUMENTS["IBM"]._replace(reference_at=START)})
    older, newer = (
        Price(name, D(7), START + timedelta(seconds=s), "v", 1) for name, s in (("IBM", -1), ("LOTS", -1))
    )
    book.restore([older, newer, Price("GONE", D(1), START, "v", 1)])
    assert book.instruments["IBM"].reference_price == D(10)
    assert (book.instruments["LOTS"].reference_price, book.instruments["LOTS"].reference_at) == (D(7), newer.at)
    assert list(book.prices) == ["LOTS"]
