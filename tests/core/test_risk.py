"""Each risk check: lets through what it should, refuses what it should, and refuses where it cannot be evaluated.

The checks are first asked directly, then through a whole order, whose reject must name the rule and its numbers.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal as D
from typing import Any

import pytest

from oms.core import risk
from oms.core.risk import Asked, Facts, RiskBook
from oms.core.terms import LimitRule, Terms
from tests.core.desk import Desk, order_out, own
from tests.core.terms import ACCOUNTS, INSTRUMENTS, TERMS

ASKED = Asked("CLIENT1", "FUND1", "IBM", "1", "2", "0", D(100), D(10), None)
LIMIT = LimitRule("limits for IBM", "*", "*", "IBM", D(100), D(1000))
AGED = INSTRUMENTS["IBM"]._replace(reference_price=D(10), max_price_age=timedelta(seconds=60))
FACTS = Facts(True, INSTRUMENTS["IBM"], ACCOUNTS["FUND1"], LIMIT, row=True)
NO_FACTS = Facts(False, None, None, None)


@pytest.mark.parametrize("check", risk.CHECKS)
def test_a_good_order_passes_every_check(check: risk.Check) -> None:
    finding = check(ASKED, FACTS)
    assert (finding.rule, finding.ok) == (check.__name__, True)  # type: ignore[attr-defined]


@pytest.mark.parametrize("check", [one for one in risk.CHECKS if one is not risk.complete_terms])
def test_a_check_that_cannot_be_evaluated_refuses(check: risk.Check) -> None:
    finding = check(ASKED, NO_FACTS)
    assert (finding.rule, finding.ok) == (check.__name__, False)  # type: ignore[attr-defined]


REFUSED: list[tuple[str, dict[str, Any], dict[str, Any], str, str]] = [
    # check, what is asked otherwise, what is known otherwise, OrdRejReason(103), words
    ("trading_on", {}, {"trading": False}, "0", "trading is off"),
    ("known_instrument", {"symbol": "NOPE"}, {"instrument": None}, "1", "Symbol(55) NOPE is not known"),
    ("known_instrument", {"symbol": "HALTED"}, {"instrument": INSTRUMENTS["HALTED"]}, "2", "HALTED is not tradable"),
    ("known_account", {"account": "NOPE"}, {"account": None}, "15", "Account(1) NOPE is not known"),
    ("known_account", {"account": ""}, {"account": None}, "15", "Account(1) absent is not known"),
    ("known_account", {"account": "CLOSED"}, {"account": ACCOUNTS["CLOSED"]}, "15", "CLOSED is not active"),
    ("known_account", {"account": "FUND2"}, {"account": ACCOUNTS["FUND2"]}, "15", "FUND2 is not allowed for CLIENT1"),
    ("complete_terms", {"side": "Z"}, {}, "99", "Side(54) Z is not known"),
    ("complete_terms", {"price": None}, {}, "99", "OrdType(40) 2 needs Price(44)"),
    ("complete_terms", {"ord_type": "4", "stop_px": D(9), "price": None}, {}, "99", "OrdType(40) 4 needs Price(44)"),
    ("complete_terms", {"ord_type": "3", "price": None}, {}, "99", "OrdType(40) 3 needs StopPx(99)"),
    ("complete_terms", {"ord_type": "4"}, {}, "99", "OrdType(40) 4 needs StopPx(99)"),
    ("lot_size", {"order_qty": D(150)}, {"instrument": INSTRUMENTS["LOTS"]}, "13", "OrderQty(38) 150 in lots of 100"),
    ("lot_size", {"order_qty": D("100.5")}, {}, "13", "OrderQty(38) 100.5 in lots of 1"),
    ("tick_size", {"price": D("10.005")}, {}, "99", "Price(44) 10.005 is not a multiple of 0.01"),
    ("tick_size", {"stop_px": D("10.005")}, {}, "99", "StopPx(99) 10.005 is not a multiple of 0.01"),
    ("price_bounds", {"price": D("0.99")}, {}, "3", "Price(44) 0.99 is below 1"),
    ("price_bounds", {"price": D("1000.01")}, {}, "3", "Price(44) 1000.01 is above 1000"),
    ("price_bounds", {"stop_px": D("1000.01")}, {}, "3", "StopPx(99) 1000.01 is above 1000"),
    ("market_hours", {}, {"instrument": INSTRUMENTS["IBM"]._replace(market="XLON")}, "2", "XLON are not known"),
    ("limit_row", {}, {"row": False}, "3", "no row of the limits file names client CLIENT1 or Account(1) FUND1"),
    ("stale_price", {"price": None, "ord_type": "1"}, {"instrument": AGED}, "3", "has no time, and may be 60 s old"),
    ("max_order_qty", {"order_qty": D(101)}, {}, "3", "OrderQty(38) 101 exceeds 100 (limits for IBM)"),
    ("max_order_qty", {}, {"limit": None}, "3", "no quantity limit is set"),
    ("max_order_qty", {}, {"limit": LIMIT._replace(max_order_qty=None)}, "3", "no quantity limit is set"),
    ("max_order_notional", {"price": D("10.01")}, {}, "3", "notional 1001.00 USD exceeds 1000 (limits for IBM)"),
    ("max_order_notional", {}, {"limit": None}, "3", "no notional limit is set"),
    ("max_order_notional", {}, {"limit": LIMIT._replace(max_order_notional=None)}, "3", "no notional limit is set"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "otherwise", "known", "reason", "words"), REFUSED)
def test_a_check_refuses_with_its_numbers(
    rule: str, otherwise: dict[str, Any], known: dict[str, Any], reason: str, words: str
) -> None:
    finding = getattr(risk, rule)(ASKED._replace(**otherwise), FACTS._replace(**known))
    assert (finding.rule, finding.ok, finding.ord_rej_reason) == (rule, False, reason)
    assert words in finding.text


def test_every_check_has_a_case_that_it_refuses() -> None:
    assert {check.__name__ for check in risk.CHECKS} == {case[0] for case in REFUSED}  # type: ignore[attr-defined]


MARKET = {"ord_type": "1", "price": None}
STOP = {"ord_type": "3", "price": None}


@pytest.mark.parametrize(
    ("otherwise", "reference", "ok", "valued"),
    [
        (MARKET, "10", True, "notional 1000 USD"),
        (MARKET, "10.01", False, "notional 1001.00 USD"),
        (MARKET, None, False, "no price to value IBM at"),
        (STOP | {"stop_px": D("9")}, "10", True, "notional 1000 USD"),
        (STOP | {"stop_px": D("10.01")}, "5", False, "notional 1001.00 USD"),
        (STOP | {"stop_px": D("9")}, "10.01", False, "notional 1001.00 USD"),
        (STOP | {"stop_px": D("9")}, None, False, "no price to value IBM at"),
        ({"price": D(10)}, None, True, "notional 1000 USD"),
        ({"price": D(10)}, "99", True, "notional 1000 USD"),
        ({"ord_type": "4", "price": D(9), "stop_px": D("10.01")}, None, False, "notional 1001.00 USD"),
    ],
)
def test_an_order_is_valued_at_its_price_and_one_without_at_the_reference_price(
    otherwise: dict[str, Any], reference: str | None, ok: bool, valued: str
) -> None:
    instrument = INSTRUMENTS["IBM"]._replace(reference_price=D(reference) if reference else None)
    finding = risk.max_order_notional(ASKED._replace(**otherwise), FACTS._replace(instrument=instrument))
    assert (finding.ok, valued in finding.text) == (ok, True), finding.text


# -- which limit ------------------------------------------------------------------------------------------------


def limits_book(*limits: LimitRule) -> RiskBook:
    return RiskBook(TERMS._replace(limits=limits))


def test_the_first_limit_that_matches_counts() -> None:
    book = limits_book(
        LimitRule("exact", "CLIENT1", "FUND1", "IBM", D(1), D(1)),
        LimitRule("symbol", "*", "*", "IBM", D(2), D(2)),
        LimitRule("client", "CLIENT?", "*", "*", D(3), D(3)),
    )
    asked = [("CLIENT1", "FUND1", "IBM"), ("CLIENT2", "FUND1", "IBM"), ("CLIENT2", "FUND2", "LOTS")]
    found = [book.limit_for(*one) for one in asked]
    assert [one and one.name for one in found] == ["exact", "symbol", "client"]
    assert [one and one.name for one in (book.limit_for(*names) for names in asked)] == ["exact", "symbol", "client"]


def test_without_a_limit_that_matches_there_is_none() -> None:
    book = limits_book(LimitRule("other", "CLIENT9", "*", "*", D(1), D(1)))
    assert book.limit_for("CLIENT1", "FUND1", "IBM") is None


def test_names_that_a_client_makes_up_find_no_limit_and_are_not_kept() -> None:
    book = limits_book(LimitRule("all", "*", "*", "*", D(1), D(1)))
    for number in range(100):
        assert book.limit_for("CLIENT1", f"MADE-UP-{number}", "IBM") is None
        assert book.limit_for("CLIENT1", "FUND1", f"MADE-UP-{number}") is None
    assert not book._found


def test_a_symbol_in_other_letters_is_another_symbol() -> None:
    book = limits_book(LimitRule("ibm", "*", "*", "ibm", D(1), D(1)))
    assert book.limit_for("CLIENT1", "FUND1", "IBM") is None


def test_judging_stops_at_the_first_refusal_and_shows_what_was_checked_before() -> None:
    findings = RiskBook(TERMS).judge(ASKED._replace(order_qty=D("100.5"), price=D("0.001")))
    assert [(one.rule, one.ok) for one in findings] == [
        ("trading_on", True),
        ("known_instrument", True),
        ("known_account", True),
        ("complete_terms", True),
        ("lot_size", False),
    ]


# -- through a whole order --------------------------------------------------------------------------------------

ORDERS: list[tuple[dict[str, Any], str, str, dict[str, Any]]] = [
    ({"symbol": "NOPE"}, "1", "known_instrument: Symbol(55) NOPE is not known", {"Symbol": "NOPE"}),
    ({"symbol": "HALTED"}, "2", "known_instrument: Symbol(55) HALTED is not tradable", {"Symbol": "HALTED"}),
    ({"account": "FUND2"}, "15", "known_account: Account(1) FUND2 is not allowed for CLIENT1", {"Account": "FUND2"}),
    ({"account": ""}, "15", "known_account: Account(1) absent is not known", {"Account": None}),
    ({"side": "Z"}, "99", "complete_terms: Side(54) Z is not known", {"Side": "Z"}),
    ({"px": None}, "99", "complete_terms: OrdType(40) 2 needs Price(44)", {"Price": None}),
    (
        {"qty": 150, "symbol": "LOTS"},
        "13",
        "lot_size: OrderQty(38) 150 in lots of 100",
        {"Symbol": "LOTS", "qty": 150},
    ),
    ({"px": "10.005"}, "99", "tick_size: Price(44) 10.005 is not a multiple of 0.01", {"Price": "10.005"}),
    ({"px": "0.5"}, "3", "price_bounds: Price(44) 0.5 is below 1", {"Price": "0.5"}),
    ({"qty": 200000}, "3", "max_order_qty: OrderQty(38) 200000 exceeds 100000 (limits)", {"qty": 200000}),
    (
        {"qty": 90000, "px": 200},
        "3",
        "max_order_notional: notional 18000000 USD exceeds 10000000 (limits)",
        {"qty": 90000, "Price": 200},
    ),
    (
        {"symbol": "UNVALUED", "ord_type": "1", "px": None},
        "3",
        "max_order_notional: no price to value UNVALUED at",
        {"Symbol": "UNVALUED", "OrdType": "1", "Price": None},
    ),
]


@pytest.mark.parametrize(("asked", "reason", "text", "shown"), ORDERS)
def test_a_refused_order_ends_rejected_and_the_reject_names_the_rule_and_its_numbers(
    desk: Desk, asked: dict[str, Any], reason: str, text: str, shown: dict[str, Any]
) -> None:
    sent = desk.new("A1", **asked)
    assert sent == [own("A1", "8", "8", leaves=0, OrdRejReason=reason, Text=text, **shown)]
    assert desk.order("A1").life == "rejected"
    assert desk.order("A1").reason == text
    assert desk.order("A1").finished
    rule = text.partition(":")[0]
    assert desk.details[-1]["checks"][-1][:2] == [rule, False]


def test_with_trading_off_nothing_new_leaves_and_no_replace_that_adds_risk_but_every_cancel() -> None:
    desk = Desk()
    desk.working("A1")
    off = Desk(TERMS._replace(trading=False))
    assert off.new("A1") == [
        own("A1", "8", "8", leaves=0, OrdRejReason="0", Text="trading_on: trading is off"),
    ]
    desk.core._context.judge = type(desk.core._context.judge)(TERMS._replace(trading=False), desk.book.is_up)
    assert [one.msg_type for one in desk.replace("R1", "A1", 150)] == ["9"]
    assert [(one.session, one.msg_type) for one in desk.cancel("C1", "A1")] == [("BROKER1", "F")]


def test_an_order_without_any_limit_is_refused() -> None:
    sent = Desk(TERMS._replace(limits=())).new("A1")
    text = "max_order_qty: no quantity limit is set for this order"
    assert sent == [own("A1", "8", "8", leaves=0, OrdRejReason="3", Text=text)]


@pytest.mark.parametrize(
    "terms",
    [
        TERMS._replace(instruments={}),
        TERMS._replace(accounts={}),
        TERMS._replace(routes=()),
        TERMS._replace(limits=()),
    ],
)
def test_a_configuration_without_a_part_refuses_every_order(terms: Terms) -> None:
    assert [(one.session, one.fields["ExecType"]) for one in Desk(terms).new("A1")] == [("CLIENT1", "8")]


def test_an_accepted_order_records_every_check_and_its_route(desk: Desk) -> None:
    assert desk.new("A1") == [order_out("A1")]
    detail = desk.details[-1]
    # Asked only where the configuration has what they look at:
    unasked = (risk.limit_row, risk.market_hours, risk.stale_price)
    asked = [check.__name__ for check in risk.CHECKS if check not in unasked]  # type: ignore[attr-defined]
    assert [rule for rule, ok, _ in detail["checks"] if ok] == asked
    assert detail["route"] == {"rule": "all", "broker": "BROKER1", "tried": []}
    assert detail["verdict"] == {"ok": True, "broker": "BROKER1", "route_rule": "all"}
