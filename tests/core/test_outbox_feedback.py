"""What the outbox and counterparties say of our messages: not sent, not sent again, refused as messages.

A request that never left is answered at once; an order whose fate is not known is asked for and never guessed.
"""

from __future__ import annotations

import pytest

from oms.core.messages import MessageReject, NotSent, Refused, ResendDeclined
from tests.core.desk import Desk, cancel_out, cancel_reject, er, fill_er, order_out, own, replace_out, status_out
from tests.core.driver import BROKER, BROKER2, CLIENT

# -- a new order that did not leave -----------------------------------------------------------------------------


def test_an_order_that_did_not_leave_goes_to_the_fallback(desk: Desk) -> None:
    desk.new("A1")
    first = desk.to_broker("A1")
    desk.logged_out()
    assert desk.not_sent("A1", "D") == [order_out("A1", BROKER2)]
    order = desk.order("A1")
    assert [(child.broker, child.life) for child in order.children] == [(BROKER, "rejected"), (BROKER2, "routed")]
    assert desk.to_broker("A1") != first
    assert desk.report("A1", "0", broker=BROKER2) == [er("A1", "0", "0")]


def test_an_order_that_did_not_leave_for_any_broker_is_rejected_with_the_reasons(desk: Desk) -> None:
    desk.new("A1")
    desk.logged_out(BROKER2)
    text = (
        "route: the order did not leave: BROKER1 is logged out;"
        " route: all: BROKER1 did not take it, BROKER2 session logged out"
    )
    assert desk.not_sent("A1", "D") == [own("A1", "8", "8", leaves=0, OrdRejReason="0", Text=text)]
    assert desk.order("A1").finished


def test_an_order_that_no_fallback_got_either_is_rejected(desk: Desk) -> None:
    desk.new("A1")
    desk.not_sent("A1", "D")
    (sent,) = desk.not_sent("A1", "D", broker=BROKER2)
    assert (sent.fields["ExecType"], sent.fields["OrdStatus"], sent.fields["LeavesQty"]) == ("8", "8", "0")


def test_that_an_order_did_not_leave_said_again_changes_nothing(desk: Desk) -> None:
    desk.new("A1")
    first = desk.to_broker("A1")
    desk.not_sent("A1", "D")
    assert desk.not_sent("A1", "D", broker_id=first) == []
    assert desk.state("A1")[0] == "routed"


def test_an_order_canceled_before_it_could_leave_ends_canceled_and_goes_nowhere(desk: Desk) -> None:
    desk.new("A1")
    desk.cancel("C1", "A1")
    text = "canceled before it left: BROKER1 is logged out"
    assert desk.not_sent("A1", "D") == [own("C1", "4", "4", leaves=0, OrigClOrdID="A1", Text=text)]
    assert desk.state("A1") == ("canceled", "100", "0", [("C1", "accepted")])
    assert desk.not_sent("C1", "F") == []
    assert desk.up() == []
    assert desk.order("A1").finished


def test_a_held_cancel_ends_an_order_that_turns_out_not_to_have_left(desk: Desk) -> None:
    desk.new("A1")
    desk.logged_out()
    desk.cancel("C1", "A1")
    text = "canceled before it left: BROKER1 is logged out"
    assert desk.not_sent("A1", "D") == [own("C1", "4", "4", leaves=0, OrigClOrdID="A1", Text=text)]
    assert desk.up() == []


def test_a_replace_of_an_order_that_went_to_the_fallback_is_refused_and_a_new_one_goes_there(desk: Desk) -> None:
    desk.new("A1")
    desk.replace("R1", "A1", 120)
    assert desk.not_sent("A1", "D") == [order_out("A1", BROKER2)]
    text = "the replace did not leave: BROKER1 is logged out"
    assert desk.not_sent("R1", "G") == [cancel_reject("R1", "A1", "A", "2", text, kind="G")]
    (sent,) = desk.replace("R2", "A1", 110)
    assert (sent.session, sent.fields["OrigClOrdID"]) == (BROKER2, "to-broker:A1")


def test_a_report_of_the_broker_that_did_not_get_the_order_does_not_move_it(desk: Desk) -> None:
    desk.new("A1")
    first = desk.to_broker("A1")
    desk.not_sent("A1", "D")
    assert desk.report(first, "8") == []
    assert desk.outcome.items == [("not_at_work", "open")]
    assert desk.state("A1")[0] == "routed"


def test_a_fill_of_the_broker_that_did_not_get_the_order_is_a_fact(desk: Desk) -> None:
    desk.new("A1")
    first = desk.to_broker("A1")
    desk.not_sent("A1", "D")
    assert desk.fill(first, 10, exec_id="f1", cum_qty=10) == [fill_er("A1", "1", 10, cum=10)]
    assert desk.outcome == ([("trade", "f1", "10", "10", "order:A1")], [("not_at_work", "open")])
    assert [child.cum_qty for child in desk.order("A1").children] == [10, 0]
    assert desk.order("A1").children[0].child_id in desk.fx.children
    assert desk.report("A1", "0", broker=BROKER2) == [er("A1", "0", "1", cum=10)]
    assert desk.fill("A1", 90, broker=BROKER2, cum_qty=90) == [fill_er("A1", "2", 90, cum=100)]


def test_after_a_return_from_the_ledger_each_broker_still_has_its_own_child() -> None:
    desk = Desk()
    desk.new("A1")
    first = desk.to_broker("A1")
    desk.not_sent("A1", "D")
    desk.report("A1", "4", broker=BROKER2)
    order = desk.order("A1")
    desk.book.evict(0)
    assert desk.book.orders == {}
    desk.book.add(order)
    assert [desk.book.by_broker_id[one][1].broker for one in (first, desk.to_broker("A1"))] == [BROKER, BROKER2]


def test_not_sent_of_something_nobody_knows_changes_nothing(desk: Desk) -> None:
    assert desk.event(BROKER, NotSent(1, "D", "C000000999", "logged out")) == []
    assert desk.outcome == ([], [])


# -- requests that the broker missed and that were not sent again ------------------------------------------------


def declined(desk: Desk, cl_ord_id: str) -> ResendDeclined:
    return ResendDeclined(desk.to_broker(cl_ord_id))


def test_an_order_that_was_not_sent_again_is_unknown_asked_for_and_raised(desk: Desk) -> None:
    desk.new("A1")
    sent = desk.event(BROKER, declined(desk, "A1"))
    assert sent == [status_out("A1", OrderID=None, Symbol=None, Side=None)]
    assert desk.state("A1")[0] == "unknown"
    assert desk.open_items() == ["unknown_outcome"]


@pytest.mark.parametrize(
    ("status", "life", "told"),
    [
        ("0", "working", []),
        ("A", "pending_new", []),
        ("1", "working", []),
        ("4", "canceled", []),
        ("C", "expired", []),
    ],
)
def test_the_brokers_answer_settles_an_unknown_order(desk: Desk, status: str, life: str, told: list[object]) -> None:
    desk.new("A1")
    desk.event(BROKER, declined(desk, "A1"))
    assert desk.report("A1", "I", exec_id="0", ord_status=status, cum_qty=0) == told
    assert desk.state("A1")[0] == life
    assert desk.open_items() == []


def test_an_order_that_the_broker_does_not_know_is_rejected(desk: Desk) -> None:
    desk.new("A1")
    desk.event(BROKER, declined(desk, "A1"))
    sent = desk.report("A1", "I", exec_id="0", ord_status="8", text="unknown order", cum_qty=0)
    assert sent == [own("A1", "8", "8", leaves=0, OrdRejReason="0", Text="unknown order")]
    assert desk.order("A1").finished
    assert desk.open_items() == []


def test_a_report_of_the_broker_settles_an_unknown_order_too(desk: Desk) -> None:
    desk.new("A1")
    desk.event(BROKER, declined(desk, "A1"))
    assert desk.fill("A1", 40) == [fill_er("A1", "1", 40, cum=40)]
    assert desk.state("A1")[0] == "working"
    assert desk.open_items() == []


def test_an_unknown_order_refused_as_a_second_copy_is_at_work(desk: Desk) -> None:
    desk.new("A1")
    desk.event(BROKER, declined(desk, "A1"))
    assert desk.report("A1", "8", ord_status="0", ord_rej_reason="6") == []
    assert desk.state("A1")[0] == "working"
    assert desk.open_items() == ["refused_as_duplicate"]


def test_a_broker_that_answers_no_status_requests_leaves_the_order_unknown_for_people() -> None:
    desk = Desk(down=(BROKER,))
    desk.new("A1")
    assert desk.event(BROKER2, declined(desk, "A1")) == []
    assert (desk.state("A1")[0], desk.open_items()) == ("unknown", ["unknown_outcome"])
    assert desk.status("A1") == [own("A1", "I", "A", ExecID="0")]
    desk.replayed()


def test_the_answer_to_our_own_question_is_not_shown_to_the_client_who_asks_next(desk: Desk) -> None:
    desk.new("A1")
    desk.event(BROKER, declined(desk, "A1"))
    desk.report("A1", "I", exec_id="0", ord_status="0", cum_qty=0)
    desk.status("A1")
    assert desk.report("A1", "I", exec_id="0", cum_qty=0) == [er("A1", "I", "0", ExecID="0")]


def test_an_order_that_the_broker_has_acknowledged_is_not_unknown(desk: Desk) -> None:
    desk.working("A1")
    assert desk.event(BROKER, declined(desk, "A1")) == []
    assert desk.state("A1")[0] == "working"


def test_a_replace_that_was_not_sent_again_is_refused(desk: Desk) -> None:
    desk.working("A1")
    desk.replace("R1", "A1", 120)
    text = "the broker did not get the request in time; it was not sent again"
    assert desk.event(BROKER, declined(desk, "R1")) == [cancel_reject("R1", "A1", "0", "2", text, kind="G")]
    assert desk.event(BROKER, declined(desk, "R1")) == []


def test_a_resend_declined_of_something_nobody_knows_changes_nothing(desk: Desk) -> None:
    assert desk.event(BROKER, ResendDeclined("C000000999")) == []


# -- Reject(3) and BusinessMessageReject(j) ----------------------------------------------------------------------


def rejected(desk: Desk, cl_ord_id: str, msg_type: str) -> MessageReject:
    return MessageReject(7, msg_type, desk.to_broker(cl_ord_id), "not supported")


def test_a_broker_that_refuses_the_message_of_an_order_ends_it(desk: Desk) -> None:
    desk.new("A1")
    text = "broker refused the message: not supported"
    assert desk.event(BROKER, rejected(desk, "A1", "D")) == [
        own("A1", "8", "8", leaves=0, OrdRejReason="0", Text=text),
    ]
    assert desk.state("A1")[0] == "rejected"
    assert desk.order("A1").finished


def test_a_broker_that_refuses_the_message_settles_an_unknown_order(desk: Desk) -> None:
    desk.new("A1")
    desk.event(BROKER, declined(desk, "A1"))
    (sent,) = desk.event(BROKER, rejected(desk, "A1", "D"))
    assert (sent.fields["ExecType"], desk.state("A1")[0], desk.open_items()) == ("8", "rejected", [])


@pytest.mark.parametrize("kind", ["F", "G"])
def test_a_broker_that_refuses_the_message_of_a_request_refuses_the_request(desk: Desk, kind: str) -> None:
    desk.working("A1")
    _ = desk.cancel("X1", "A1") if kind == "F" else desk.replace("X1", "A1", 120)
    expected = cancel_reject("X1", "A1", "0", "2", "not supported", kind=kind)
    assert desk.event(BROKER, rejected(desk, "X1", kind)) == [expected]
    assert desk.event(BROKER, rejected(desk, "X1", kind)) == []
    assert desk.state("A1") == ("working", "100", "0", [("X1", "rejected")])


def test_a_broker_that_refuses_the_message_of_an_order_it_works_is_an_exception(desk: Desk) -> None:
    desk.working("A1")
    assert desk.event(BROKER, rejected(desk, "A1", "D")) == []
    assert desk.open_items() == ["message_rejected"]
    assert desk.state("A1")[0] == "working"


@pytest.mark.parametrize("session", [BROKER, BROKER2, CLIENT])
def test_a_refused_message_that_nobody_can_name_is_an_exception(desk: Desk, session: str) -> None:
    desk.working("A1")
    assert desk.event(session, MessageReject(7, "", "", "no idea")) == []
    assert desk.items[-1].text == f"{session} refused MsgSeqNum(34) 7, MsgType(35) unknown: no idea"
    assert desk.open_items() == ["message_rejected"]


def test_a_refusal_by_a_broker_that_does_not_hold_the_order_is_an_exception(desk: Desk) -> None:
    desk.new("A1")
    assert desk.event(BROKER2, rejected(desk, "A1", "D")) == []
    assert (desk.state("A1")[0], desk.open_items()) == ("routed", ["message_rejected"])


@pytest.mark.parametrize(
    ("session", "msg_type", "items"),
    [
        (BROKER, "8", ["report_refused_by_engine"]), (BROKER, "9", ["report_refused_by_engine"]),
        (BROKER, "j", []), (BROKER, "", []), (CLIENT, "8", []), (CLIENT, "D", []), ("", "8", []),
    ],
)  # fmt: skip
def test_a_report_that_the_engine_itself_refused_may_be_a_lost_fill_and_is_an_exception(
    desk: Desk, session: str, msg_type: str, items: list[str]
) -> None:
    assert desk.event(session, Refused("Required tag missing:37", msg_type)) == []
    assert desk.details[-1]["refused"] == "Required tag missing:37"
    assert desk.open_items() == items


# -- sessions ----------------------------------------------------------------------------------------------------


def test_a_logout_is_noted_and_changes_no_order(desk: Desk) -> None:
    desk.working("A1")
    before = desk.state("A1")
    assert desk.logged_out() == []
    assert (desk.book.is_up(BROKER), desk.state("A1")) == (False, before)
    assert desk.up() == []
    assert desk.book.is_up(BROKER)


def test_a_logon_below_what_was_read_begins_a_new_epoch_of_numbers(desk: Desk) -> None:
    state = desk.book.sessions[BROKER]
    state.in_msg_seq_num = 40
    desk.up(next_target=41)
    assert (state.epoch, state.in_msg_seq_num) == (0, 40)
    desk.up(next_target=1)
    assert (state.epoch, state.in_msg_seq_num) == (1, 0)
    assert desk.details[-1] == {"reset": 1}


def test_requests_that_left_before_a_logout_are_not_sent_again_at_the_logon(desk: Desk) -> None:
    desk.working("A1")
    assert desk.cancel("C1", "A1") == [cancel_out("C1", "A1")]
    assert desk.replace("R1", "A1", 120) == [replace_out("R1", "A1", 120)]
    desk.logged_out()
    assert desk.up() == []
