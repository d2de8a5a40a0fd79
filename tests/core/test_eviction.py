"""What has left memory changes nothing: a core that keeps every order and one that keeps no finished one do the same.

The second one has what a gateway has: a ledger that is asked for the id that `Core.missing` names, before the event.
Brokers name whatever ids they like, of live and finished orders, under an OrderID(37) that they use again and again,
and clients use the ids of earlier days again.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oms.core import messages as m
from oms.core.core import Wanted
from oms.core.order import Order
from oms.core.terms import Terms
from tests.core.desk import Desk
from tests.core.driver import BROKER, BROKER2, CLIENT
from tests.core.terms import BROKERS, TERMS

MANY = settings(
    max_examples=400, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
ID = st.integers(0, 30)
SIMPLE = ("new", "cancel", "replace", "status", "again", "refuse", "reject", "not sent", "declined", "day")
WIDE = ("mass cancel", "mass status", "mass answer", "down", "up", "overdue")
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from((*SIMPLE, "new", *WIDE)), ID),
        st.tuples(
            st.just("report"),
            st.sampled_from("000FFFGH4444588CD3I"),
            st.one_of(st.none(), ID),
            st.one_of(st.none(), ID),
            st.sampled_from(["B-1", "B-2", "B-3", ""]),
            st.sampled_from([BROKER, BROKER, BROKER, BROKER2]),
        ),
    ),
    min_size=5,
    max_size=40,
)
FACTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "everything as one, and adopting": {"mass_cancel": True, "mass_status": True, "adopts": True},
    "cancel plus new": {"cancel_new": True},
}


class Forgetful(Desk):
    """Keeps no finished order in memory, and asks its ledger as the flow does."""

    def __init__(self, terms: Terms) -> None:
        super().__init__(terms)
        self.ledger: dict[str, Order] = {}

    def apply(self, event: m.Event, seq: int | None = None) -> list[Any]:
        wanted = self.core.missing(event)
        if wanted is not None:
            for order in self._find(wanted):
                if order.order_id not in self.book.orders:
                    self.core.remember(copy.deepcopy(order))
        sent = super().apply(event, seq)
        self.ledger |= {name: copy.deepcopy(order) for name, order in self.book.orders.items()}
        self.book.evict(0)
        return sent

    def _find(self, wanted: Wanted) -> list[Order]:
        """As oms.ledger.load has it."""
        orders, ids = sorted(self.ledger.values(), key=lambda one: one.order_id, reverse=True), set(wanted.ids)
        if wanted.kind == "client":
            mine = [one for one in orders if one.client == wanted.session]
            return [
                one
                for one in mine
                if one.original_cl_ord_id in ids or any(request.cl_ord_id in ids for request in one.requests)
            ][:1]
        found = [
            one
            for one in orders
            if any(child.broker == wanted.session and child.child_id in ids for child in one.children)
            or any(request.broker_cl_ord_id in ids for request in one.requests)
        ]
        if not wanted.broker_order_id:
            return found
        key = wanted.session, wanted.broker_order_id
        named = [one for one in orders if any((child.broker, child.broker_order_id) == key for child in one.children)]
        return found + named[:1]


def ids_at_broker(desk: Desk) -> list[str]:
    """Every ClOrdID(11) that the broker was given, in the order of orders."""
    orders = [desk.book.orders[name] for name in sorted(desk.book.orders)]
    own = [
        [*(one.child_id for one in order.children), *(one.broker_cl_ord_id for one in order.requests)]
        for order in orders
    ]
    return [one for ids in own for one in ids if one]


def event_of(desk: Desk, told: tuple[Any, ...], number: int) -> None:
    """One drawn event, made with what the desk that keeps everything knows."""
    kind, pick, *more = told
    names = sorted({cl_ord_id for _, cl_ord_id in desk.book.by_client_id}) or ["NOPE"]
    ids = ids_at_broker(desk) or ["NOPE"]
    if kind == "report":
        report_of(desk, ids, number, pick, *more)
        return
    name, cl_ord_id = names[pick % len(names)], ids[pick % len(ids)]
    kind_of = {"C": "D"}.get(cl_ord_id[0], "F")
    answers = sorted(desk.book.mass_cancels) or ["NOPE"]
    order = desk.book.at_broker(cl_ord_id)
    used = [f"A{pick % 6}", f"C{pick}", f"R{pick}", name]
    events: dict[str, Callable[[], object]] = {
        "day": lambda: desk.tick(1),
        "new": lambda: desk.new(
            used[number % 4] if pick % 2 else f"A{number + 100}"
        ),  # one of before, or a fresh one
        "again": lambda: desk.new(name, poss_resend=True),
        "cancel": lambda: desk.cancel(f"C{number}", name),
        "replace": lambda: desk.replace(f"R{number}", name, 100 + number),
        "status": lambda: desk.status(name),
        "refuse": lambda: desk.event(BROKER, m.CancelReject("B-1", cl_ord_id, "", "0", "", ())),
        "reject": lambda: desk.event(BROKER, m.MessageReject(1, kind_of, cl_ord_id, "no")),
        "not sent": lambda: desk.event(BROKER, m.NotSent(pick, kind_of, cl_ord_id, "down")),
        "declined": lambda: desk.event(BROKER, m.ResendDeclined(cl_ord_id)),
        "mass cancel": lambda: desk.event(CLIENT, m.MassCancelRequest(f"M{number}", "7", "", "", "", None)),
        "mass status": lambda: desk.event(CLIENT, m.MassStatusRequest(f"S{number}", "7", "", "", "", None)),
        "mass answer": lambda: desk.event(
            BROKER, m.MassCancelReport(answers[pick % len(answers)], "70"[pick % 2], "1", None, (), "")
        ),
        "down": lambda: desk.event(BROKER, m.SessionDown()),
        "up": lambda: desk.event(BROKER, m.SessionUp(1, 1)),
        "overdue": lambda: desk.event(BROKER, m.Overdue("order", order[0].order_id, cl_ord_id, 9)) if order else None,
    }
    events[kind]()


def report_of(
    desk: Desk,
    ids: list[str],
    number: int,
    exec_type: str,
    about: int | None,
    orig: int | None,
    told: str,
    by: str,
) -> None:
    """A report that names whom it likes."""
    given: dict[str, Any] = {"last_qty": 1, "last_px": 10} if exec_type in "FG" else {}
    if exec_type in "GH":
        given["exec_ref_id"] = f"e{number - 1 - (about or 0) % 3}"
    names = ("X" if one is None else ids[one % len(ids)] for one in (about, orig))
    exec_id, terms = f"e{number}", {"cum_qty": None, "order_qty": 100, "price": 10, "ord_status": "0"}
    report = desk.report_of("?", exec_type, order_id=told, exec_id=exec_id, **terms, **given)
    cl_ord_id, orig_cl_ord_id = names
    desk.event(by, report._replace(cl_ord_id=cl_ord_id, orig_cl_ord_id=orig_cl_ord_id, trade_date=desk.day))


@pytest.mark.parametrize("world", FACTS)
@MANY
@given(told=EVENTS)
def test_a_gateway_that_forgot_its_finished_orders_does_what_one_does_that_forgot_none(
    world: str, told: list[tuple[Any, ...]]
) -> None:
    terms = TERMS._replace(brokers={name: facts._replace(**FACTS[world]) for name, facts in BROKERS.items()})
    keeps, forgets = Desk(terms), Forgetful(terms)
    for number, one in enumerate(told):
        before = len(keeps.events)
        event_of(keeps, one, number)
        for seq, event, _ in keeps.events[before:]:
            forgets.apply(event, seq)
            assert forgets.fx.outgoing == keeps.fx.outgoing, (one, event.body)
            assert forgets.fx.fills == keeps.fx.fills
            assert list(forgets.fx.items.values()) == list(keeps.fx.items.values())
            assert forgets.fx.detail == keeps.fx.detail
    orders = forgets.ledger | forgets.book.orders
    assert {name: vars_of(one) for name, one in orders.items()} == {
        name: vars_of(one) for name, one in keeps.book.orders.items()
    }


def vars_of(order: Order) -> dict[str, Any]:
    """An order's own values, its children's and requests'."""
    names = [name for name in order.__slots__ if not name.startswith("_")]
    return {name: getattr(order, name) for name in names}
