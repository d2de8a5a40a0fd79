"""What has left memory changes nothing: a core that keeps every order and one that keeps no finished one do the same.

The second one has what a gateway has: a ledger that is asked for the id that `Core.missing` names, before the event.
It starts again now and then, which gives it the live orders alone, under their ids as a start finds them.
Brokers name whatever ids they like, of live and finished orders, under an OrderID(37) that they use again and again,
and clients use the ids of earlier days again, for orders and for requests, also where an older order with such an id
has come alive again. `OMS_EXAMPLES=30000 pytest --timeout=0` plays that many random days of each world, each time
others.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from oms.core import messages as m
from oms.core.core import Wanted
from oms.core.order import Order
from oms.core.shared import Shared
from oms.core.terms import Terms
from tests.core.desk import Desk
from tests.core.driver import BROKER, BROKER2, CLIENT
from tests.core.terms import BROKERS, TERMS

_EXAMPLES = os.environ.get("OMS_EXAMPLES", "")
MANY = settings(
    max_examples=int(_EXAMPLES or 400),
    deadline=None,
    derandomize=not _EXAMPLES,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate,) if _EXAMPLES else tuple(Phase),
)
ID = st.integers(0, 30)
SIMPLE = ("new", "cancel", "replace", "status", "again", "refuse", "reject", "not sent", "declined", "day", "start")
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
# What makes orders share an id: few ids, days that pass, orders that end and come alive again.
THREE = ("A0", "A1", "A2")
TWO_ALIVE = (("new", 0), ("end", 3), ("day", 0), ("new", 0), ("late", 1))  # filled, used again, the fill busted
BY_REQUEST = (("new", 1), ("new", 0), ("end", 1), ("day", 0), ("replace", 3))  # used again by a replace of the older
AGAIN = st.tuples(
    st.sampled_from(((), TWO_ALIVE, BY_REQUEST)),
    st.lists(
        st.tuples(
            st.sampled_from(
                ("new", "end", "end", "late", "day", "cancel", "replace", "status", "status", "again", "start")
            ),
            st.integers(0, 17),
        ),
        min_size=5,
        max_size=40,
    ),
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
                    self.core.remember(order)
        sent = super().apply(event, seq)
        self.ledger |= self.book.orders
        self.book.evict(0)
        return sent

    def start(self) -> None:
        """A start: what is alive is taken up again under its ids."""
        book = self.book
        book.by_client_id, book.by_broker_id = type(book.by_client_id)(), {}
        book.by_broker_order_id, book.adopted = Shared(), Shared()
        for order in sorted(book.orders.values(), key=lambda one: one.order_id):
            book.add(order)

    def _find(self, wanted: Wanted) -> list[Order]:
        """As oms.ledger.load has it."""
        orders, ids = sorted(self.ledger.values(), key=lambda one: one.order_id, reverse=True), set(wanted.ids)
        if wanted.kind == "client":
            (cl_ord_id,) = ids
            mine = [one for one in orders if one.client == wanted.session and one.used(cl_ord_id)[0]]
            return sorted(mine, key=lambda one: one.used(cl_ord_id))[-1:]
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
    names = sorted({cl_ord_id for _, cl_ord_id in desk.book.by_client_id.named}) or ["NOPE"]
    ids = ids_at_broker(desk) or ["NOPE"]
    if kind == "report":
        report_of(desk, ids, number, pick, *more)
        return
    name, cl_ord_id = names[pick % len(names)], ids[pick % len(ids)]
    kind_of = {"C": "D"}.get(cl_ord_id[0], "F")
    answers = sorted(desk.book.mass_cancels) or ["NOPE"]
    order = desk.book.at_broker(cl_ord_id)
    used = [f"A{pick % 6}", f"C{pick}", f"R{pick}", name]
    again = used[number % 4] if pick % 2 else ""  # an id of before
    events: dict[str, Callable[[], object]] = {
        "day": lambda: desk.tick(1),
        "start": lambda: None,
        "new": lambda: desk.new(again or f"A{number + 100}"),
        "again": lambda: desk.new(name, poss_resend=True),
        "cancel": lambda: desk.cancel(again or f"C{number}", name),
        "replace": lambda: desk.replace(again or f"R{number}", name, 100 + number),
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


def again_of(desk: Desk, told: tuple[Any, ...], number: int) -> None:
    """One drawn event of a client that uses few ids, again and again."""
    kind, pick = told
    cl_ord_id, orig_cl_ord_id = THREE[pick % 3], THREE[pick // 3 % 3]
    events: dict[str, Callable[[], object]] = {
        "day": lambda: desk.tick(1),
        "start": lambda: None,
        "new": lambda: desk.new(cl_ord_id),
        "again": lambda: desk.new(cl_ord_id, poss_resend=True),
        "cancel": lambda: desk.cancel(cl_ord_id if pick % 2 else f"C{number}", orig_cl_ord_id),
        "replace": lambda: desk.replace(cl_ord_id if pick % 2 else f"R{number}", orig_cl_ord_id, 100 + number),
        "status": lambda: desk.status(cl_ord_id),
        "end": lambda: child_told(desk, "48CF5", pick, finished=False),
        "late": lambda: child_told(desk, "FH05F", pick, finished=True),
    }
    events[kind]()


def child_told(desk: Desk, exec_types: str, pick: int, *, finished: bool) -> None:
    """A broker's report on one of the orders that are alive or on one of those that are not."""
    orders = [one for _, one in sorted(desk.book.orders.items()) if one.finished == finished and one.child]
    if not orders:
        return
    order = orders[pick % len(orders)]
    (*_, child), exec_type = order.children, exec_types[pick % len(exec_types)]
    about = next((one.broker_cl_ord_id for one in order.pending_requests), child.cl_ord_id)
    fields: dict[str, Any] = {"cum_qty": None, "order_id": "B-1", "order_qty": 200}
    if exec_type in "FH":
        fields |= {"last_qty": 1 if finished else order.order_qty, "last_px": 10}
    if exec_type == "H":
        fields["exec_ref_id"] = next((name for name, one in child.executions.items() if one.live), "e0")
    report = desk.report_of("?", exec_type, **fields)
    desk.event(child.broker, report._replace(cl_ord_id=about, trade_date=desk.day))


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
    both_do_the_same(FACTS[world], told, event_of)


@pytest.mark.parametrize("world", FACTS)
@MANY
@given(told=AGAIN)
def test_which_order_of_several_an_id_of_a_client_means_does_not_depend_on_what_is_in_memory(
    world: str, told: tuple[tuple[Any, ...], list[tuple[Any, ...]]]
) -> None:
    both_do_the_same(FACTS[world], [*told[0], *told[1]], again_of)


def both_do_the_same(
    facts: dict[str, Any], told: list[tuple[Any, ...]], say: Callable[[Desk, tuple[Any, ...], int], None]
) -> None:
    """One that keeps every order and one that keeps none, told the same."""
    terms = TERMS._replace(brokers={name: one._replace(**facts) for name, one in BROKERS.items()})
    keeps, forgets = Desk(terms), Forgetful(terms)
    for number, one in enumerate(told):
        if one[0] == "start":
            forgets.start()
        before = len(keeps.events)
        say(keeps, one, number)
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
