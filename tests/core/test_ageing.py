"""What a broker does not answer is raised once, asked for, and closed by its answer; nothing ends by age."""

from __future__ import annotations

from datetime import timedelta

from oms.core import messages as m
from oms.core.ageing import Ageing
from oms.core.terms import BrokerFacts
from tests.core.desk import Desk
from tests.core.driver import BROKER, START

FACTS = {BROKER: BrokerFacts(frozenset(), frozenset(), True, acknowledge_seconds=10, answer_seconds=5)}


def looks(desk: Desk, *seconds: float, facts: dict[str, BrokerFacts] = FACTS) -> list[list[tuple[str, int]]]:
    """What each look finds, as (kind, seconds)."""
    ageing = Ageing(desk.book, facts)
    return [[(one.kind, one.seconds) for one in ageing.look(START + timedelta(seconds=at))] for at in seconds]


def sent(desk: Desk, cl_ord_id: str = "A1") -> m.Overdue:
    """What is found of an order without an answer."""
    order = desk.order(cl_ord_id)
    return m.Overdue("unacknowledged", order.order_id, order.children[-1].child_id, 10)


def test_an_order_is_found_once_when_its_time_is_over_counted_from_the_first_look() -> None:
    desk = Desk()
    desk.new("A1")
    assert looks(desk, 100, 109, 110, 111) == [[], [], [("unacknowledged", 10)], []]


def test_an_order_that_was_answered_is_never_found() -> None:
    assert looks(Desk().working("A1"), 0, 1000) == [[], []]


def test_a_cancel_or_replace_is_found_until_the_broker_says_anything_about_it() -> None:
    desk = Desk().working("A1")
    desk.cancel("K1", "A1")
    assert looks(desk, 0, 5) == [[], [("unanswered", 5)]]
    desk.report("K1", "6", orig="A1")
    assert looks(desk, 0, 5) == [[], []]


def test_where_the_dialect_says_never_nothing_is_found() -> None:
    desk = Desk()
    desk.new("A1")
    assert looks(desk, 0, 10_000, facts={BROKER: BrokerFacts(frozenset(), frozenset(), True)}) == [[], []]


def test_at_most_fifty_are_found_at_a_time_and_the_rest_later() -> None:
    desk = Desk()
    for number in range(120):
        desk.new(f"A{number}")
    assert [len(found) for found in looks(desk, 0, 10, 11, 12, 13)] == [0, 50, 50, 20, 0]


def test_an_order_that_waits_too_long_is_raised_and_asked_for_and_its_answer_closes_the_item() -> None:
    desk = Desk()
    desk.new("A1")
    order = desk.order("A1")
    asked = desk.event("", sent(desk))
    assert [(one.session, one.msg_type) for one in asked] == [(BROKER, "H")]
    assert (desk.open_items(), order.life) == (["unacknowledged"], "routed")
    assert desk.event("", sent(desk)) != []  # asked again, raised once
    assert desk.open_items() == ["unacknowledged"]
    desk.report("A1", "0")
    assert desk.open_items() == []
    desk.replayed()


def test_a_cancel_that_waits_too_long_is_raised_and_its_answer_closes_the_item() -> None:
    desk = Desk().working("A1")
    desk.cancel("K1", "A1")
    order = desk.order("A1")
    request = order.requests[-1]
    desk.event("", m.Overdue("unanswered", order.order_id, request.broker_cl_ord_id, 5))
    assert desk.open_items() == ["unanswered"]
    desk.report("K1", "4", orig="A1")
    assert desk.open_items() == []
    desk.replayed()


def test_an_answer_that_came_first_leaves_nothing_to_raise() -> None:
    desk = Desk()
    desk.new("A1")
    late = sent(desk)
    desk.report("A1", "0")
    assert desk.event("", late) == []
    assert desk.open_items() == []
