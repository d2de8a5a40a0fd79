"""NewOrderSingle(D): accepted, refused, sent twice; the ids given out; what a client is told and a broker sees."""

from __future__ import annotations

import pytest

from oms.core.messages import Problem, Unreadable, Unsupported
from tests.core.desk import CLIENT_TIME, Desk, er, new_order, order_out, own, unbooked
from tests.core.driver import BROKER, CLIENT, CLIENT2, Sent


def test_an_accepted_order_goes_to_its_broker_and_the_client_hears_nothing_yet(desk: Desk) -> None:
    assert desk.new("A1") == [order_out("A1")]
    assert desk.state("A1") == ("routed", "100", "0", [])


def test_a_brokers_new_is_relayed_in_the_clients_ids(desk: Desk) -> None:
    desk.new("A1")
    assert desk.report("A1", "0") == [er("A1", "0", "0")]
    assert desk.state("A1") == ("working", "100", "0", [])


def test_pending_new_and_then_new_are_relayed_one_by_one(desk: Desk) -> None:
    desk.new("A1")
    assert desk.report("A1", "A") == [er("A1", "A", "A")]
    assert desk.report("A1", "0") == [er("A1", "0", "0")]


def test_what_the_broker_adds_is_relayed_and_its_own_ids_are_offered(desk: Desk) -> None:
    desk.new("A1")
    (sent,) = desk.report("A1", "0", text="welcome", extra=(("9001", "x"), ("30", "XNYS")))
    assert sent == er("A1", "0", "0", Text="welcome", **{"9001": "x", "30": "XNYS"})
    assert desk.raw[-1].offers == (("198", "B-1"), ("527", "e1"))


def test_a_brokers_reject_ends_the_order_with_the_brokers_reason(desk: Desk) -> None:
    desk.new("A1")
    sent = desk.report("A1", "8", ord_rej_reason="3", text="too big")
    assert sent == [er("A1", "8", "8", leaves=0, OrdRejReason="3", Text="too big")]
    assert desk.order("A1").reason == "too big"
    assert desk.order("A1").finished


def test_a_late_reject_of_a_working_order_ends_it(desk: Desk) -> None:
    desk.working("A1")
    assert desk.report("A1", "8") == [er("A1", "8", "8", leaves=0, OrdRejReason="0")]
    assert desk.open_items() == []


def test_fields_of_the_order_that_are_not_interpreted_pass_through_in_order(desk: Desk) -> None:
    extra = (("453", "2"), ("448", "P1"), ("447", "D"), ("448", "P2"), ("447", "D"), ("58", "careful"), ("9001", "x"))
    desk.new("A1", extra=extra)
    assert desk.raw[-1].body[-7:] == extra


def test_an_order_without_price_account_or_time_in_force_is_told_without_them(desk: Desk) -> None:
    desk.new("A1", px=None, ord_type="1", time_in_force="")
    assert desk.report("A1", "0") == [er("A1", "0", "0", OrdType="1", Price=None, TimeInForce=None)]


def test_a_stop_order_is_told_with_its_stop_price(desk: Desk) -> None:
    desk.new("A1", ord_type="4", stop_px="9.5")
    assert desk.report("A1", "0") == [er("A1", "0", "0", OrdType="4", StopPx="9.5")]


def test_who_asked_is_kept_with_the_order(desk: Desk) -> None:
    desk.new("A1", trader="JANE")
    assert desk.order("A1").trader == "JANE"


# -- ids --------------------------------------------------------------------------------------------------------


def test_ids_are_short_unique_and_in_order_of_creation(desk: Desk) -> None:
    for number in range(40):
        desk.working(f"A{number}")
    orders = list(desk.book.orders)
    children = [order.to_broker[order.cl_ord_id] for order in desk.book.orders.values()]
    exec_ids = [out.fields["17"] for out in desk.raw if out.msg_type == "8"]
    for ids in (orders, children, exec_ids):
        assert ids == sorted(set(ids))
        assert len(ids) == 40
        assert all(len(one) <= 20 and one.isalnum() and one.isascii() for one in ids)


def test_two_clients_may_use_the_same_cl_ord_id(desk: Desk) -> None:
    desk.new("A1")
    (sent,) = desk.new("A1", client=CLIENT2)
    assert (sent.session, sent.msg_type) == (BROKER, "D")
    assert desk.order("A1", CLIENT2) is not desk.order("A1", CLIENT)


# -- a ClOrdID again --------------------------------------------------------------------------------------------

USED = "ClOrdID(11) A1 was used already on this trading day"


def test_a_cl_ord_id_used_again_is_refused_with_the_state_of_the_order_that_has_it(desk: Desk) -> None:
    desk.working("A1")
    desk.fill("A1", 40)
    assert desk.new("A1", qty=150) == [own("A1", "8", "1", cum=40, OrdRejReason="6", Text=USED)]
    assert desk.state("A1") == ("working", "100", "40", [])
    assert len(desk.book.orders) == 1


def test_a_cl_ord_id_used_again_after_its_order_left_memory_is_refused_without_a_state() -> None:
    desk = Desk().working("A1")
    desk.report("A1", "4")
    desk.book.evict(0)
    assert desk.new("A1") == [unbooked("A1", "6", USED)]


def test_a_cl_ord_id_of_a_refused_order_is_used_up(desk: Desk) -> None:
    desk.new("A1", symbol="NOPE")
    (sent,) = desk.new("A1")
    assert (sent.fields["ExecType"], sent.fields["OrdRejReason"], sent.fields["Text"]) == ("8", "6", USED)


def test_a_cl_ord_id_of_a_cancel_is_used_up_for_orders_too(desk: Desk) -> None:
    desk.working("A1")
    desk.cancel("C1", "A1")
    (sent,) = desk.new("C1")
    assert (sent.fields["ExecType"], sent.fields["OrdRejReason"]) == ("8", "6")
    assert desk.state("A1")[3] == [("C1", "sent")]


def test_a_cl_ord_id_may_be_used_again_on_another_day() -> None:
    desk = Desk().working("A1")
    desk.report("A1", "4")
    desk.book.evict(0)
    desk.tick(days=1)
    assert [one.msg_type for one in desk.new("A1")] == ["D"]


def test_a_cl_ord_id_of_a_live_order_of_another_day_is_not_free() -> None:
    desk = Desk().working("A1", time_in_force="1")
    desk.tick(days=1)
    (sent,) = desk.new("A1")
    assert (sent.fields["ExecType"], sent.fields["OrdRejReason"]) == ("8", "6")


def test_a_possible_resend_of_a_known_order_is_answered_with_its_state(desk: Desk) -> None:
    desk.working("A1")
    desk.fill("A1", 40)
    sent = desk.new("A1", poss_resend=True)
    assert sent == [own("A1", "I", "1", cum=40, ExecID="0")]
    assert len(desk.book.orders) == 1


def test_a_possible_resend_of_an_unknown_order_is_a_new_order(desk: Desk) -> None:
    assert desk.new("A1", poss_resend=True) == [order_out("A1")]


def test_a_possible_resend_of_an_order_that_memory_does_not_hold_is_looked_for_first() -> None:
    desk = Desk().working("A1")
    desk.report("A1", "4")
    desk.book.evict(0)
    event = desk.events[0][1]._replace(body=new_order("A1", poss_resend=True))
    wanted = desk.core.missing(event)
    assert wanted is not None
    assert (wanted.kind, wanted.session, wanted.ids) == ("client", CLIENT, ("A1",))
    assert desk.core.missing(event._replace(body=new_order("A1"))) == wanted  # its answer has the state of the first
    assert desk.core.missing(event._replace(body=new_order("A2"))) is None


# -- what cannot be taken as it stands --------------------------------------------------------------------------


def test_a_malformed_order_is_refused_and_does_not_use_up_its_id(desk: Desk) -> None:
    problem = Problem("OrderQty(38)", "NaN is not a number", "13")
    sent = desk.new("A1", qty="0", problem=problem)
    assert sent == [unbooked("A1", "13", "OrderQty(38): NaN is not a number", OrderQty=None)]
    assert desk.new("A1") == [order_out("A1")]


def test_an_unsupported_message_is_answered_with_a_business_reject(desk: Desk) -> None:
    assert desk.event(CLIENT, Unsupported("UX", "L1")) == [
        Sent(CLIENT, "j", {
            "RefSeqNum": "1", "RefMsgType": "UX", "BusinessRejectReason": "3",
            "Text": "MsgType(35) UX is not supported here; the rules of engagement name what is",
            "BusinessRejectRefID": "L1",
        })
    ]  # fmt: skip


def test_an_unreadable_message_is_answered_and_raised(desk: Desk) -> None:
    assert desk.event(CLIENT, Unreadable("D", "A1", "our code broke")) == [
        Sent(CLIENT, "j", {
            "RefSeqNum": "1", "RefMsgType": "D", "BusinessRejectReason": "0", "Text": "our code broke",
            "BusinessRejectRefID": "A1",
        })
    ]  # fmt: skip
    assert desk.open_items() == ["unreadable_message"]


@pytest.mark.parametrize("length", [500, 501, 100_000])
def test_a_text_of_ours_is_cut_at_500_characters(desk: Desk, length: int) -> None:
    (sent,) = desk.event(CLIENT, Unreadable("D", "A1", "x" * length))
    assert sent.fields["Text"] == "x" * 500


def test_the_orders_body_as_sent_is_kept_only_until_the_broker_answers(desk: Desk) -> None:
    desk.new("A1")
    child = desk.order("A1").child
    assert child is not None
    assert ("60", CLIENT_TIME) in child.body
    desk.report("A1", "A")
    assert child.body == ()
