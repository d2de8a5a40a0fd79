"""No time that passes ends an order, books a fill, sends it elsewhere or tells its client, whatever its state."""

from __future__ import annotations

from copy import deepcopy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oms.core import messages as m
from oms.core import transitions as life
from oms.core.order import Order
from tests.core.driver import BROKER, CLIENT
from tests.core.rounds_desk import RoundsDesk

KINDS = ("unacknowledged", "unanswered", "without_news", "unknown_outcome")
STATES = sorted(set(life.TABLE) - {life.RECEIVED})


def order_in(state: str, *, mass: bool = False) -> RoundsDesk:
    """A desk with one order of CLIENT1 in a state of life, half filled where that may be, and a cancel asked."""
    desk = RoundsDesk(mass_status=mass, adopts=True, unknown_asks=5, quiet_seconds=60)
    desk.new("A1")
    if state not in life.UNACKNOWLEDGED:
        desk.fill("A1", 50)
    desk.cancel("K1", "A1")
    order = desk.order("A1")
    order.life = order.children[-1].life = state
    return desk


def steps(order: Order) -> list[tuple[str, m.Body]]:
    """Everything that the clock can bring about, as (session, event)."""
    ids = [order.children[-1].child_id, order.requests[-1].broker_cl_ord_id]
    found: list[tuple[str, m.Body]] = [
        ("", m.Overdue(kind, order.order_id, cl_ord_id, 10, times))
        for kind in KINDS
        for cl_ord_id in ids
        for times in (1, 5)
    ]
    return found + [(BROKER, m.Reconcile(step, number)) for step in ("begin", "ask", "end") for number in (0, 1000)]


def kept(order: Order) -> tuple[object, ...]:
    """What must stay as it is."""
    requests = [(one.kind, one.state) for one in order.requests]
    children = [(one.child_id, one.broker, one.life, one.cum_qty) for one in order.children]
    return order.life, order.order_qty, order.cum_qty, order.finished, requests, children


@pytest.mark.parametrize("mass", [False, True])
@pytest.mark.parametrize("state", STATES)
def test_one_step_of_the_clock_in_any_state(state: str, *, mass: bool) -> None:
    for number in range(len(steps(order_in(state).order("A1")))):
        desk = order_in(state, mass=mass)
        order = desk.order("A1")
        session, step = steps(order)[number]
        before = deepcopy(kept(order))
        sent = desk.event(session, step)
        assert kept(order) == before
        assert {(one.session, one.msg_type) for one in sent} <= {(BROKER, "H"), (BROKER, "AF")}
        assert (desk.fx.fills, desk.fx.requests) == ([], {})


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(STATES), st.lists(st.integers(0, 21), min_size=1, max_size=30), st.booleans())
def test_any_number_of_steps_in_any_order(state: str, numbers: list[int], mass: bool) -> None:
    desk = order_in(state, mass=mass)
    order = desk.order("A1")
    all_steps = steps(order)
    before, told = deepcopy(kept(order)), len([one for one in desk.sent if one.session == CLIENT])
    for number in numbers:
        desk.event(*all_steps[number])
    assert kept(order) == before
    assert len([one for one in desk.sent if one.session == CLIENT]) == told


def test_from_unknown_no_row_of_the_table_leads_to_another_broker() -> None:
    assert life.next_state(life.UNKNOWN, life.ROUTE) is None
    assert life.ROUTED not in life.TABLE[life.UNKNOWN].values()


def test_an_unknown_order_is_not_sent_elsewhere_when_its_message_is_said_not_to_have_left() -> None:
    desk = order_in(life.UNKNOWN)
    assert desk.not_sent("A1", "D") == []
    assert (desk.state("A1")[0], len(desk.order("A1").children)) == ("unknown", 1)


def test_only_a_word_of_the_broker_takes_it_out_of_doubt() -> None:
    for ord_status, after in (("0", "working"), ("A", "pending_new"), ("4", "canceled"), ("8", "rejected")):
        desk = order_in(life.UNKNOWN)
        desk.report("A1", "I", exec_id="0", ord_status=ord_status)
        assert desk.state("A1")[0] == after
