"""What the core makes of messages that their session's rate refuses, and of a client that is logged out for it."""

from __future__ import annotations

from oms.core import messages as m
from oms.core.throttled import throttled
from tests.core.desk import Desk, new_order
from tests.core.driver import CLIENT

OVER = "more than 50 messages in a second"


def said(desk: Desk, body: m.Body, msg_type: str = "D") -> list[tuple[str, str, str]]:
    """MsgType(35), ClOrdID(11) and Text(58) of what the client is told."""
    sent = desk.event(CLIENT, throttled(body, msg_type, OVER))
    return [(one.msg_type, one.fields.get("ClOrdID", ""), one.fields["Text"]) for one in sent]


def test_a_throttled_order_is_refused_leaves_no_order_and_its_id_may_come_again(desk: Desk) -> None:
    assert said(desk, new_order("A1")) == [("8", "A1", f"throttle: {OVER}")]
    assert desk.book.orders == {}
    assert [one.msg_type for one in desk.new("A1")] == ["D"]


def test_an_order_that_is_wrong_anyway_is_told_so_rather_than_of_the_rate(desk: Desk) -> None:
    problem = m.Problem("Side(54)", "is missing", "99")
    assert said(desk, new_order("A1")._replace(problem=problem)) == [("8", "A1", "Side(54): is missing")]


def test_a_throttled_replace_is_refused_and_the_order_stays_as_it_is(desk: Desk) -> None:
    desk.working("A1")
    before = desk.state("A1")
    ask = m.ReplaceRequest("A2", "A1", "IBM", "1", "2", None, None, None, (), None)
    assert said(desk, ask, "G") == [("9", "A2", f"throttle: {OVER}")]
    assert desk.state("A1") == before


def test_anything_else_is_answered_as_a_business_reject_that_names_what_it_was(desk: Desk) -> None:
    (sent,) = desk.event(CLIENT, throttled(m.StatusRequest("A1", ()), "H", OVER))
    found = [sent.fields[name] for name in ("RefMsgType", "BusinessRejectRefID", "BusinessRejectReason", "Text")]
    assert (sent.msg_type, found) == ("j", ["H", "A1", "0", f"throttle: {OVER}"])


def test_what_cannot_be_read_keeps_that_answer(desk: Desk) -> None:
    body = m.Unreadable("D", "", "it has no end")
    assert throttled(body, "D", OVER) is body


def test_a_client_that_is_logged_out_for_its_rate_is_an_exception_item(desk: Desk) -> None:
    assert desk.event(CLIENT, m.OverRate(100, 50, 60)) == []
    (found,) = desk.open_items()
    assert "client_over_rate" in found
