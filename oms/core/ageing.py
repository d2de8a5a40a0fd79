"""What a broker does not answer: found by age, asked for, and put before a person. No age ever ends an order.

`Ageing` looks at the live orders from time to time; its memory is when it first saw each one waiting, so after a
start the ages begin anew. What it finds is an event like any other (`Overdue`): journaled, and applied here as an
exception item and, where the broker's dialect has it, an OrderStatusRequest(H). The item closes by itself with the
broker's answer (`settle`, after every event about the order). An order in doubt has its item from the start: it is
asked for again and again, each time after twice as long, so many times; then it stays an item.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from oms.core import reconcile, replies
from oms.core import transitions as life
from oms.core.book import Book
from oms.core.messages import Event, Overdue
from oms.core.order import SENT, Child, Order
from oms.core.replies import Context
from oms.core.terms import BrokerFacts

# Kinds of exception items; the last one has its item before it is overdue.
ORDER, REQUEST, QUIET, DOUBT = "unacknowledged", "unanswered", "without_news", "unknown_outcome"
_AT_ONCE = 50  # found per look, so that a broker that hangs is not flooded with questions
_WITH_BROKER = frozenset({life.PENDING_NEW, life.WORKING, life.STOPPED, life.SUSPENDED})


class Waiting(NamedTuple):
    """What waits: the ClOrdID(11) is that to the broker, `mark` changes when the waiting begins anew."""

    kind: str
    order_id: str
    cl_ord_id: str
    mark: int = 0


def _waiting(order: Order, brokers: Mapping[str, BrokerFacts]) -> Iterator[tuple[Waiting, int]]:
    """What of an order waits for a word of its broker, and how many seconds it may."""
    child = order.child
    facts = brokers.get(child.broker) if child is not None else None
    if child is None or facts is None:
        return
    if child.life == life.ROUTED and facts.acknowledge_seconds:
        yield Waiting(ORDER, order.order_id, child.child_id), facts.acknowledge_seconds
    if facts.answer_seconds:
        for request in order.pending_requests:
            if request.state == SENT:
                yield Waiting(REQUEST, order.order_id, request.broker_cl_ord_id), facts.answer_seconds
        if child.life == life.UNKNOWN and facts.status_requests and facts.unknown_asks:
            yield Waiting(DOUBT, order.order_id, child.child_id), facts.answer_seconds
    if facts.quiet_seconds and child.life in _WITH_BROKER and order.leaves_qty:
        yield Waiting(QUIET, order.order_id, child.child_id, child.heard), facts.quiet_seconds


class Ageing:
    """Finds what has waited for too long. Owned by the core thread."""

    def __init__(self, book: Book, brokers: Mapping[str, BrokerFacts]) -> None:
        self._book = book
        self._brokers = brokers
        self._since: dict[Waiting, datetime] = {}
        self._told: dict[Waiting, int] = {}  # how often

    def look(self, now: datetime) -> list[Overdue]:
        """What became overdue since the last look, some at a time; each once, but an order in doubt."""
        since: dict[Waiting, datetime] = {}
        found: list[Overdue] = []
        for order in self._book.orders.values():
            if order.finished:
                continue
            for waiting, seconds in _waiting(order, self._brokers):
                first = since[waiting] = self._since.get(waiting, now)
                if len(found) < _AT_ONCE and self._is_due(order, waiting, seconds, now - first):
                    times = self._told[waiting] = self._told.get(waiting, 0) + 1
                    found.append(Overdue(waiting.kind, waiting.order_id, waiting.cl_ord_id, seconds, times))
        self._since = since
        self._told = {waiting: times for waiting, times in self._told.items() if waiting in since}
        return found

    def _is_due(self, order: Order, waiting: Waiting, seconds: int, age: timedelta) -> bool:
        """Whether it is time to tell of it. An order in doubt waits twice as long after each question."""
        times = self._told.get(waiting, 0)
        if waiting.kind != DOUBT:
            return not times and age >= timedelta(seconds=seconds)
        broker = order.child.broker if order.child is not None else ""
        if times >= self._brokers[broker].unknown_asks or not self._book.is_up(broker):
            return False
        return age >= timedelta(seconds=seconds * (2 ** (times + 1) - 1))


def overdue(ctx: Context, seq: int, event: Event, msg: Overdue) -> None:
    """Raise it and ask the broker, if it still waits."""
    order = ctx.book.orders.get(msg.order_id)
    child = order.child if order is not None else None
    if order is None or child is None:
        return
    ctx.fx.order_id = order.order_id
    text = _text(order, child, msg)
    if not text:
        return
    if msg.kind == ORDER:
        replies.open_item(ctx, seq, event, "unacknowledged", text, order, severity="warning")
    elif msg.kind == REQUEST:
        replies.open_item(ctx, seq, event, "unanswered", text, order, severity="warning")
    elif msg.kind == QUIET:
        replies.open_item(ctx, seq, event, "without_news", text, order, severity="warning")
    else:  # it has its item
        ctx.fx.detail["asked_again"] = msg.times
    facts = ctx.brokers.get(child.broker)
    if facts is not None and facts.status_requests:
        ctx.book.asked[order.order_id] = seq
        replies.status_to_broker(ctx, order, child, (), event.received_at)


def _text(order: Order, child: Child, msg: Overdue) -> str:
    """What is overdue, '' where it is not any more."""
    late = f"ClOrdID(11) {msg.cl_ord_id}, for {msg.seconds} s"
    if msg.kind == REQUEST:
        request = order.request_by_broker_id(msg.cl_ord_id)
        if request is None or request.state != SENT:
            return ""
        return f"{child.broker} has not answered the {'cancel' if request.kind == 'F' else 'replace'}, {late}"
    if child.child_id != msg.cl_ord_id:
        return ""
    if msg.kind == ORDER and child.life == life.ROUTED:
        return f"{child.broker} has not answered the order, {late}"
    if msg.kind == QUIET and child.life in _WITH_BROKER and order.leaves_qty:
        return f"{child.broker} has said nothing of the {child.life} order, {late}"
    if msg.kind == DOUBT and child.life == life.UNKNOWN:
        return f"{child.broker} is asked again, {late}"
    return ""


def settle(ctx: Context, seq: int, event: Event, order: Order) -> None:
    """Close the items of what has been answered by now."""
    child = order.child
    if ORDER in order.open_items and (child is None or child.life != life.ROUTED):
        replies.resolve_item(ctx, seq, event, ORDER, order, "the broker has answered")
    if REQUEST in order.open_items and not any(request.state == SENT for request in order.pending_requests):
        replies.resolve_item(ctx, seq, event, REQUEST, order, "the broker has answered")
    if QUIET in order.open_items and child is not None and (child.heard == seq or order.finished):
        replies.resolve_item(ctx, seq, event, QUIET, order, "the broker has said something")
    reconcile.settle(ctx, seq, event, order)
