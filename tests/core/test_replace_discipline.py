"""Replace discipline: replaces that come too soon or move too little are refused, those that reduce risk are not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from oms.core.order import Order, Request
from oms.core.replace_discipline import Breach, Wanted, breach, only_reduces, rule_for
from oms.core.terms import Instrument, ReplaceRule
from tests.core.desk import Desk, cancel_out, cancel_reject, replace_out
from tests.core.terms import TERMS

NOW = datetime(2026, 3, 2, 13, 0, tzinfo=UTC)
MS = timedelta(milliseconds=1)
AAPL = Instrument("AAPL", "XNAS", "USD", Decimal("0.01"), Decimal(1), Decimal(150), None, None, True)


def rule(**how: Any) -> ReplaceRule:
    any_of = ("*",)
    plain = ReplaceRule(
        "calm", any_of, any_of, any_of, any_of, timedelta(0), 0, Decimal(0), False, timedelta(0), False
    )
    return plain._replace(**how)


def order(**how: Any) -> Order:
    made = Order(
        order_id="O1", client="BUYA", original_cl_ord_id="A1", account="FUND1", trader="", symbol="AAPL",
        security_exchange="XNAS", side="1", ord_type="2", time_in_force="0", ex_destination="",
        original_order_qty=Decimal(100), original_price=Decimal(150), original_stop_px=None, trade_date=NOW.date(),
        received_at=NOW, new_seq=1, last_seq=1, order_qty=Decimal(100), price=Decimal(150),
    )  # fmt: skip
    for name, value in how.items():
        setattr(made, name, value)
    return made


def wanted(qty: str = "100", price: str | None = "150", stop: str | None = None, at: datetime = NOW) -> Wanted:
    price_ = None if price is None else Decimal(price)
    return Wanted(Decimal(qty), price_, None if stop is None else Decimal(stop), at)


def judged(one: ReplaceRule, about: Order, asked: Wanted) -> Breach | None:
    return breach(one, about, asked, {"AAPL": AAPL})


def test_the_first_rule_that_matches_client_account_symbol_and_broker_is_the_rule() -> None:
    rules = (
        rule(name="sap", symbol=("SAP",)), rule(name="fund2", account=("FUND2",)), rule(name="b", broker=("B2",)),
        rule(name="buy", client=("BUY*", "X")), rule(name="all"),
    )  # fmt: skip
    found = [rule_for(rules, order(**how), broker) for how, broker in (
        ({}, "B1"), ({}, "B2"), ({"symbol": "SAP"}, "B1"), ({"client": "Z"}, "B1"), ({"account": "FUND2"}, "B1"),
    )]  # fmt: skip
    assert [one.name for one in found if one is not None] == ["buy", "b", "sap", "all", "fund2"]
    assert rule_for(rules[:3], order(), "B1") is None


@pytest.mark.parametrize(
    ("how", "refused"),
    [
        (None, None),
        (0 * MS, "calm: 0 ms after the replace before, at least 500 ms"),
        (499 * MS, "calm: 499 ms after the replace before, at least 500 ms"),
        (500 * MS, None),
        (-3_600_000 * MS, None),  # a clock that was set back
    ],
)
def test_two_replaces_of_an_order_are_so_far_apart(how: timedelta | None, refused: str | None) -> None:
    about = order(replaced_at=None if how is None else NOW - how)
    found = judged(rule(min_interval=500 * MS), about, wanted("200"))
    assert found == (None if refused is None else Breach("replace_interval", refused))


def test_after_a_fill_there_is_a_pause() -> None:
    one, about = rule(pause_after_fill=200 * MS), order(filled_at=NOW)
    text = "calm: 150 ms after a fill, at least 200 ms"
    assert judged(one, about, wanted("200", at=NOW + 150 * MS)) == Breach("replace_pause", text)
    assert judged(one, about, wanted("200", at=NOW + 200 * MS)) is None


@pytest.mark.parametrize(("kind", "what"), [("F", "cancel"), ("G", "replace")])
def test_while_a_request_has_no_answer_there_is_no_other(kind: str, what: str) -> None:
    about = order()
    request = Request(5, "BUYA", NOW.date(), kind, "R1", "A1", "O1", "C5")
    about.take(request)
    text = f"calm: {what} R1 has no answer yet"
    assert judged(rule(one_outstanding=True), about, wanted("200")) == Breach("replace_outstanding", text)
    assert judged(rule(), about, wanted("200")) is None
    request.state = "accepted"
    assert judged(rule(one_outstanding=True), about, wanted("200")) is None


@pytest.mark.parametrize(
    ("ticks", "percent", "asked", "refused"),
    [
        (2, "0", wanted(price="150.01"), "a price moves by 1 ticks, at least 2"),
        (2, "0", wanted(price="150.02"), None),
        (2, "0", wanted(price="149.98"), None),
        (2, "0", wanted("101"), None),
        (2, "0", wanted(), "a price moves by 0 ticks, at least 2"),
        (0, "10", wanted("109"), "OrderQty(38) by 9 %, at least 10 %"),
        (0, "10", wanted("110"), None),
        (0, "10", wanted(price="150.01"), None),
        (
            2,
            "10",
            wanted("109", "150.01"),
            "a price moves by 1 ticks, at least 2; OrderQty(38) by 9 %, at least 10 %",
        ),
        (2, "10", wanted("109", "150.02"), None),
        (2, "10", wanted("110", "150.01"), None),
    ],
)
def test_a_price_or_the_quantity_moves_by_enough(
    ticks: int, percent: str, asked: Wanted, refused: str | None
) -> None:
    found = judged(rule(min_ticks=ticks, min_qty_percent=Decimal(percent)), order(), asked)
    assert found == (None if refused is None else Breach("replace_improvement", f"calm: {refused}"))


def test_a_move_that_cannot_be_measured_is_refused() -> None:
    text = "calm: Symbol(55) AAPL has no tick size to measure it by"
    assert breach(rule(min_ticks=1), order(), wanted(price="151"), {}) == Breach("replace_improvement", text)


@pytest.mark.parametrize(
    ("side", "asked", "reduces"),
    [
        ("1", wanted("99"), True), ("1", wanted("100"), False), ("1", wanted("99", "149"), True),
        ("1", wanted("99", "151"), False), ("2", wanted("99", "151"), True), ("2", wanted("99", "149"), False),
        ("5", wanted("99", "149"), False), ("3", wanted("99", "149"), True), ("1", wanted("99", stop="151"), False),
        ("1", wanted("99", None), False),
    ],
)  # fmt: skip
def test_what_only_takes_risk_away_passes_unless_the_rule_is_for_it_too(
    side: str, asked: Wanted, reduces: bool
) -> None:
    about = order(side=side, replaced_at=NOW)
    assert only_reduces(about, asked) is reduces
    assert (judged(rule(min_interval=MS), about, asked) is None) is reduces
    assert judged(rule(min_interval=MS, also_reducing=True), about, asked) is not None


# -- in the core, and again in its replay ---------------------------------------------------------------------------


def test_a_refused_replace_names_its_check_and_its_numbers_and_leaves_the_order_as_it_was() -> None:
    calm = rule(min_interval=500 * MS, one_outstanding=True, pause_after_fill=200 * MS)
    desk = Desk(TERMS._replace(replace_rules=(calm,)))
    desk.working("A1")
    assert desk.replace("R1", "A1", 120) == [replace_out("R1", "A1", 120)]
    text = "replace_outstanding: calm: replace R1 has no answer yet"
    assert desk.replace("R2", "A1", 130) == [cancel_reject("R2", "A1", "0", "3", text, kind="G")]
    desk.report("R1", "5", orig="A1", order_qty=120)
    text = "replace_interval: calm: 3 ms after the replace before, at least 500 ms"
    assert desk.replace("R3", "R1", 130) == [cancel_reject("R3", "R1", "0", "2", text, kind="G")]
    assert desk.details[-1]["verdict"]["rule"] == "replace_interval"
    assert desk.replace("R4", "R1", 110) == [replace_out("R4", "R1", 110)]  # less is never too soon
    desk.report("R4", "5", orig="R1", order_qty=110)
    desk.now += timedelta(seconds=1)
    desk.fill("R4", 10)
    text = "replace_pause: calm: 1 ms after a fill, at least 200 ms"
    assert desk.replace("R5", "R4", 130) == [cancel_reject("R5", "R4", "1", "2", text, kind="G")]
    desk.now += timedelta(seconds=1)
    assert desk.replace("R6", "R4", 130) == [replace_out("R6", "R4", 130)]
    assert desk.cancel("X1", "R4") == [cancel_out("X1", "R4")]
    desk.replayed()
