"""OrderCancelRequest(F): passed on, refused where it must be, crossing fills, and held while a broker is away."""

from __future__ import annotations

from oms.core.messages import Problem
from tests.core.desk import Desk, cancel_out, cancel_reject, er, fill_er, own
from tests.core.driver import BROKER, CLIENT2, Sent


def test_a_cancel_goes_to_the_broker_and_the_client_waits(desk: Desk) -> None:
    desk.working("A1")
    assert desk.cancel("C1", "A1") == [cancel_out("C1", "A1")]
    assert desk.state("A1") == ("working", "100", "0", [("C1", "sent")])


def test_a_confirmed_cancel_ends_the_order_and_answers_the_request(desk: Desk) -> None:
    desk.working("A1")
    desk.cancel("C1", "A1")
    assert desk.report("C1", "4", orig="A1") == [er("C1", "4", "4", leaves=0, OrigClOrdID="A1")]
    assert desk.state("A1") == ("canceled", "100", "0", [("C1", "accepted")])
    assert desk.order("A1").finished


def test_pending_cancel_is_told_and_outranks_everything_until_the_answer(desk: Desk) -> None:
    desk.working("A1")
    desk.cancel("C1", "A1")
    assert desk.report("C1", "6", orig="A1") == [er("C1", "6", "6", OrigClOrdID="A1")]
    assert desk.fill("A1", 40) == [fill_er("A1", "6", 40, cum=40)]
    assert desk.report("C1", "4", orig="A1") == [er("C1", "4", "4", cum=40, leaves=0, OrigClOrdID="A1")]


def test_a_refused_cancel_leaves_the_order_as_it_was(desk: Desk) -> None:
    desk.working("A1")
    desk.cancel("C1", "A1")
    desk.report("C1", "6", orig="A1")
    assert desk.refuse("C1", "2", "not now", orig="A1") == [cancel_reject("C1", "A1", "0", "2", "not now")]
    assert desk.state("A1") == ("working", "100", "0", [("C1", "rejected")])


def test_a_fill_that_crosses_the_cancel_is_told_under_the_orders_id(desk: Desk) -> None:
    desk.working("A1")
    desk.cancel("C1", "A1")
    assert desk.fill("A1", 40) == [fill_er("A1", "1", 40, cum=40)]


def test_a_complete_fill_before_the_cancel_makes_it_too_late(desk: Desk) -> None:
    desk.working("A1")
    desk.cancel("C1", "A1")
    desk.report("C1", "6", orig="A1")
    assert desk.fill("A1", 100) == [fill_er("A1", "6", 100, cum=100)]
    assert not desk.order("A1").finished
    assert desk.refuse("C1", "0", orig="A1") == [cancel_reject("C1", "A1", "2", "0")]
    assert desk.order("A1").finished


def test_a_cancel_before_the_broker_has_acknowledged_goes_out_without_the_brokers_order_id(desk: Desk) -> None:
    desk.new("A1")
    assert desk.cancel("C1", "A1") == [cancel_out("C1", "A1", OrderID=None)]
    assert desk.report("C1", "6", orig="A1") == [er("C1", "6", "6", OrigClOrdID="A1")]
    assert desk.report("C1", "4", orig="A1") == [er("C1", "4", "4", leaves=0, OrigClOrdID="A1")]


def test_acknowledgement_and_cancel_may_cross(desk: Desk) -> None:
    desk.new("A1")
    desk.cancel("C1", "A1")
    assert desk.report("C1", "4", orig="A1") == [er("C1", "4", "4", leaves=0, OrigClOrdID="A1")]
    assert desk.report("A1", "0") == [er("A1", "0", "4", leaves=0)]
    assert desk.open_items() == []


def test_a_second_cancel_while_one_is_pending_is_the_brokers_to_answer(desk: Desk) -> None:
    desk.working("A1")
    desk.cancel("C1", "A1")
    desk.report("C1", "6", orig="A1")
    assert desk.cancel("C2", "A1") == [cancel_out("C2", "A1")]
    assert desk.refuse("C2", "3") == [cancel_reject("C2", "A1", "6", "3")]
    assert desk.report("C1", "4", orig="A1") == [er("C1", "4", "4", leaves=0, OrigClOrdID="A1")]
    assert desk.state("A1")[3] == [("C1", "accepted"), ("C2", "rejected")]


# -- refused by the gateway -------------------------------------------------------------------------------------


def test_a_cancel_of_an_unknown_order_is_refused_as_unknown_and_uses_up_no_id(desk: Desk) -> None:
    text = "OrigClOrdID(41) A1 is not an order of yours"
    assert desk.cancel("C1", "A1") == [cancel_reject("C1", "A1", "8", "1", text, order="")]
    assert [one.msg_type for one in desk.new("A1")] == ["D"]
    assert [one.msg_type for one in desk.cancel("C1", "A1")] == ["F"]


def test_a_cancel_of_another_clients_order_is_refused_as_unknown(desk: Desk) -> None:
    desk.working("A1")
    (sent,) = desk.cancel("C1", "A1", client=CLIENT2)
    assert (sent.session, sent.msg_type) == (CLIENT2, "9")
    assert (sent.fields["OrderID"], sent.fields["CxlRejReason"]) == ("NONE", "1")
    assert desk.state("A1")[3] == []


def test_a_cancel_under_an_id_used_before_is_refused_as_a_duplicate(desk: Desk) -> None:
    desk.working("A1")
    text = "ClOrdID(11) A1 was used already on this trading day"
    assert desk.cancel("A1", "A1") == [cancel_reject("A1", "A1", "0", "6", text)]


def test_a_cancel_of_a_finished_order_is_too_late(desk: Desk) -> None:
    desk.working("A1")
    desk.fill("A1", 100)
    assert desk.cancel("C1", "A1") == [cancel_reject("C1", "A1", "2", "0", "too late to cancel")]
    desk.working("A2")
    desk.report("A2", "4")
    assert desk.cancel("C2", "A2") == [cancel_reject("C2", "A2", "4", "0", "too late to cancel", order="A2")]


def test_a_cancel_of_an_order_that_a_rule_of_ours_refused_is_too_late(desk: Desk) -> None:
    desk.new("A1", symbol="NOPE")
    assert desk.cancel("C1", "A1") == [cancel_reject("C1", "A1", "8", "0", "too late to cancel")]


def test_a_cancel_whose_ids_cannot_be_taken_is_refused_with_the_reason(desk: Desk) -> None:
    desk.working("A1")
    problem = Problem("ClOrdID(11)", "is longer than 64 characters or not printable", "99")
    sent = desk.cancel("C1", "A1", problem=problem)
    text = "ClOrdID(11): is longer than 64 characters or not printable"
    assert sent == [cancel_reject("C1", "A1", "0", "2", text)]
    assert desk.state("A1")[3] == []


# -- refused by the broker in other ways ------------------------------------------------------------------------


def test_a_broker_that_rejects_a_cancel_by_execution_report_refuses_the_request_not_the_order(desk: Desk) -> None:
    desk.working("A1")
    desk.cancel("C1", "A1")
    assert desk.report("C1", "8", orig="A1", text="no") == [cancel_reject("C1", "A1", "0", "2", "no")]
    assert desk.state("A1") == ("working", "100", "0", [("C1", "rejected")])


def test_a_broker_that_does_not_know_the_order_it_holds_is_an_exception(desk: Desk) -> None:
    desk.working("A1")
    desk.cancel("C1", "A1")
    assert desk.refuse("C1", "1", "who?") == [cancel_reject("C1", "A1", "0", "1", "who?")]
    assert desk.open_items() == ["broker_unknown_order"]
    assert desk.state("A1")[0] == "working"


def test_a_broker_that_does_not_know_a_filled_order_any_more_is_no_exception(desk: Desk) -> None:
    desk.working("A1")
    desk.cancel("C1", "A1")
    desk.fill("A1", 100)
    assert desk.refuse("C1", "1") == [cancel_reject("C1", "A1", "2", "1")]
    assert desk.open_items() == []


def test_a_cancel_reject_told_twice_is_relayed_once(desk: Desk) -> None:
    desk.working("A1")
    desk.cancel("C1", "A1")
    assert len(desk.refuse("C1")) == 1
    assert desk.refuse("C1") == []
    assert desk.details[-1] == {"duplicate": True}


def test_a_cancel_reject_for_no_request_of_ours_is_an_exception(desk: Desk) -> None:
    desk.working("A1")
    assert desk.refuse("NOBODY") == []
    assert desk.open_items() == ["unknown_request"]


def test_a_cancel_reject_of_another_broker_is_not_taken(desk: Desk) -> None:
    desk.working("A1")
    desk.cancel("C1", "A1")
    assert desk.refuse("C1", broker="BROKER2") == []
    assert desk.open_items() == ["unknown_request"]
    assert desk.state("A1")[3] == [("C1", "sent")]


def test_a_cancel_reject_for_the_order_itself_is_an_exception(desk: Desk) -> None:
    desk.working("A1")
    assert desk.refuse("A1") == []
    assert desk.open_items() == ["unknown_request"]
    assert desk.state("A1")[0] == "working"


# -- while the broker is logged out -----------------------------------------------------------------------------

AWAY = "BROKER1 is logged out: the cancel leaves at its next logon"


def held(cl_ord_id: str, orig: str) -> Sent:
    return own(cl_ord_id, "6", "6", OrigClOrdID=orig, Text=AWAY)


def test_a_cancel_for_a_broker_that_is_away_is_held_and_the_client_told_pending_cancel(desk: Desk) -> None:
    desk.working("A1")
    desk.logged_out()
    assert desk.cancel("C1", "A1") == [held("C1", "A1")]
    assert desk.state("A1")[3] == [("C1", "held")]
    assert desk.status("A1") == [own("A1", "I", "6", ExecID="0")]


def test_a_held_cancel_leaves_at_the_brokers_next_logon_and_stays_pending_for_the_client(desk: Desk) -> None:
    desk.working("A1")
    desk.logged_out()
    desk.cancel("C1", "A1")
    sent = desk.up()
    assert sent == [cancel_out("C1", "A1", Account="FUND1", OrderQty=100, TransactTime="now")]
    assert dict(desk.raw[-1].defaults)["55"] == "IBM"
    assert desk.fill("A1", 40) == [fill_er("A1", "6", 40, cum=40)]
    assert desk.report("C1", "4", orig="A1") == [er("C1", "4", "4", cum=40, leaves=0, OrigClOrdID="A1")]


def test_a_held_cancel_leaves_once(desk: Desk) -> None:
    desk.working("A1")
    desk.logged_out()
    desk.cancel("C1", "A1")
    assert len(desk.up()) == 1
    assert desk.up() == []


def test_another_brokers_logon_lets_no_held_cancel_go(desk: Desk) -> None:
    desk.working("A1")
    desk.logged_out()
    desk.cancel("C1", "A1")
    assert desk.up("BROKER2") == []
    assert desk.up("CLIENT1") == []
    assert desk.state("A1")[3] == [("C1", "held")]


def test_a_cancel_that_did_not_leave_is_held(desk: Desk) -> None:
    desk.working("A1")
    desk.cancel("C1", "A1")
    desk.logged_out()
    assert desk.not_sent("C1", "F") == [held("C1", "A1")]
    assert [(one.session, one.msg_type) for one in desk.up()] == [(BROKER, "F")]


def test_a_cancel_that_did_not_leave_for_an_order_that_ended_meanwhile_is_too_late(desk: Desk) -> None:
    desk.working("A1")
    desk.cancel("C1", "A1")
    desk.fill("A1", 100)
    assert desk.not_sent("C1", "F") == [cancel_reject("C1", "A1", "2", "0", "too late to cancel")]
    assert desk.order("A1").finished
    assert desk.up() == []


def test_a_held_cancel_of_an_order_that_filled_meanwhile_is_refused_at_the_logon(desk: Desk) -> None:
    desk.working("A1")
    desk.logged_out()
    desk.cancel("C1", "A1")
    assert desk.fill("A1", 100) == [fill_er("A1", "6", 100, cum=100)]
    assert desk.up() == [cancel_reject("C1", "A1", "2", "0", "too late to cancel")]
    assert desk.order("A1").finished
