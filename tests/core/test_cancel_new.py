"""A replace at a broker that has none: cancel, and once that is confirmed a new order for the rest.

BROKER1 of these tests is such a broker. The cancel's ClOrdID(11) is that of the request with K for C; the broker
knows the new order as `to-broker:R1`.
"""

from __future__ import annotations

from typing import Any

import pytest

from oms.core import messages as m
from oms.core.terms import Terms
from tests.core.desk import BROKER_TIME, CLIENT_TIME, Desk, cancel_reject, er, fill_er, own, texts
from tests.core.driver import BROKER, Sent
from tests.core.terms import BROKERS, TERMS

CANCEL_NEW: Terms = TERMS._replace(
    brokers=BROKERS | {"BROKER1": BROKERS["BROKER1"]._replace(cancel_new=True)}, routes=TERMS.routes
)


@pytest.fixture
def desk() -> Any:
    made = Desk(CANCEL_NEW)
    yield made
    made.replayed()


def cancel_id(desk: Desk, cl_ord_id: str = "R1") -> str:
    """ClOrdID(11) of the cancel that goes before the new order of a replace."""
    return "K" + desk.to_broker(cl_ord_id)[1:]


def asked_to_cancel(desk: Desk, cl_ord_id: str = "R1", orig: str = "A1", **more: object) -> Sent:
    """OrderCancelRequest(F) that the gateway sends for a replace."""
    fields: dict[str, object] = {
        "ClOrdID": cancel_id(desk, cl_ord_id), "OrigClOrdID": f"to-broker:{orig}", "OrderID": "B-1",
        "Account": "FUND1", "Symbol": "IBM", "Side": "1", "OrderQty": 100, "TransactTime": "now",
    }  # fmt: skip
    return Sent(BROKER, "F", texts(fields | more))


def new_child(cl_ord_id: str, qty: object, px: object = 10, **more: object) -> Sent:
    """NewOrderSingle(D) that takes the place of what was canceled."""
    fields: dict[str, object] = {
        "ClOrdID": f"to-broker:{cl_ord_id}", "Account": "FUND1", "Symbol": "IBM", "Side": "1", "OrderQty": qty,
        "OrdType": "2", "Price": px, "TimeInForce": "0", "TransactTime": CLIENT_TIME,
    }  # fmt: skip
    return Sent(BROKER, "D", texts(fields | more))


def canceled(desk: Desk, cl_ord_id: str = "R1", **more: Any) -> list[Sent]:
    """The broker confirms the cancel."""
    return desk.report(cancel_id(desk, cl_ord_id), "4", **more)


def by_text(sent: list[Sent]) -> list[Sent]:
    """Messages without their Text(58), which is for people."""
    return [
        one._replace(fields={name: value for name, value in one.fields.items() if name != "Text"}) for one in sent
    ]


def children(desk: Desk, cl_ord_id: str = "A1") -> list[tuple[str, str, str]]:
    """Life, OrderQty and CumQty of an order's children."""
    return [(one.life, str(one.order_qty), str(one.cum_qty)) for one in desk.order(cl_ord_id).children]


def half_done(desk: Desk, filled: int = 30, qty: int = 150) -> Desk:
    """An order of 100, some of it filled, to be replaced; its cancel is confirmed and the new child is out."""
    desk.working("A1")
    if filled:
        desk.fill("A1", filled, exec_id="old1")
    desk.replace("R1", "A1", qty, 11)
    canceled(desk)
    return desk


# -- the way it goes -------------------------------------------------------------------------------------------


def test_a_replace_first_cancels_and_tells_the_client_that_it_is_pending(desk: Desk) -> None:
    desk.working("A1")
    sent = desk.replace("R1", "A1", 150, 11)
    assert sent == [asked_to_cancel(desk), own("R1", "E", "E", OrigClOrdID="A1")]
    assert desk.state("A1") == ("working", "100", "0", [("R1", "pending")])


def test_the_new_order_leaves_when_the_cancel_is_confirmed_for_the_new_total_less_what_has_traded(desk: Desk) -> None:
    desk.working("A1")
    desk.fill("A1", 30)
    desk.replace("R1", "A1", 150, 11)
    assert desk.report(cancel_id(desk), "6") == []
    assert canceled(desk) == [new_child("R1", 120, 11)]
    assert children(desk) == [("canceled", "100", "30"), ("routed", "120", "0")]
    assert desk.state("A1") == ("working", "100", "30", [("R1", "pending")])


def test_the_client_sees_replaced_when_the_broker_takes_the_new_order_with_the_chains_quantities(desk: Desk) -> None:
    half_done(desk)
    assert desk.report("R1", "A", order_id="B-2") == []
    replaced = er("R1", "5", "1", qty=150, cum=30, OrigClOrdID="A1", Price=11)
    assert desk.report("R1", "0", order_id="B-2") == [replaced]
    assert desk.state("A1") == ("working", "150", "30", [("R1", "accepted")])
    assert desk.fill("R1", 20, 11, order_id="B-2") == [
        fill_er("R1", "1", 20, 11, qty=150, cum=50, avg="10.4", Price=11)
    ]
    assert desk.fill("R1", 100, 11, order_id="B-2") == [
        fill_er("R1", "2", 100, 11, qty=150, cum=150, avg="10.8", Price=11)
    ]
    assert children(desk) == [("canceled", "100", "30"), ("working", "120", "120")]
    assert desk.open_items() == []


def test_a_fill_before_the_cancel_is_confirmed_is_told_as_pending_replace_and_counts(desk: Desk) -> None:
    desk.working("A1")
    desk.replace("R1", "A1", 150, 11)
    assert desk.fill("A1", 40) == [fill_er("A1", "E", 40, cum=40)]
    assert canceled(desk) == [new_child("R1", 110, 11)]


def test_a_fill_that_is_only_in_the_brokers_cum_qty_is_not_ordered_again(desk: Desk) -> None:
    desk.working("A1")
    desk.replace("R1", "A1", 150, 11)
    assert canceled(desk, cum_qty=40) == [new_child("R1", 110, 11)]
    assert desk.open_items() == ["quantity_mismatch"]
    late = desk.fill(desk.order("A1").children[0].child_id, 40, cum_qty=40)
    assert late == [fill_er("A1", "E", 40, cum=40)]
    assert desk.open_items() == []
    assert desk.report("R1", "0", order_id="B-2") == [er("R1", "5", "1", qty=150, cum=40, OrigClOrdID="A1", Price=11)]


def test_a_fill_of_the_new_order_without_its_acknowledgement_is_told_after_the_replaced(desk: Desk) -> None:
    half_done(desk)
    sent = desk.fill("R1", 20, 11, order_id="B-2")
    assert sent == [
        own("R1", "5", "1", qty=150, cum=30, OrigClOrdID="A1", Price=11),
        fill_er("R1", "1", 20, 11, qty=150, cum=50, avg="10.4", Price=11),
    ]


def test_a_second_replace_cancels_the_second_order_under_its_own_ids(desk: Desk) -> None:
    half_done(desk)
    desk.report("R1", "0", order_id="B-2")
    sent = desk.replace("R2", "R1", 200, 12)
    wanted = asked_to_cancel(desk, "R2", "R1", OrderID="B-2", OrderQty=120)
    assert sent == [wanted, own("R2", "E", "E", qty=150, cum=30, OrigClOrdID="R1", Price=11)]
    assert canceled(desk, "R2", order_id="B-2") == [new_child("R2", 170, 12)]
    assert desk.report("R2", "0", order_id="B-3") == [
        er("R2", "5", "1", qty=200, cum=30, OrigClOrdID="R1", Price=12),
    ]
    sent = desk.cancel("X1", "R2")
    assert (sent[0].fields["OrigClOrdID"], sent[0].fields["OrderID"]) == ("to-broker:R2", "B-3")


def test_a_replace_to_what_has_traded_or_less_sends_no_new_order(desk: Desk) -> None:
    desk.working("A1")
    desk.fill("A1", 30)
    desk.replace("R1", "A1", 20, 11)
    assert canceled(desk) == [er("R1", "5", "2", qty=30, cum=30, OrigClOrdID="A1", Price=11)]
    assert desk.order("A1").finished


# -- the ways it does not go -----------------------------------------------------------------------------------


def test_an_order_that_is_filled_before_its_cancel_is_not_replaced(desk: Desk) -> None:
    desk.working("A1")
    desk.replace("R1", "A1", 150, 11)
    assert desk.fill("A1", 100) == [fill_er("A1", "E", 100, cum=100)]
    assert desk.refuse(cancel_id(desk), "0", "too late", orig="A1") == [
        cancel_reject("R1", "A1", "2", "0", "too late", kind="G"),
    ]
    assert desk.state("A1") == ("working", "100", "100", [("R1", "rejected")])
    assert desk.order("A1").finished


def test_a_new_order_that_is_refused_leaves_the_order_canceled_with_the_reason(desk: Desk) -> None:
    half_done(desk)
    sent = desk.report("R1", "8", order_id="B-2", text="no credit", ord_rej_reason="3")
    text = "the order was canceled to be replaced, and the new one was refused: no credit"
    assert sent == [own("R1", "4", "4", cum=30, leaves=0, OrigClOrdID="A1", Text=text)]
    assert desk.state("A1") == ("canceled", "100", "30", [("R1", "rejected")])
    assert children(desk) == [("canceled", "100", "30"), ("rejected", "120", "0")]


def test_a_new_order_that_does_not_leave_leaves_the_order_canceled(desk: Desk) -> None:
    half_done(desk)
    sent = desk.not_sent("R1", "D")
    assert by_text(sent) == [own("R1", "4", "4", cum=30, leaves=0, OrigClOrdID="A1")]
    assert desk.state("A1")[0] == "canceled"


def test_a_cancel_that_does_not_leave_refuses_the_replace_and_the_order_works_on(desk: Desk) -> None:
    desk.working("A1")
    desk.replace("R1", "A1", 150, 11)
    sent = desk.not_sent("R1", "F", broker_id=cancel_id(desk))
    assert by_text(sent) == [cancel_reject("R1", "A1", "0", "2", kind="G")]
    assert desk.fill("A1", 10) == [fill_er("A1", "1", 10, cum=10)]


def test_a_new_order_that_the_broker_cannot_read_leaves_the_order_canceled(desk: Desk) -> None:
    half_done(desk)
    sent = desk.event(BROKER, m.MessageReject(9, "D", desk.to_broker("R1"), "field 9001 missing"))
    assert by_text(sent) == [own("R1", "4", "4", cum=30, leaves=0, OrigClOrdID="A1")]


def test_whether_a_missed_new_order_is_there_is_asked_and_the_answer_decides(desk: Desk) -> None:
    half_done(desk)
    sent = desk.event(BROKER, m.ResendDeclined(desk.to_broker("R1")))
    assert [(one.msg_type, one.fields["ClOrdID"]) for one in sent] == [("H", "to-broker:R1")]
    assert desk.open_items() == ["unknown_outcome"]
    sent = desk.report("R1", "I", ord_status="8", order_id="NONE", exec_id="0", text="unknown")
    assert by_text(sent) == [own("R1", "4", "4", cum=30, leaves=0, OrigClOrdID="A1")]
    assert desk.open_items() == []


def test_a_second_replace_waits_for_the_first(desk: Desk) -> None:
    desk.working("A1")
    desk.replace("R1", "A1", 150, 11)
    text = "BROKER1 takes one change of an order at a time"
    assert desk.replace("R2", "A1", 160) == [cancel_reject("R2", "A1", "E", "3", text, kind="G")]


def test_a_confirmation_on_a_later_day_sends_nothing(desk: Desk) -> None:
    desk.working("A1", time_in_force="1")
    desk.replace("R1", "A1", 150, 11)
    desk.tick(1)
    sent = canceled(desk)
    assert by_text(sent) == [own("R1", "4", "4", leaves=0, OrigClOrdID="A1", TimeInForce="1")]


# -- cancels in between ----------------------------------------------------------------------------------------


def test_a_cancel_while_the_replace_is_pending_goes_out_and_no_new_order_follows(desk: Desk) -> None:
    desk.working("A1")
    desk.replace("R1", "A1", 150, 11)
    sent = desk.cancel("X1", "A1")
    assert [(one.msg_type, one.fields["ClOrdID"], one.fields["OrigClOrdID"]) for one in sent] == [
        ("F", "to-broker:X1", "to-broker:A1"),
    ]
    sent = canceled(desk)
    assert by_text(sent) == [
        cancel_reject("R1", "A1", "0", "0", kind="G"),
        own("X1", "4", "4", leaves=0, OrigClOrdID="A1"),
    ]
    assert desk.refuse("X1", "0", "already canceled") == []
    assert desk.state("A1") == ("canceled", "100", "0", [("R1", "rejected"), ("X1", "accepted")])


def test_a_cancel_that_is_confirmed_before_the_replaces_own_ends_both(desk: Desk) -> None:
    desk.working("A1")
    desk.replace("R1", "A1", 150, 11)
    desk.cancel("X1", "A1")
    assert desk.report("X1", "4", orig="A1") == [er("X1", "4", "E", leaves=0, OrigClOrdID="A1")]
    sent = desk.refuse(cancel_id(desk), "0", "already canceled")
    assert sent == [cancel_reject("R1", "A1", "4", "0", "already canceled", kind="G")]


def test_a_cancel_of_the_new_order_names_the_new_order(desk: Desk) -> None:
    half_done(desk)
    sent = desk.cancel("X1", "A1")
    assert [(one.msg_type, one.fields["OrigClOrdID"]) for one in sent] == [("F", "to-broker:R1")]
    sent = desk.report("X1", "4", orig="R1", order_id="B-2")
    assert [(one.fields["ExecType"], one.fields["OrdStatus"], one.fields["ClOrdID"]) for one in sent] == [
        ("5", "1", "R1"),
        ("4", "4", "X1"),
    ]


# -- late news of the order that was canceled ------------------------------------------------------------------


def test_a_fill_after_the_confirmed_cancel_is_in_the_ledger_and_an_item(desk: Desk) -> None:
    half_done(desk)
    first = desk.order("A1").children[0].child_id
    sent = desk.fill(first, 10, exec_id="late")
    assert sent == [fill_er("A1", "E", 10, cum=40)]
    assert desk.open_items() == ["fill_after_end"]
    assert desk.fill(first, 10, exec_id="late") == []
    assert children(desk) == [("canceled", "100", "40"), ("routed", "120", "0")]


def test_a_bust_of_the_canceled_part_is_applied_and_an_item(desk: Desk) -> None:
    half_done(desk)
    desk.report("R1", "0", order_id="B-2")
    sent = desk.bust(desk.order("A1").children[0].child_id, "old1", exec_id="b1")
    assert [(one.fields["ExecType"], one.fields["CumQty"]) for one in sent] == [("H", "0")]
    assert desk.open_items() == ["not_at_work"]


def test_a_confirmation_that_comes_twice_sends_one_new_order(desk: Desk) -> None:
    half_done(desk)
    assert canceled(desk) == []
    assert canceled(desk, exec_id="again") == []
    assert len(desk.order("A1").children) == 2


def test_a_restatement_of_the_new_orders_quantity_adds_what_traded_before(desk: Desk) -> None:
    half_done(desk)
    desk.report("R1", "0", order_id="B-2")
    sent = desk.report("R1", "D", order_id="B-2", order_qty=90)
    assert (sent[0].fields["OrderQty"], sent[0].fields["LeavesQty"]) == ("120", "90")


def test_reports_at_other_brokers_time_are_the_brokers(desk: Desk) -> None:
    half_done(desk)
    assert desk.report("R1", "0", order_id="B-2")[0].fields["TransactTime"] == BROKER_TIME
