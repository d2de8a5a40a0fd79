"""OrderCancelReplaceRequest(G): quantities and ids of the chain, several at once, fills and cancels in between."""

from __future__ import annotations

from typing import Any

import pytest

from oms.core.messages import Problem
from tests.core.desk import Desk, cancel_out, cancel_reject, er, fill_er, replace_out, status_out
from tests.core.driver import CLIENT2, TAGS
from tests.core.rebuilt import restart


def test_a_replace_goes_to_the_broker_with_the_new_total(desk: Desk) -> None:
    desk.working("A1")
    assert desk.replace("R1", "A1", 120, "10.5") == [replace_out("R1", "A1", 120, "10.5")]
    assert desk.state("A1") == ("working", "100", "0", [("R1", "sent")])


def test_an_accepted_replace_brings_its_terms_and_its_id(desk: Desk) -> None:
    desk.working("A1")
    desk.replace("R1", "A1", 120, "10.5")
    sent = desk.report("R1", "5", orig="A1", order_qty=120)
    assert sent == [er("R1", "5", "0", qty=120, Price="10.5", OrigClOrdID="A1")]
    assert desk.state("A1") == ("working", "120", "0", [("R1", "accepted")])
    assert desk.fill("R1", 50) == [fill_er("R1", "1", 50, qty=120, cum=50, Price="10.5")]


def test_while_a_replace_is_pending_fills_have_the_old_terms_and_status_pending_replace(desk: Desk) -> None:
    desk.working("A1")
    desk.fill("A1", 10)
    desk.replace("R1", "A1", 120)
    assert desk.report("R1", "E", orig="A1") == [er("R1", "E", "E", cum=10, OrigClOrdID="A1")]
    assert desk.fill("A1", 5) == [fill_er("A1", "E", 5, cum=15)]
    assert desk.report("R1", "5", orig="A1", order_qty=120) == [
        er("R1", "5", "1", qty=120, cum=15, OrigClOrdID="A1"),
    ]


def test_a_refused_replace_leaves_the_order_as_it_was(desk: Desk) -> None:
    desk.working("A1")
    desk.fill("A1", 10)
    desk.replace("R1", "A1", 120, 11)
    desk.report("R1", "E", orig="A1")
    assert desk.refuse("R1", "2", "no") == [cancel_reject("R1", "A1", "1", "2", "no", kind="G")]
    assert desk.fill("A1", 5) == [fill_er("A1", "1", 5, cum=15)]


def test_a_replace_of_a_price_alone_keeps_the_quantity(desk: Desk) -> None:
    desk.working("A1")
    assert desk.replace("R1", "A1", None, 11) == [replace_out("R1", "A1", None, 11)]
    assert desk.report("R1", "5", orig="A1") == [er("R1", "5", "0", Price=11, OrigClOrdID="A1")]


def test_a_replace_to_less_than_what_has_traded_ends_the_order_filled(desk: Desk) -> None:
    desk.working("A1")
    desk.replace("R1", "A1", 70)
    assert desk.fill("A1", 80) == [fill_er("A1", "1", 80, cum=80)]
    sent = desk.report("R1", "5", orig="A1", order_qty=80)
    assert sent == [er("R1", "5", "2", qty=80, cum=80, OrigClOrdID="A1")]
    assert desk.order("A1").finished
    assert desk.open_items() == []


def test_a_replace_below_cum_qty_whose_report_has_no_order_qty_stops_at_what_has_traded(desk: Desk) -> None:
    desk.working("A1")
    desk.fill("A1", 80)
    desk.replace("R1", "A1", 70)
    assert desk.report("R1", "5", orig="A1") == [er("R1", "5", "2", qty=80, cum=80, OrigClOrdID="A1")]
    assert desk.open_items() == []


def test_a_replace_to_exactly_what_has_traded_ends_the_order_filled(desk: Desk) -> None:
    desk.working("A1")
    desk.fill("A1", 80)
    desk.replace("R1", "A1", 80)
    assert desk.report("R1", "5", orig="A1", order_qty=80) == [
        er("R1", "5", "2", qty=80, cum=80, OrigClOrdID="A1"),
    ]


def test_a_replace_may_open_a_filled_order_again(desk: Desk) -> None:
    desk.working("A1")
    desk.fill("A1", 100)
    assert desk.order("A1").finished
    assert desk.replace("R1", "A1", 120) == [replace_out("R1", "A1", 120)]
    assert desk.report("R1", "E", orig="A1") == [er("R1", "E", "E", cum=100, OrigClOrdID="A1")]
    assert desk.report("R1", "5", orig="A1", order_qty=120) == [
        er("R1", "5", "1", qty=120, cum=100, OrigClOrdID="A1"),
    ]
    assert not desk.order("A1").finished
    assert desk.fill("R1", 20) == [fill_er("R1", "2", 20, qty=120, cum=120)]
    assert desk.order("A1").finished


def test_a_report_without_cl_ord_id_is_told_under_the_last_accepted_one(desk: Desk) -> None:
    desk.working("A1")
    assert desk.report("", "9", order_id="B-1") == [er("A1", "9", "9")]
    desk.replace("R1", "A1", 120)
    assert desk.report("", "0", order_id="B-1") == [er("A1", "0", "0")]
    desk.report("R1", "5", orig="A1", order_qty=120)
    assert desk.report("", "9", order_id="B-1") == [er("R1", "9", "9", qty=120)]


def test_after_a_replace_the_broker_is_asked_under_the_last_accepted_id(desk: Desk) -> None:
    desk.working("A1")
    desk.replace("R1", "A1", 120)
    assert desk.status("A1") == [status_out("A1")]
    desk.report("R1", "5", orig="A1", order_qty=120)
    assert desk.status("A1") == [status_out("R1")]


def test_a_replace_is_told_with_the_price_the_broker_confirms(desk: Desk) -> None:
    desk.working("A1")
    desk.replace("R1", "A1", 120, "10.5")
    sent = desk.report("R1", "5", orig="A1", order_qty=120, price="10.4")
    assert sent == [er("R1", "5", "0", qty=120, Price="10.4", OrigClOrdID="A1")]


# -- several at once --------------------------------------------------------------------------------------------


def test_two_replaces_one_after_the_other(desk: Desk) -> None:
    desk.working("A1")
    desk.replace("R1", "A1", 80)
    desk.report("R1", "5", orig="A1", order_qty=80)
    assert desk.replace("R2", "R1", 60) == [replace_out("R2", "R1", 60)]
    assert desk.report("R2", "5", orig="R1", order_qty=60) == [er("R2", "5", "0", qty=60, OrigClOrdID="R1")]
    assert desk.fill("R2", 60) == [fill_er("R2", "2", 60, qty=60, cum=60)]


def test_two_replaces_back_to_back_are_both_passed_on_and_worked_in_turn(desk: Desk) -> None:
    desk.working("A1")
    desk.fill("A1", 10)
    assert desk.replace("R1", "A1", 80) == [replace_out("R1", "A1", 80)]
    assert desk.replace("R2", "R1", 70) == [replace_out("R2", "R1", 70)]
    assert desk.report("R1", "E", orig="A1") == [er("R1", "E", "E", cum=10, OrigClOrdID="A1")]
    assert desk.report("R1", "5", orig="A1", order_qty=80) == [
        er("R1", "5", "1", qty=80, cum=10, OrigClOrdID="A1"),
    ]
    assert desk.report("R2", "E", orig="R1") == [er("R2", "E", "E", qty=80, cum=10, OrigClOrdID="R1")]
    assert desk.report("R2", "5", orig="R1", order_qty=70) == [
        er("R2", "5", "1", qty=70, cum=10, OrigClOrdID="R1"),
    ]


def test_two_replaces_whose_pending_reports_both_come_first_stay_pending_until_the_last_answer(desk: Desk) -> None:
    desk.working("A1")
    desk.replace("R1", "A1", 80)
    desk.replace("R2", "R1", 70)
    desk.report("R1", "E", orig="A1")
    desk.report("R2", "E", orig="R1")
    assert desk.report("R1", "5", orig="A1", order_qty=80) == [er("R1", "5", "E", qty=80, OrigClOrdID="A1")]
    assert desk.report("R2", "5", orig="R1", order_qty=70) == [er("R2", "5", "0", qty=70, OrigClOrdID="R1")]


def test_rejects_and_reports_quote_the_last_accepted_id_as_the_broker_does(desk: Desk) -> None:
    desk.working("A1")
    desk.replace("R1", "A1", 80)
    desk.replace("R2", "R1", 70)
    desk.report("R1", "E", orig="A1")
    assert desk.refuse("R1", "2", orig="A1") == [cancel_reject("R1", "A1", "0", "2", kind="G")]
    assert desk.report("R2", "E", orig="A1") == [er("R2", "E", "E", OrigClOrdID="A1")]
    assert desk.refuse("R2", "2", orig="A1") == [cancel_reject("R2", "A1", "0", "2", kind="G")]
    assert desk.state("A1") == ("working", "100", "0", [("R1", "rejected"), ("R2", "rejected")])


def test_a_second_replace_that_the_broker_refuses_as_one_too_many_leaves_the_first(desk: Desk) -> None:
    desk.working("A1")
    desk.replace("R1", "A1", 80)
    desk.replace("R2", "R1", 70)
    desk.report("R1", "E", orig="A1")
    assert desk.refuse("R2", "3") == [cancel_reject("R2", "R1", "E", "3", kind="G")]
    assert desk.report("R1", "5", orig="A1", order_qty=80) == [er("R1", "5", "0", qty=80, OrigClOrdID="A1")]


def test_a_cancel_while_a_replace_is_pending_answered_replace_first(desk: Desk) -> None:
    desk.working("A1")
    desk.replace("R1", "A1", 80)
    desk.report("R1", "E", orig="A1")
    assert desk.cancel("C1", "R1") == [cancel_out("C1", "R1")]
    assert desk.report("C1", "6", orig="A1") == [er("C1", "6", "6", OrigClOrdID="A1")]
    assert desk.report("R1", "5", orig="A1", order_qty=80) == [er("R1", "5", "6", qty=80, OrigClOrdID="A1")]
    assert desk.report("C1", "4", orig="R1") == [er("C1", "4", "4", qty=80, leaves=0, OrigClOrdID="R1")]
    assert desk.state("A1") == ("canceled", "80", "0", [("R1", "accepted"), ("C1", "accepted")])


def test_a_cancel_while_a_replace_is_pending_answered_cancel_first(desk: Desk) -> None:
    desk.working("A1")
    desk.replace("R1", "A1", 80)
    desk.report("R1", "E", orig="A1")
    desk.cancel("C1", "A1")
    assert desk.report("C1", "4", orig="A1") == [er("C1", "4", "E", leaves=0, OrigClOrdID="A1")]
    assert not desk.order("A1").finished
    assert desk.refuse("R1", "0") == [cancel_reject("R1", "A1", "4", "0", kind="G")]
    assert desk.order("A1").finished


def test_a_replace_while_a_cancel_is_pending_answered_replace_first(desk: Desk) -> None:
    desk.working("A1")
    desk.cancel("C1", "A1")
    desk.report("C1", "6", orig="A1")
    assert desk.replace("R1", "A1", 80) == [replace_out("R1", "A1", 80)]
    assert desk.refuse("R1", "3") == [cancel_reject("R1", "A1", "6", "3", kind="G")]
    assert desk.report("C1", "4", orig="A1") == [er("C1", "4", "4", leaves=0, OrigClOrdID="A1")]


def test_a_replace_while_a_cancel_is_pending_answered_cancel_first(desk: Desk) -> None:
    desk.working("A1")
    desk.cancel("C1", "A1")
    desk.replace("R1", "A1", 80)
    assert desk.refuse("C1", "2") == [cancel_reject("C1", "A1", "0", "2")]
    assert desk.report("R1", "5", orig="A1", order_qty=80) == [er("R1", "5", "0", qty=80, OrigClOrdID="A1")]


def test_a_replace_that_its_cancel_overtook_is_told_and_the_order_stays_canceled(desk: Desk) -> None:
    desk.working("A1")
    desk.replace("R1", "A1", 80)
    desk.cancel("C1", "A1")
    desk.report("C1", "4", orig="A1")
    sent = desk.report("R1", "5", orig="A1", order_qty=80)
    assert sent == [er("R1", "5", "4", qty=80, leaves=0, OrigClOrdID="A1")]
    assert desk.open_items() == []
    assert desk.state("A1") == ("canceled", "80", "0", [("R1", "accepted"), ("C1", "accepted")])
    assert desk.order("A1").finished


# -- refused by the gateway -------------------------------------------------------------------------------------


def test_a_replace_of_an_unknown_order_is_refused_as_unknown(desk: Desk) -> None:
    text = "OrigClOrdID(41) A1 is not an order of yours"
    assert desk.replace("R1", "A1") == [cancel_reject("R1", "A1", "8", "1", text, kind="G", order="")]


def test_a_replace_of_another_clients_order_is_refused_as_unknown(desk: Desk) -> None:
    desk.working("A1")
    (sent,) = desk.replace("R1", "A1", client=CLIENT2)
    assert (sent.session, sent.fields["CxlRejReason"], sent.fields["OrderID"]) == (CLIENT2, "1", "NONE")


def test_a_replace_under_an_id_used_before_is_refused_as_a_duplicate(desk: Desk) -> None:
    desk.working("A1")
    desk.cancel("C1", "A1")
    desk.refuse("C1")
    text = "ClOrdID(11) C1 was used already on this trading day"
    assert desk.replace("C1", "A1") == [cancel_reject("C1", "A1", "0", "6", text, kind="G")]


@pytest.mark.parametrize(("ends", "status"), [("4", "4"), ("C", "C"), ("8", "8")])
def test_a_replace_of_an_ended_order_is_too_late(desk: Desk, ends: str, status: str) -> None:
    desk.working("A1")
    desk.report("A1", ends)
    assert desk.replace("R1", "A1") == [cancel_reject("R1", "A1", status, "0", "too late to replace", kind="G")]


def test_a_malformed_replace_is_refused_with_the_reason(desk: Desk) -> None:
    desk.working("A1")
    problem = Problem("OrderQty(38)", "-5 is not above zero", "13")
    sent = desk.replace("R1", "A1", None, problem=problem)
    assert sent == [cancel_reject("R1", "A1", "0", "2", "OrderQty(38): -5 is not above zero", kind="G")]


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"symbol": "LOTS"}, "Symbol(55)"),
        ({"side": "2"}, "Side(54)"),
        ({"ord_type": "1"}, "OrdType(40)"),
        ({"extra": (("1", "OTHER"),)}, "Account(1)"),
        ({"extra": (("59", "1"),)}, "TimeInForce(59)"),
    ],
)
def test_a_replace_may_not_change_what_the_ledger_has_once_per_order(
    desk: Desk, changed: dict[str, Any], name: str
) -> None:
    desk.working("A1")
    text = f"a replace may not change {name}: cancel and order anew"
    assert desk.replace("R1", "A1", **changed) == [cancel_reject("R1", "A1", "0", "2", text, kind="G")]


@pytest.mark.parametrize(
    ("qty", "px", "text"),
    [
        (200000, 10, "max_order_qty: OrderQty(38) 200000 exceeds 100000 (limits)"),
        (90000, 200, "max_order_notional: notional 18000000 USD exceeds 10000000 (limits)"),
        (100, "10.005", "tick_size: Price(44) 10.005 is not a multiple of 0.01"),
        (100, None, "complete_terms: OrdType(40) 2 needs Price(44)"),
    ],
)
def test_a_replace_is_judged_by_the_terms_the_order_would_have(
    desk: Desk, qty: object, px: object, text: str
) -> None:
    desk.working("A1")
    assert desk.replace("R1", "A1", qty, px) == [cancel_reject("R1", "A1", "0", "2", text, kind="G")]
    assert desk.state("A1") == ("working", "100", "0", [])
    assert desk.order("A1").finished is False


def test_a_replace_to_a_broker_that_is_away_is_refused_at_once(desk: Desk) -> None:
    desk.working("A1")
    desk.logged_out()
    text = "route: BROKER1 session logged out, the replace did not leave"
    assert desk.replace("R1", "A1", 80) == [cancel_reject("R1", "A1", "0", "2", text, kind="G")]


def test_a_replace_that_did_not_leave_is_refused(desk: Desk) -> None:
    desk.working("A1")
    desk.replace("R1", "A1", 80)
    desk.logged_out()
    text = "the replace did not leave: BROKER1 is logged out"
    assert desk.not_sent("R1", "G") == [cancel_reject("R1", "A1", "0", "2", text, kind="G")]
    assert desk.state("A1")[3] == [("R1", "rejected")]


def test_fields_of_the_replace_that_are_not_interpreted_pass_through_in_order(desk: Desk) -> None:
    desk.working("A1")
    extra = (("453", "1"), ("448", "P1"), (TAGS["Text"], "careful"))
    desk.replace("R1", "A1", 80, extra=extra)
    assert desk.raw[-1].body[-3:] == extra
    assert (
        dict(desk.raw[-1].defaults)["38"] == "100"
    )  # only for a broker that must have it where the client gave none


def test_an_order_that_used_its_own_id_again_asks_its_broker_by_the_last_use_after_a_restart_too() -> None:
    desk = Desk().working("A1")
    desk.fill("A1", 100)
    desk.tick(1)
    desk.replace("A1", "A1", 150)
    order = desk.order("A1")
    assert order.to_broker["A1"] == order.requests[0].broker_cl_ord_id
    restart(desk)  # compares
