"""The core as one object: events in, effects out.

`apply` takes one event under its journal number and adds what follows from it to the batch. `missing` names,
before that, the id an event refers to that memory does not hold, so that the flow can bring the order back
from the ledger. Same events, same numbers, same effects: there is no other input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from oms.core import (
    ageing,
    breaker_side,
    broker_side,
    client_side,
    disconnect,
    doubt,
    drop_copy,
    inquiries,
    mass,
    operators,
    price_side,
    reconcile,
    session_side,
    throttled,
)
from oms.core import messages as m
from oms.core.book import Book
from oms.core.breaker_live import BreakerSide
from oms.core.effects import Effects
from oms.core.judge import Judge
from oms.core.order import Order, is_made_here, request_id_of
from oms.core.replies import Context
from oms.core.terms import BrokerFacts

Handler = Callable[[Context, int, m.Event, Any], None]

HANDLERS: dict[type, Handler] = {
    m.NewOrder: client_side.new_order,
    m.CancelRequest: client_side.cancel,
    m.ReplaceRequest: client_side.replace,
    m.StatusRequest: inquiries.status,
    m.MassCancelRequest: mass.cancel,
    m.MassStatusRequest: mass.status,
    m.MassCancelReport: mass.cancel_report,
    m.Unsupported: inquiries.unsupported,
    m.Unreadable: inquiries.unreadable,
    m.ExecutionReport: broker_side.execution_report,
    m.CancelReject: broker_side.cancel_reject,
    m.MessageReject: session_side.message_reject,
    m.SessionUp: session_side.session_up,
    m.SessionDown: session_side.session_down,
    m.Refused: session_side.refused,
    m.NotSent: session_side.not_sent,
    m.ResendDeclined: session_side.resend_declined,
    m.InDoubt: doubt.in_doubt,
    m.Overdue: ageing.overdue,
    m.Unmatched: drop_copy.unmatched,
    m.CancelOnDisconnect: disconnect.cancel,
    m.Throttled: throttled.refuse,
    m.OverRate: throttled.over_rate,
    m.Reconcile: reconcile.step,
    m.Prices: price_side.quoted,
    m.PriceSource: price_side.source_told,
    m.Command: operators.command,
}


class Wanted(NamedTuple):
    """An id that memory does not know and the ledger may: whose it is, and which kind of id."""

    kind: str  # client, broker; order: OrderID(37), ours
    session: str
    ids: tuple[str, ...]
    broker_order_id: str = ""


class Core:
    """State and rules of the gateway. One thread calls it."""

    def __init__(
        self,
        book: Book,
        judge: Judge,
        brokers: dict[str, BrokerFacts],
        graces: Mapping[str, disconnect.Grace] | None = None,
    ) -> None:
        """`graces`: the clients whose orders are canceled when they stay away."""
        self.book = book
        self.brokers = brokers
        self.graces = dict(graces or {})
        self._context = Context(book, judge, brokers, Effects())

    def new_batch(self) -> Effects:
        """Begin to collect the effects of a batch."""
        self._context.fx = Effects()
        return self._context.fx

    def apply(self, seq: int, event: m.Event) -> None:
        """Apply one event; its effects are added to the batch begun last."""
        fx = self._context.fx
        fx.begin()
        booked, raised = len(fx.fills), len(fx.items)
        breakers = self._context.judge.breakers
        copies = self.book.drop_copies.of_session.get(event.session)
        if copies is not None and type(event.body) in drop_copy.MESSAGES:
            drop_copy.message(self._context, seq, event, copies)
            if breakers is not None:
                self._break(seq, event, breakers, booked, raised)
            return
        HANDLERS[type(event.body)](self._context, seq, event, event.body)
        if breakers is not None:
            self._break(seq, event, breakers, booked, raised)
        exposure = self._context.judge.exposure
        if exposure is not None:
            for touched in self._context.fx.touched:
                exposure.moved(touched, event.trade_date)
            for fill in self._context.fx.fills[booked:]:
                traded = self.book.orders.get(fill.order_id or "")
                if fill.kind == "trade" and traded is not None:
                    exposure.executed(traded, fill.last_px, fill.received_at)
        order = self.book.orders.get(self._context.fx.order_id or "")
        if order is not None and order.open_items:
            ageing.settle(self._context, seq, event, order)
            doubt.settle(self._context, seq, event, order)

    def _break(self, seq: int, event: m.Event, breakers: BreakerSide, booked: int, raised: int) -> None:
        """Circuit breakers count the event, and what they do is done."""
        if steps := breakers.after(event, self._context.fx, self.book, booked, raised):
            breaker_side.after(self._context, seq, event, breakers, steps)

    def remember(self, order: Order) -> None:
        """Take an order of the ledger back into memory, finished: what it traded is in the totals already."""
        if self._context.judge.exposure is not None:
            self._context.judge.exposure.known(order)
        if self._context.judge.breakers is not None:
            self._context.judge.breakers.known(order)
        self.book.add(order)
        self.book.finish(order)

    def missing(self, event: m.Event) -> Wanted | None:
        """The id to look for in the ledger before this event is applied, None if memory has all it needs."""
        book, body = self.book, event.body
        book.foreseen = None
        if event.session in book.drop_copies.of_session:
            return None
        if isinstance(body, m.ExecutionReport):
            named = book.by_broker_id.get(body.cl_ord_id)
            if named is not None and named[1].broker == event.session:  # as nearly always
                return None
            return self._missing_of_report(event.session, body)
        if isinstance(body, m.NewOrder):
            again = body.poss_resend or book.foresee_client_key(event.session, event.trade_date, body.cl_ord_id)
            return self._missing_of_client(event, body.cl_ord_id) if again else None
        if isinstance(body, m.CancelRequest) and book.by_client_id.alive(event.session, body.orig_cl_ord_id):
            return None
        if isinstance(body, m.CancelRequest | m.ReplaceRequest):
            return self._missing_of_client(event, body.orig_cl_ord_id)
        if isinstance(body, m.StatusRequest):
            return self._missing_of_client(event, body.cl_ord_id)
        if isinstance(body, m.Unmatched):
            cl_ord_id = drop_copy.awaited_order(book, body)
            return Wanted("broker", body.broker, (request_id_of(cl_ord_id),)) if cl_ord_id else None
        if isinstance(body, m.Command):
            order_id = operators.order_id_of(book, body)
            return None if not order_id or order_id in book.orders else Wanted("order", "", (order_id,))
        if isinstance(body, m.CancelReject | m.NotSent | m.ResendDeclined | m.InDoubt | m.MessageReject):
            known = not body.cl_ord_id or book.at_broker(body.cl_ord_id) is not None
            return None if known else Wanted("broker", event.session, (request_id_of(body.cl_ord_id),))
        return None

    def _missing_of_report(self, broker: str, report: m.ExecutionReport) -> Wanted | None:
        """The ids that come before the first one that memory knows: what has left memory must not change whose it is.

        In the order in which the report's order is looked for: ClOrdID(11), OrigClOrdID(41), OrderID(37).
        """
        book, asked = self.book, list[str]()
        found = (book.at_broker(report.cl_ord_id), book.by_broker_id.get(report.orig_cl_ord_id))
        for cl_ord_id, known in zip((report.cl_ord_id, report.orig_cl_ord_id), found, strict=True):
            if known is not None and known[1].broker == broker:
                return Wanted("broker", broker, tuple(asked)) if any(map(is_made_here, asked)) else None
            if known is None and cl_ord_id:
                asked.append(request_id_of(cl_ord_id))
        alive = book.by_broker_order_id.alive(broker, report.order_id) is not None
        if alive and not any(map(is_made_here, asked)):
            return None
        return Wanted("broker", broker, tuple(asked), "" if alive else report.order_id)

    def _missing_of_client(self, event: m.Event, cl_ord_id: str) -> Wanted | None:
        """What memory has may have finished, or lived again, while an order that has left memory used the id.

        Not if its own use is of today: an id is used once a day.
        """
        day = event.trade_date
        order = self.book.by_client_id.find(event.session, cl_ord_id, day)
        if order is not None and (order.trade_date == day or order.used(cl_ord_id)[1] == day):
            return None
        if order is not None and not order.finished:
            if not self.book.client_key_of_day(event.session, day, cl_ord_id):
                return None
        return Wanted("client", event.session, (cl_ord_id,))
