"""What committed batches add up to: every count and every latency of small trading days, compared whole."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from oms.core.effects import Item
from oms.ledger.batch import Batch, Send
from oms.ops import tally as module
from oms.ops.tally import Histogram, Tally
from oms.outbox import Message
from tests.ops.desk import START, Desk, at

ORDER = "35=D|11=A1|1=FUND1|55=AAPL|54=1|38=100|40=2|44=190|59=0|60=20260302-13:00:00|"


def cl_ord_id(message: Message) -> str:
    """ClOrdID(11) of a message of ours."""
    return message.text.partition("\x0111=")[2].partition("\x01")[0]


def report(order: Message, exec_type: str, more: str) -> str:
    """An ExecutionReport(8) of a FIX 4.2 broker on an order it got."""
    head = f"35=8|37=B1|11={cl_ord_id(order)}|17=X{exec_type}|20=0|150={exec_type}|"
    return f"{head}39={exec_type}|55=AAPL|54=1|38=100|{more}"


def seen(histogram: Histogram) -> dict[float, int]:
    """How many values were counted under which upper bound; infinity is the last."""
    bounds = [*histogram.bounds, float("inf")]
    return {bound: number for bound, number in zip(bounds, histogram.counts, strict=True) if number}


def latencies(of: dict[tuple[str, ...], Histogram]) -> dict[tuple[str, ...], tuple[dict[float, int], float]]:
    """Bounds met and sum of every histogram that has values."""
    return {labels: (seen(one), round(one.total, 6)) for labels, one in of.items() if any(one.counts)}


def test_an_order_its_fill_and_what_was_sent_are_counted_and_timed_hop_by_hop(desk: Desk) -> None:
    tally = desk.metrics.tally
    desk.log_on("CLIENT1", "BROKER1")
    desk.commit(at(1))
    desk.hear("CLIENT1", ORDER, at(10))
    (child,) = desk.commit(at(14))
    desk.tell_sent(child, when=at(15))
    desk.hear("BROKER1", report(child, "0", "151=100|14=0|6=0|"), at(30))
    desk.hear("BROKER1", report(child, "2", "32=100|31=190|151=0|14=100|6=190|"), at(31))
    reports = desk.commit(at(36))
    desk.tell_sent(*reports, when=at(56))
    desk.commit(at(60))

    assert dict(tally.messages) == {
        ("CLIENT1", "in", "D"): 1,
        ("BROKER1", "out", "D"): 1,
        ("BROKER1", "in", "8"): 2,
        ("CLIENT1", "out", "8"): 2,
    }
    assert dict(tally.orders) == {("CLIENT1",): 1}
    assert dict(tally.children) == {("BROKER1", "everything-else"): 1}
    assert dict(tally.fills) == {("BROKER1", "trade"): 1}
    assert dict(tally.sends) == {("BROKER1", "sent"): 1, ("CLIENT1", "sent"): 2}
    assert (dict(tally.rejects), dict(tally.refused), dict(tally.items_opened)) == ({}, {}, {})
    assert seen(tally.batch_events) == {1.0: 1, 2.0: 2}  # the last batch had no event
    assert (seen(tally.commit), tally.commit.total) == ({0.005: 4}, pytest.approx(0.016))
    assert latencies(tally.received_to_committed) == {
        ("CLIENT1",): ({0.005: 1}, 0.004),
        ("BROKER1",): ({0.005: 1, 0.0075: 1}, 0.011),
    }
    assert latencies(tally.committed_to_sent) == {
        ("BROKER1",): ({0.001: 1}, 0.001),
        ("CLIENT1",): ({0.02: 2}, 0.04),
    }
    assert latencies(tally.to_broker) == {("BROKER1", "D"): ({0.005: 1}, 0.005)}
    assert latencies(tally.to_client) == {("CLIENT1", "8"): ({0.03: 2}, 0.051)}


def test_every_reject_is_counted_under_the_rule_or_reason_and_who_refused(desk: Desk) -> None:
    desk.log_on("CLIENT1", "CLIENT2", "BROKER1")
    desk.hear("CLIENT1", ORDER)
    (child,) = desk.commit(START)
    desk.hear("CLIENT1", ORDER)  # ClOrdID(11) again
    desk.hear("CLIENT1", ORDER.replace("11=A1|", "11=A2|").replace("|38=100|", "|38=30000|"))
    desk.hear("CLIENT1", ORDER.replace("11=A1|", "11=A3|").replace("|40=2|", "|40=K|"))  # no broker takes it
    desk.hear("CLIENT1", "35=F|11=A4|41=NONE|55=AAPL|54=1|60=20260302-13:00:00|")
    desk.hear("CLIENT1", "35=AE|571=T1|")
    desk.hear("CLIENT1", "35=H|11=NONE|55=AAPL|54=1|")  # an answer, not a refusal
    desk.hear("CLIENT2", "35=H|11=NONE|55=AAPL|54=1|")  # in FIX 4.2 its ExecType(150) is 8
    desk.hear("BROKER1", report(child, "8", "103=0|58=closed|151=0|14=0|6=0|"))
    stranger = report(child, "1", "32=1|31=1|151=0|14=1|6=1|").replace(cl_ord_id(child), "WHO").replace("B1", "B9")
    desk.hear("BROKER1", stranger)
    desk.commit(START)
    assert dict(desk.metrics.tally.rejects) == {
        ("CLIENT1", "8", "gateway", "OrdRejReason(103)=6"): 1,
        ("CLIENT1", "8", "gateway", "max_order_qty"): 1,
        ("CLIENT1", "8", "gateway", "route"): 1,
        ("CLIENT1", "9", "gateway", "CxlRejReason(102)=1"): 1,
        ("CLIENT1", "j", "gateway", "BusinessRejectReason(380)=3"): 1,
        ("CLIENT1", "8", "broker", "OrdRejReason(103)=0"): 1,
        ("BROKER1", "Q", "gateway", "DKReason(127)=D"): 1,
    }


def test_what_counterparties_make_up_never_becomes_a_label(desk: Desk) -> None:
    desk.log_on("CLIENT1", "BROKER1")
    desk.hear("CLIENT1", ORDER)
    (child,) = desk.commit(START)
    for name in ("UAB1", "UAB2", "UAB3"):
        desk.hear("CLIENT1", f"35={name}|58=x|")
    desk.hear("BROKER1", report(child, "8", "103=31337|151=0|14=0|6=0|"))
    desk.refuse("", "8=FIX.4.4|35=A|49=STRANGER|", "no such session")
    desk.refuse("CLIENT1", "8=FIX.4.4|35=D|11=A2|", "Required tag missing")
    desk.commit(START)
    tally = desk.metrics.tally
    assert {labels[2] for labels in tally.messages} == {"D", "8", "j", "other"}
    assert tally.messages["CLIENT1", "in", "other"] == 3
    assert tally.rejects["CLIENT1", "8", "broker", "OrdRejReason(103)=other"] == 1
    assert dict(tally.refused) == {("unknown",): 1, ("CLIENT1",): 1}


def test_a_request_that_did_not_leave_has_no_latency_and_its_refusal_names_the_rule(desk: Desk) -> None:
    tally = desk.metrics.tally
    desk.log_on("CLIENT1", "BROKER1", "BROKER2")
    desk.hear("CLIENT1", ORDER, at(10))
    (child,) = desk.commit(at(14))
    desk.flow.process([])
    desk.tell_not_sent(child, "BROKER1 is logged out", at(20))
    (second,) = desk.commit(at(24))
    assert (second.session, second.msg_type) == ("BROKER2", "D")
    batch = Batch(9, sends=[Send(child.seq, "BROKER1", "refused", None, at(20), "BROKER1 is logged out")])
    tally.take(batch, at(25), 0.001)
    desk.tell_not_sent(second, "BROKER2 is logged out", at(30))
    desk.commit(at(34))
    assert dict(tally.sends) == {("BROKER1", "refused"): 1}
    assert dict(tally.children) == {("BROKER1", "everything-else"): 1, ("BROKER2", "everything-else"): 1}
    assert dict(tally.rejects) == {("CLIENT1", "8", "gateway", "route"): 1}
    assert (latencies(tally.committed_to_sent), latencies(tally.to_broker)) == ({}, {})


def test_messages_that_are_never_told_to_be_sent_do_not_fill_the_memory(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PENDING_LIMIT", 3)
    desk.log_on("CLIENT1", "BROKER1")
    for number in range(5):
        desk.hear("CLIENT1", ORDER.replace("11=A1|", f"11=A{number}|"), at(10))
    children = desk.commit(at(14))
    assert len(children) == 5
    desk.tell_sent(*children, when=at(15))
    desk.commit(at(16))
    tally = desk.metrics.tally
    assert dict(tally.sends) == {("BROKER1", "sent"): 5}
    assert latencies(tally.to_broker) == {("BROKER1", "D"): ({0.005: 3}, 0.015)}


def test_exception_items_open_are_those_of_before_and_opened_less_resolved() -> None:
    tally = Tally(["BROKER1"], ["CLIENT1"])
    tally.were_open({"overfill": 2})
    opened = [
        Item(f"X{number}", START, kind, severity, "operations", "BROKER1", None, number, "text")
        for number, (kind, severity) in enumerate([("overfill", "error"), ("unknown_order", "warning")])
    ]
    tally.take(Batch(1, items=opened), START, 0.001)
    resolved = Item("X0", START, "overfill", "", "rule", "BROKER1", None, 3, "", "resolved", "agrees", START)
    tally.take(Batch(2, items=[resolved]), START, 0.001)
    assert dict(tally.items_opened) == {("overfill", "error"): 1, ("unknown_order", "warning"): 1}
    assert dict(tally.items_resolved) == {("overfill",): 1}
    assert dict(tally.items_open) == {("overfill",): 2, ("unknown_order",): 1}


def test_what_recovery_found_in_a_store_is_counted_and_has_no_latency() -> None:
    tally = Tally(["BROKER1"], ["CLIENT1"])
    tally.take(Batch(1, sends=[Send(7, "BROKER1", "stored", 3, START, "found in the store")]), START, 0.001)
    assert dict(tally.sends) == {("BROKER1", "stored"): 1}
    assert latencies(tally.committed_to_sent) == {}


def test_a_value_at_a_bound_counts_under_it_and_a_clock_set_back_counts_as_zero() -> None:
    histogram = Histogram((1.0, 2.0))
    histogram.add(1.0, 1.5, 2.0, 2.5)
    histogram.add(-1.0)
    assert (histogram.counts, histogram.total) == ([2, 2, 1], 7.0)


def test_fills_of_all_kinds_are_told_apart(desk: Desk) -> None:
    desk.log_on("CLIENT1", "BROKER1")
    desk.hear("CLIENT1", ORDER)
    (child,) = desk.commit(START)
    desk.hear("BROKER1", report(child, "1", "32=40|31=190|151=60|14=40|6=190|"))
    bust = (
        report(child, "0", "32=40|31=190|151=100|14=0|6=0|").replace("20=0", "20=1|19=X1").replace("17=X0", "17=X9")
    )
    desk.hear("BROKER1", bust)
    desk.commit(START + timedelta(seconds=1))
    assert dict(desk.metrics.tally.fills) == {("BROKER1", "trade"): 1, ("BROKER1", "bust"): 1}
    (order,) = desk.book.orders.values()
    assert order.cum_qty == Decimal(0)
