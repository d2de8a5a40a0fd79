"""What a broker does not answer: found by age, asked for, and put before a person. No age ever ends an order.

`Ageing` looks at the live orders from time to time; its memory is when it first saw each one unanswered, so after a
start the ages begin anew. What it finds is an event like any other (`Overdue`): journaled, and applied here as an
exception item and, where the broker's dialect has it, an OrderStatusRequest(H). The item closes by itself with the
broker's answer (`settle`, after every event about the order).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from oms.core import replies
from oms.core import transitions as life
from oms.core.book import Book
from oms.core.messages import Event, Overdue
from oms.core.order import SENT, Order
from oms.core.replies import Context
from oms.core.terms import BrokerFacts

ORDER, REQUEST = "unacknowledged", "unanswered"  # kinds of exception items
_AT_ONCE = 50  # found per look, so that a broker that hangs is not flooded with questions

Waiting = tuple[str, str, str]  # kind, OrderID(37), ClOrdID(11) to the broker


def _waiting(order: Order, brokers: Mapping[str, BrokerFacts]) -> Iterator[tuple[Waiting, int]]:
    """What of an order waits for its broker's first word, and how many seconds it may."""
    child = order.child
    facts = brokers.get(child.broker) if child is not None else None
    if child is None or facts is None:
        return
    if child.life == life.ROUTED and facts.acknowledge_seconds:
        yield (ORDER, order.order_id, child.child_id), facts.acknowledge_seconds
    if facts.answer_seconds:
        for request in order.pending_requests:
            if request.state == SENT:
                yield (REQUEST, order.order_id, request.broker_cl_ord_id), facts.answer_seconds


class Ageing:
    """Finds what has waited for too long. Owned by the core thread."""

    def __init__(self, book: Book, brokers: Mapping[str, BrokerFacts]) -> None:
        self._book = book
        self._brokers = brokers
        self._since: dict[Waiting, datetime] = {}
        self._told: set[Waiting] = set()

    def look(self, now: datetime) -> list[Overdue]:
        """What became overdue since the last look, some at a time, each once."""
        since: dict[Waiting, datetime] = {}
        found: list[Overdue] = []
        for order in self._book.orders.values():
            if order.finished:
                continue
            for waiting, seconds in _waiting(order, self._brokers):
                first = since[waiting] = self._since.get(waiting, now)
                late = now - first >= timedelta(seconds=seconds) and waiting not in self._told
                if late and len(found) < _AT_ONCE:
                    self._told.add(waiting)
                    found.append(Overdue(*waiting, seconds))
        self._since = since
        self._told &= since.keys()
        return found


def overdue(ctx: Context, seq: int, event: Event, msg: Overdue) -> None:
    """Raise it and ask the broker, if it still waits."""
    order = ctx.book.orders.get(msg.order_id)
    child = order.child if order is not None else None
    if order is None or child is None:
        return
    ctx.fx.order_id = order.order_id
    late = f"ClOrdID(11) {msg.cl_ord_id}, for {msg.seconds} s"
    if msg.kind == ORDER and child.child_id == msg.cl_ord_id and child.life == life.ROUTED:
        text = f"{child.broker} has not answered the order, {late}"
        replies.open_item(ctx, seq, event, "unacknowledged", text, order, severity="warning")
    elif (request := order.request_by_broker_id(msg.cl_ord_id)) is not None and request.state == SENT:
        text = f"{child.broker} has not answered the {'cancel' if request.kind == 'F' else 'replace'}, {late}"
        replies.open_item(ctx, seq, event, "unanswered", text, order, severity="warning")
    else:
        return
    facts = ctx.brokers.get(child.broker)
    if facts is not None and facts.status_requests:
        replies.status_to_broker(ctx, order, child, (), event.received_at)


def settle(ctx: Context, seq: int, event: Event, order: Order) -> None:
    """Close the items of what has been answered by now."""
    child = order.child
    if ORDER in order.open_items and (child is None or child.life != life.ROUTED):
        replies.resolve_item(ctx, seq, event, ORDER, order, "the broker has answered")
    if REQUEST in order.open_items and not any(request.state == SENT for request in order.pending_requests):
        replies.resolve_item(ctx, seq, event, REQUEST, order, "the broker has answered")
