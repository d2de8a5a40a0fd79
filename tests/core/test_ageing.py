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


# -- working without news ----------------------------------------------------------------------------------------

QUIET = {BROKER: FACTS[BROKER]._replace(quiet_seconds=60)}


def quiet(desk: Desk, cl_ord_id: str = "A1") -> m.Overdue:
    """What is found of a working order without news."""
    order = desk.order(cl_ord_id)
    return m.Overdue("without_news", order.order_id, order.children[-1].child_id, 60)


def test_a_working_order_without_news_is_found_and_again_after_news_and_more_silence() -> None:
    desk = Desk().working("A1")
    ageing = Ageing(desk.book, QUIET)

    def look(at: float) -> list[str]:
        return [one.kind for one in ageing.look(START + timedelta(seconds=at))]

    assert [look(at) for at in (0, 59, 60, 300)] == [[], [], ["without_news"], []]
    desk.fill("A1", 10)
    assert [look(at) for at in (301, 360, 361)] == [[], [], ["without_news"]]
    desk.fill("A1", 90)
    assert look(1000) == []


def test_where_the_dialect_does_not_say_a_quiet_order_is_never_found() -> None:
    assert looks(Desk().working("A1"), 0, 1_000_000) == [[], []]


def test_a_quiet_order_is_raised_and_asked_for_and_any_word_closes_the_item() -> None:
    desk = Desk().working("A1")
    (sent,) = desk.event("", quiet(desk))
    assert (sent.msg_type, desk.open_items(), desk.state("A1")[0]) == ("H", ["without_news"], "working")
    assert desk.items[-1].text.startswith("BROKER1 has said nothing of the working order, ClOrdID(11) C")
    desk.status("A1")
    assert desk.open_items() == ["without_news"]  # the client's word is none of the broker's
    desk.report("A1", "I", exec_id="0", ord_status="0", leaves_qty=100)
    assert desk.open_items() == []
    desk.replayed()


def test_the_answer_about_a_quiet_order_is_compared() -> None:
    desk = Desk().working("A1")
    desk.event("", quiet(desk))
    desk.report("A1", "I", exec_id="0", ord_status="4", leaves_qty=0)
    assert (desk.open_items(), desk.state("A1")[0]) == (["state_mismatch"], "working")
    desk.replayed()


# -- an order in doubt -------------------------------------------------------------------------------------------


def in_doubt() -> Desk:
    """An order of which nobody knows whether its broker has it."""
    desk = Desk()
    desk.new("A1")
    desk.event(BROKER, m.ResendDeclined(desk.to_broker("A1")))
    assert (desk.state("A1")[0], desk.open_items()) == ("unknown", ["unknown_outcome"])
    return desk


def test_an_order_in_doubt_is_asked_for_with_pauses_that_double_so_many_times() -> None:
    desk = in_doubt()
    ageing = Ageing(desk.book, {BROKER: FACTS[BROKER]._replace(unknown_asks=3)})
    found = []
    for at in range(200):
        found += [(at, one.times) for one in ageing.look(START + timedelta(seconds=at))]
    assert found == [(5, 1), (15, 2), (35, 3)]


def test_it_is_not_asked_for_while_the_broker_is_logged_out() -> None:
    desk = in_doubt()
    desk.logged_out()
    ageing = Ageing(desk.book, FACTS)
    assert [ageing.look(START + timedelta(seconds=at)) for at in (0, 5, 50)] == [[], [], []]
    desk.up()
    assert len(ageing.look(START + timedelta(seconds=51))) == 1


def test_asked_for_in_vain_it_stays_in_doubt_with_its_one_item() -> None:
    desk = in_doubt()
    order = desk.order("A1")
    for times in range(1, 6):
        (sent,) = desk.event("", m.Overdue("unknown_outcome", order.order_id, order.children[-1].child_id, 5, times))
        assert (sent.msg_type, desk.details[-1]["asked_again"]) == ("H", times)
    assert (order.life, desk.open_items()) == ("unknown", ["unknown_outcome"])
    desk.report("A1", "I", exec_id="0", ord_status="0")
    assert (order.life, desk.open_items()) == ("working", [])
    desk.replayed()
