"""Reports for orders nobody knows, and from brokers that do not hold the order: kept, answered, never guessed."""

from __future__ import annotations

import pytest

from oms.core.messages import Unsupported
from tests.core.desk import BROKER_TIME, Desk
from tests.core.driver import BROKER, BROKER2, CLIENT, CLIENT2, Sent


def dont_know(exec_id: str, about: str, broker: str = BROKER, **more: str) -> Sent:
    fields = {
        "OrderID": "B-1", "ExecID": exec_id, "DKReason": "D", "Symbol": "IBM", "Side": "1", "LastQty": "10",
        "LastPx": "50", "Text": f"no order of ours: {about}",
    }  # fmt: skip
    return Sent(broker, "Q", fields | more)


def test_a_fill_for_an_unknown_order_is_booked_answered_and_raised(desk: Desk) -> None:
    sent = desk.report("VOICE", "F", exec_id="f1", last_qty=10, last_px=50, order_qty=100)
    assert sent == [dont_know("f1", "ClOrdID(11) VOICE, OrderID(37) B-1", OrderQty="100")]
    assert desk.outcome == ([("trade", "f1", "10", "50", None)], [("unknown_order", "open")])
    assert desk.items[-1].text == "fill for no order of ours: ClOrdID(11) VOICE, OrderID(37) B-1"


def test_a_fill_for_an_unknown_order_told_twice_is_booked_and_answered_once(desk: Desk) -> None:
    desk.report("VOICE", "F", exec_id="f1", last_qty=10, last_px=50)
    assert desk.report("VOICE", "F", exec_id="f1", last_qty=10, last_px=50) == []
    assert desk.outcome == ([], [])
    assert desk.details[-1] == {"duplicate": True}


def test_a_fill_without_any_id_of_an_order_is_booked_and_answered(desk: Desk) -> None:
    sent = desk.report("", "F", exec_id="f1", last_qty=10, last_px=50, order_id="")
    about = "ClOrdID(11) absent, OrderID(37) absent"
    assert sent == [dont_know("f1", about, OrderID="NONE")]


@pytest.mark.parametrize(("exec_type", "kind"), [("G", "correct"), ("H", "bust")])
def test_a_correction_or_bust_of_an_unknown_order_is_kept_too(desk: Desk, exec_type: str, kind: str) -> None:
    sent = desk.report("VOICE", exec_type, exec_id="b1", exec_ref_id="f1", last_qty=10, last_px=50)
    assert sent == [dont_know("b1", "ClOrdID(11) VOICE, OrderID(37) B-1")]
    assert desk.outcome.fills == [(kind, "b1", "10", "50", None)]


@pytest.mark.parametrize("exec_type", ["0", "3", "4", "5", "6", "8", "A", "C", "D", "E", "I", "Z", ""])
def test_another_report_for_an_unknown_order_is_raised_and_not_answered(desk: Desk, exec_type: str) -> None:
    assert desk.report("VOICE", exec_type) == []
    assert desk.outcome == ([], [("unknown_order", "open")])
    assert desk.items[-1].severity == "warning"


@pytest.mark.parametrize(
    "wrong",
    [{"last_qty": None}, {"last_px": None}, {"last_qty": 0}, {"last_qty": -5}, {"exec_id": ""}, {"exec_id": "0"}],
)  # fmt: skip
def test_a_fill_for_an_unknown_order_that_cannot_be_booked_is_raised(desk: Desk, wrong: dict[str, object]) -> None:
    assert desk.report("VOICE", "F", **({"exec_id": "f1", "last_qty": 10, "last_px": 50} | wrong)) == []
    assert desk.outcome == ([], [("unknown_order", "open")])


def test_a_report_of_another_broker_is_not_for_the_order_whose_id_it_quotes(desk: Desk) -> None:
    desk.working("A1")
    before = desk.state("A1")
    assert desk.report("A1", "4", broker=BROKER2) == []
    assert desk.outcome.items == [("unknown_order", "open")]
    sent = desk.report("A1", "F", broker=BROKER2, exec_id="f1", last_qty=10, last_px=50)
    assert [(one.session, one.msg_type) for one in sent] == [(BROKER2, "Q")]
    assert desk.outcome.fills == [("trade", "f1", "10", "50", None)]
    assert desk.state("A1") == before


def test_a_report_of_another_broker_under_a_known_order_id_is_not_for_that_order(desk: Desk) -> None:
    desk.working("A1")
    assert desk.report("", "4", order_id="B-1", broker=BROKER2) == []
    assert desk.state("A1")[0] == "working"


def test_nothing_is_ever_matched_by_what_is_traded(desk: Desk) -> None:
    desk.working("A1")
    assert desk.report("OTHER", "4", order_id="B-2", order_qty=100, price=10) == []
    assert desk.state("A1")[0] == "working"


def test_the_fill_of_an_unknown_order_does_not_block_the_same_id_of_another_broker(desk: Desk) -> None:
    desk.report("VOICE", "F", exec_id="f1", last_qty=10, last_px=50)
    sent = desk.report("VOICE", "F", exec_id="f1", last_qty=10, last_px=50, broker=BROKER2)
    assert sent == [dont_know("f1", "ClOrdID(11) VOICE, OrderID(37) B-1", BROKER2)]


# -- what a client disputes -------------------------------------------------------------------------------------


def test_a_client_that_does_not_know_a_trade_is_an_exception_for_people(desk: Desk) -> None:
    assert desk.event(CLIENT, Unsupported("Q", "E000000007")) == []
    assert desk.outcome.items == [("trade_disputed", "open")]
    assert desk.items[-1].text == "CLIENT1 does not know the trade of ExecID(17) E000000007"


def test_dont_know_trade_from_a_broker_is_not_supported(desk: Desk) -> None:
    (sent,) = desk.event(BROKER, Unsupported("Q", ""))
    assert (sent.session, sent.msg_type, sent.fields["BusinessRejectReason"]) == (BROKER, "j", "3")


def test_one_clients_report_never_goes_to_another(desk: Desk) -> None:
    desk.new("A1", client=CLIENT2)
    desk.new("A1")
    (sent,) = desk.report(desk.to_broker("A1", CLIENT2), "0")
    assert (sent.session, sent.fields["OrderID"]) == (CLIENT2, "order:A1")
    (sent,) = desk.report(desk.to_broker("A1"), "0")
    assert (sent.session, sent.fields["TransactTime"]) == (CLIENT, BROKER_TIME)
