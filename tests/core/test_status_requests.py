"""OrderStatusRequest(H): asked of the broker where it answers, else told from the ledger; never an event."""

from __future__ import annotations

from oms.core.messages import MessageReject
from tests.core.desk import Desk, er, own, status_out, unbooked
from tests.core.driver import BROKER, BROKER2, CLIENT


def test_a_status_request_goes_to_the_broker_and_its_answer_to_the_client(desk: Desk) -> None:
    desk.working("A1")
    assert desk.status("A1") == [status_out("A1")]
    sent = desk.report("A1", "I", exec_id="0", text="Nothing Done")
    assert sent == [er("A1", "I", "0", ExecID="0", Text="Nothing Done")]


def test_status_answers_may_repeat_any_exec_id_and_block_no_fill(desk: Desk) -> None:
    desk.working("A1")
    desk.fill("A1", 10, exec_id="f1")
    desk.status("A1")
    assert desk.report("A1", "I", exec_id="f1") == [er("A1", "I", "1", ExecID="0", cum=10)]
    desk.status("A1")
    assert len(desk.report("A1", "I", exec_id="f2", cum_qty=10)) == 1
    (sent,) = desk.fill("A1", 10, exec_id="f2")
    assert (sent.fields["ExecType"], sent.fields["CumQty"]) == ("F", "20")


def test_every_request_is_answered_once_and_in_order(desk: Desk) -> None:
    desk.working("A1")
    desk.replace("R1", "A1", 120)
    desk.report("R1", "5", orig="A1", order_qty=120)
    desk.status("A1")
    desk.status("R1")
    assert desk.report("R1", "I", exec_id="0") == [er("A1", "I", "0", ExecID="0", qty=120)]
    assert desk.report("R1", "I", exec_id="0") == [er("R1", "I", "0", ExecID="0", qty=120)]
    assert desk.report("R1", "I", exec_id="0") == []


def test_a_status_that_nobody_asked_for_is_not_relayed_but_its_quantities_are_compared(desk: Desk) -> None:
    desk.working("A1")
    assert desk.report("A1", "I", exec_id="0", cum_qty=50) == []
    assert desk.open_items() == ["quantity_mismatch"]


def test_a_status_answer_changes_no_state(desk: Desk) -> None:
    desk.working("A1")
    desk.status("A1")
    before = desk.state("A1")
    desk.report("A1", "I", exec_id="0", ord_status="4", cum_qty=0)
    assert desk.state("A1") == before


def test_a_broker_that_answers_unknown_for_a_live_order_is_an_exception(desk: Desk) -> None:
    desk.working("A1")
    desk.status("A1")
    sent = desk.report("A1", "I", exec_id="0", ord_status="8", text="unknown order")
    assert sent == [er("A1", "I", "0", ExecID="0", Text="unknown order")]
    assert desk.open_items() == ["broker_unknown_order"]


def test_a_status_request_for_an_unknown_order_is_answered_as_unknown(desk: Desk) -> None:
    sent = desk.status("NOPE")
    text = "ClOrdID(11) NOPE is not an order of yours"
    nothing = dict.fromkeys(("Account", "OrdType", "Price"))
    assert sent == [unbooked("NOPE", "5", text, ExecType="I", ExecID="0", OrderQty="0", **nothing)]


def test_a_status_request_for_a_finished_order_is_answered_from_the_ledger(desk: Desk) -> None:
    desk.working("A1")
    desk.fill("A1", 100)
    assert desk.status("A1") == [own("A1", "I", "2", ExecID="0", cum=100)]


def test_a_status_request_for_an_order_of_ours_that_was_refused_is_answered_from_the_ledger(desk: Desk) -> None:
    desk.new("A1", symbol="NOPE")
    assert desk.status("A1") == [own("A1", "I", "8", ExecID="0", leaves=0, Symbol="NOPE")]


def test_while_the_broker_is_away_the_ledger_answers(desk: Desk) -> None:
    desk.working("A1")
    desk.logged_out()
    assert desk.status("A1") == [own("A1", "I", "0", ExecID="0")]


def test_a_broker_that_answers_no_status_requests_is_not_asked() -> None:
    desk = Desk(down=(BROKER,))
    desk.new("A1")
    desk.report("A1", "0", broker=BROKER2)
    assert desk.status("A1") == [own("A1", "I", "0", ExecID="0")]
    desk.replayed()


def test_a_status_request_that_did_not_leave_is_answered_from_the_ledger(desk: Desk) -> None:
    desk.working("A1")
    desk.status("A1")
    assert desk.not_sent("A1", "H") == [own("A1", "I", "0", ExecID="0")]
    assert desk.not_sent("A1", "H") == []


def test_a_status_request_that_the_broker_rejects_is_answered_from_the_ledger(desk: Desk) -> None:
    desk.working("A1")
    desk.status("A1")
    rejected = MessageReject(9, "H", desk.to_broker("A1"), "not here")
    assert desk.event(BROKER, rejected) == [own("A1", "I", "0", ExecID="0")]
    assert desk.event(BROKER, rejected) == []
    assert desk.state("A1")[0] == "working"


def test_a_status_request_before_the_broker_answered_quotes_no_order_id_of_the_broker(desk: Desk) -> None:
    desk.new("A1")
    assert desk.status("A1") == [status_out("A1", OrderID=None)]


def test_a_client_cannot_ask_for_another_clients_order(desk: Desk) -> None:
    desk.working("A1")
    (sent,) = desk.status("A1", client="CLIENT2")
    assert (sent.session, sent.fields["OrdStatus"], sent.fields["OrdRejReason"]) == ("CLIENT2", "8", "5")
    assert desk.order("A1").client == CLIENT
