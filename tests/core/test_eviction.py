"""What has left memory changes nothing: a core that keeps every order and one that keeps no finished one do the same.

The second one has what a gateway has: a ledger that is asked for the id that `Core.missing` names, before the event.
Brokers name whatever ids they like, of live and finished orders, under an OrderID(37) that they use again and again,
and clients use the ids of earlier days again.
"""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oms.core import messages as m
from oms.core.core import Wanted
from oms.core.order import Order
from tests.core.desk import Desk
from tests.core.driver import BROKER, BROKER2

MANY = settings(
    max_examples=400, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
ID = st.integers(0, 30)
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("new"), ID),
        st.tuples(st.just("cancel"), ID),
        st.tuples(st.just("replace"), ID),
        st.tuples(st.just("status"), ID),
        st.tuples(st.just("again"), ID),
        st.tuples(st.just("day")),
        st.tuples(st.just("refuse"), ID),
        st.tuples(
            st.just("report"),
            st.sampled_from("000FFF4444588CD3"),
            st.one_of(st.none(), ID),
            st.one_of(st.none(), ID),
            st.sampled_from(["B-1", "B-2", "B-3", ""]),
            st.sampled_from([BROKER, BROKER, BROKER, BROKER2]),
        ),
    ),
    min_size=5,
    max_size=40,
)


class Forgetful(Desk):
    """Keeps no finished order in memory, and asks its ledger as the flow does."""

    def __init__(self) -> None:
        super().__init__()
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
        if found or not wanted.broker_order_id:
            return found
        key = wanted.session, wanted.broker_order_id
        return [one for one in orders if any((child.broker, child.broker_order_id) == key for child in one.children)][
            :1
        ]


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
    kind, *more = told
    names = sorted({cl_ord_id for _, cl_ord_id in desk.book.by_client_id}) or ["NOPE"]
    ids = ids_at_broker(desk) or ["NOPE"]
    if kind == "day":
        desk.tick(1)
    elif kind == "new":
        used = [f"A{more[0] % 6}", f"C{more[0]}", f"R{more[0]}", names[more[0] % len(names)]]
        desk.new(used[number % 4] if more[0] % 2 else f"A{number + 100}")  # one of before, or a fresh one
    elif kind == "again":
        desk.new(names[more[0] % len(names)], poss_resend=True)
    elif kind == "cancel":
        desk.cancel(f"C{number}", names[more[0] % len(names)])
    elif kind == "replace":
        desk.replace(f"R{number}", names[more[0] % len(names)], 100 + number)
    elif kind == "status":
        desk.status(names[more[0] % len(names)])
    elif kind == "refuse":
        desk.event(BROKER, m.CancelReject("B-1", ids[more[0] % len(ids)], "", "0", "", ()))
    else:
        exec_type, about, orig, order_id, broker = more
        given: dict[str, Any] = {"last_qty": 1, "last_px": 10} if exec_type == "F" else {}
        about, orig = ("X" if one is None else ids[one % len(ids)] for one in (about, orig))
        desk.event(
            broker,
            desk.report_of(
                "?", exec_type, order_id=order_id, exec_id=f"e{number}", cum_qty=None, ord_status="0", **given
            )._replace(cl_ord_id=about, orig_cl_ord_id=orig, trade_date=desk.day),
        )


@MANY
@given(EVENTS)
def test_a_gateway_that_forgot_its_finished_orders_does_what_one_does_that_forgot_none(
    told: list[tuple[Any, ...]],
) -> None:
    keeps, forgets = Desk(), Forgetful()
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
