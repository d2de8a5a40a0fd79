"""Cancel and new against a broker that fills, refuses and answers at any moment: no over-exposure, and agreement.

`Broker` is a small model of a broker without replace. Whatever the order of what client, broker and wire do, with
restarts in between: what may still trade plus what has traded is never more than the largest total the client has
asked for; and when all is quiet, the ledger has what the broker traded, and the client was told the same.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal as D
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from oms.core import messages as m
from oms.core import transitions as life
from tests.core.desk import Desk
from tests.core.driver import BROKER, DAY
from tests.core.rebuilt import restart
from tests.core.test_cancel_new import CANCEL_NEW


@dataclass
class AtBroker:
    """An order as the broker has it."""

    cl_ord_id: str
    qty: int
    cum: int = 0
    live: bool = True


@dataclass
class Broker:
    """The broker: orders, what has reached it, and what it has to say."""

    orders: dict[str, AtBroker] = field(default_factory=dict)
    asked: deque[m.Outgoing] = field(default_factory=deque)
    says: deque[m.Body] = field(default_factory=deque)
    execs: int = 0

    @property
    def exposure(self) -> int:
        """What has traded, and what may: in the book, and in orders on their way."""
        coming = sum(int(D(value_of(out, "38"))) for out in self.asked if out.msg_type == "D")
        return coming + sum(one.qty if one.live else one.cum for one in self.orders.values())

    def take(self, refuse: bool) -> None:
        """Work on the oldest message that has reached it."""
        if not self.asked:
            return
        out = self.asked.popleft()
        cl_ord_id, orig = value_of(out, "11"), value_of(out, "41")
        if out.msg_type == "D":
            order = self.orders[cl_ord_id] = AtBroker(cl_ord_id, int(D(value_of(out, "38"))), live=not refuse)
            self.report(order, "8" if refuse else "0")
            return
        order = self.orders[orig]
        if refuse or not order.live:
            self.says.append(m.CancelReject(f"B{orig}", cl_ord_id, orig, "0", "too late", ()))
        else:
            order.live = False
            self.report(order, "4", cl_ord_id)

    def fill(self, which: int, qty: int) -> None:
        """Trade some of one of the live orders."""
        live = [one for one in self.orders.values() if one.live]
        if live:
            order = live[which % len(live)]
            done = min(qty, order.qty - order.cum)
            order.cum += done
            order.live = order.cum < order.qty
            self.report(order, "F", last=done)

    def report(self, order: AtBroker, exec_type: str, cl_ord_id: str = "", last: int = 0) -> None:
        self.execs += 1
        status = {"F": "1" if order.live else "2"}.get(exec_type, exec_type)
        self.says.append(
            m.ExecutionReport(
                f"B{order.cl_ord_id}", cl_ord_id or order.cl_ord_id, order.cl_ord_id if cl_ord_id else "",
                f"e{self.execs}", "", exec_type, status, "IBM", "1", "FUND1", D(order.qty), None, None,
                D(last) if last else None, D(10) if last else None, D(order.cum), None, "", None, DAY, "", (), None,
            )
        )  # fmt: skip


def value_of(out: m.Outgoing, tag: str) -> str:
    return out.fields.get(tag) or dict(out.body).get(tag, "")


ACTIONS = st.one_of(
    st.tuples(st.just("replace"), st.integers(1, 300)),
    st.tuples(st.just("cancel"), st.just(0)),
    st.tuples(st.just("broker takes"), st.booleans()),
    st.tuples(st.just("broker takes"), st.just(False)),
    st.tuples(st.just("fill"), st.integers(1, 200)),
    st.tuples(st.just("broker takes"), st.just(False)),
    st.tuples(st.just("wire"), st.just(0)),
    st.tuples(st.just("wire"), st.just(0)),
    st.tuples(st.just("wire"), st.just(0)),
    st.tuples(st.just("again"), st.just(0)),
    st.tuples(st.just("restart"), st.just(0)),
)


class Play:
    """A client's order at such a broker, move by move."""

    def __init__(self) -> None:
        self.desk, self.broker = Desk(CANCEL_NEW), Broker()
        self.requests, self.largest = 0, 100
        self.last: m.Body | None = None
        self.known = "A1"  # the last ClOrdID(11) that the client knows to be accepted
        self.told: list[m.Outgoing] = []
        self.after(self.desk.new("A1"))

    def after(self, _: Any) -> None:
        """What leaves reaches the broker or the client; the invariant."""
        for out in self.desk.fx.outgoing:
            if out.session == BROKER:
                self.broker.asked.append(out)
            elif out.msg_type == "8":
                self.told.append(out)
                if out.fields["150"] == "5":
                    self.known = out.fields["11"]
        assert self.broker.exposure <= self.largest

    def move(self, action: str, value: Any) -> None:
        if action == "replace":
            self.requests += 1
            self.largest = max(self.largest, value)
            self.after(self.desk.replace(f"R{self.requests}", self.known, value))
        elif action == "cancel":
            self.requests += 1
            self.after(self.desk.cancel(f"X{self.requests}", self.known))
        elif action == "broker takes":
            self.broker.take(bool(value))
        elif action == "fill":
            self.broker.fill(self.requests, value)
        elif action == "wire" and self.broker.says:
            self.last = self.broker.says.popleft()
            self.after(self.desk.event(BROKER, self.last))
        elif action == "again" and self.last is not None:
            self.after(self.desk.event(BROKER, self.last))
        elif action == "restart":
            restart(self.desk)
        assert self.broker.exposure <= self.largest

    def settle(self) -> None:
        """Let everything under way arrive."""
        while self.broker.asked or self.broker.says:
            self.broker.take(False)
            self.move("wire", 0)


@settings(max_examples=600, deadline=None)
@given(st.lists(ACTIONS, min_size=5, max_size=30))
def test_never_more_is_at_work_than_was_asked_for_and_in_the_end_all_agree(moves: list[tuple[str, Any]]) -> None:
    play = Play()
    for action, value in moves:
        play.move(action, value)
    play.settle()
    order = play.desk.order("A1")
    at_work = sum(one.qty - one.cum for one in play.broker.orders.values() if one.live)
    traded = sum(one.cum for one in play.broker.orders.values())
    assert order.cum_qty == traded
    assert order.leaves_qty == at_work
    assert not order.pending_requests
    assert order.finished == (at_work == 0)
    assert (order.life in life.TERMINAL) or order.order_qty == traded + at_work
    last = play.told[-1].fields
    assert (D(last["14"]), D(last["151"])) == (order.cum_qty, order.leaves_qty)
    assert play.desk.open_items() == []
