"""Drives the pure core as the flow does, and records everything that comes out of it, for whole comparison.

Two clients and two brokers, one instrument book, a manual clock (one millisecond per event) and the journal's
counter. What depends on that counter is shown under names instead: OrderID(37) of the order that the client
called A1 is `order:A1`, ClOrdID(11) of a request to a broker is `to-broker:A1`, ExecID(17) is `new` the first
time it is seen, ExecRefID(19) is the broker's own ExecID(17), and a time that is the event's own is `now`.
Invariants, checked after every event: those of I4 (see `checked`), and that the same events with the decisions
as recorded give the same outcome (`replayed`, at the end of a test).
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from oms.core import messages as m
from oms.core import transitions as life
from oms.core.book import Book, SessionState
from oms.core.core import Core
from oms.core.effects import Effects, Fill, Item
from oms.core.judge import Judge, LiveJudge, RecordedJudge
from oms.core.order import Order
from oms.core.replies import utc_text
from oms.core.terms import Terms
from tests.core.terms import TERMS

CLIENT, CLIENT2, BROKER, BROKER2 = "CLIENT1", "CLIENT2", "BROKER1", "BROKER2"
DAY = date(2026, 3, 2)
START = datetime(2026, 3, 2, 13, 0, tzinfo=UTC)

NAMES = {
    "1": "Account", "6": "AvgPx", "11": "ClOrdID", "14": "CumQty", "17": "ExecID", "19": "ExecRefID",
    "31": "LastPx", "32": "LastQty", "37": "OrderID", "38": "OrderQty", "39": "OrdStatus", "40": "OrdType",
    "41": "OrigClOrdID", "44": "Price", "45": "RefSeqNum", "54": "Side", "55": "Symbol", "58": "Text",
    "59": "TimeInForce", "60": "TransactTime", "99": "StopPx", "102": "CxlRejReason", "103": "OrdRejReason",
    "127": "DKReason", "150": "ExecType", "151": "LeavesQty", "372": "RefMsgType", "378": "ExecRestatementReason",
    "379": "BusinessRejectRefID", "380": "BusinessRejectReason", "434": "CxlRejResponseTo",
    "530": "MassCancelRequestType", "531": "MassCancelResponse", "532": "MassCancelRejectReason",
    "533": "TotalAffectedOrders", "584": "MassStatusReqID", "911": "TotNumReports", "912": "LastRptRequested",
}  # fmt: skip
TAGS = {name: tag for tag, name in NAMES.items()}


class Sent(NamedTuple):
    """One message that left the core: where to, MsgType(35), and its fields by name."""

    session: str
    msg_type: str
    fields: dict[str, str]


class Outcome(NamedTuple):
    """What one event brought about, as far as the client's or broker's eyes do not see it."""

    fills: list[tuple[str, str, str, str, str | None]]  # kind, ExecID, LastQty, LastPx, order
    items: list[tuple[str, str]]  # kind, open or resolved


class Driver:
    """One core, and everything it did."""

    def __init__(self, terms: Terms = TERMS, *, down: tuple[str, ...] = (), judge: Judge | None = None) -> None:
        self.book = Book()
        for name in (CLIENT, CLIENT2, BROKER, BROKER2):
            role = "client" if name.startswith("CLIENT") else "broker"
            self.book.sessions[name] = SessionState(name, role, logged_on=name not in down)
        self.terms = terms
        self.core = Core(self.book, judge or LiveJudge(terms, self.book.is_up), dict(terms.brokers))
        self.now, self.day = START, DAY
        self.events: list[tuple[int, m.Event, dict[str, Any]]] = []
        self.sent: list[Sent] = []
        self.raw: list[m.Outgoing] = []
        self.fills: list[Fill] = []
        self.items: list[Item] = []
        self.details: list[dict[str, Any]] = []
        self.fx = Effects()
        self._numbers: dict[str, int] = {}
        self._seen: set[str] = set()
        self._down = down

    # -- in ------------------------------------------------------------------------------------------------

    def event(self, session: str, body: m.Body, seq: int = 0) -> list[Sent]:
        """Apply one event, as a batch of its own; returns what leaves."""
        self.now += timedelta(milliseconds=1)
        self._numbers[session] = self._numbers.get(session, 0) + 1
        event = m.Event(session, self._numbers[session], self.now, self.day, body)
        return self.apply(event)

    def apply(self, event: m.Event, seq: int | None = None) -> list[Sent]:
        """Apply an event as it is, under the next journal number or the one given."""
        if seq is not None:
            self.book.next_seq = seq
        seq = self.book.take_seq()
        self.fx = fx = self.core.new_batch()
        self.core.apply(seq, event)
        self.details.append(fx.detail)
        self.events.append((seq, event, fx.detail))
        self.fills += fx.fills
        self.items += list(fx.items.values())
        self.raw += fx.outgoing
        leaving = [self._named(out, event) for out in fx.outgoing]
        self.sent += leaving
        for order in fx.orders.values():
            checked(order)
        return leaving

    def tick(self, days: int) -> None:
        """Let trading days pass."""
        self.now += timedelta(days=days)
        self.day += timedelta(days=days)

    # -- out -----------------------------------------------------------------------------------------------

    @property
    def outcome(self) -> Outcome:
        """Fills and exception items of the last event."""
        fills = [
            (one.kind, one.exec_id, plain(one.last_qty), plain(one.last_px), self._order_name(one.order_id))
            for one in self.fx.fills
        ]
        return Outcome(fills, [(one.kind, one.state) for one in self.fx.items.values()])

    def order(self, cl_ord_id: str, client: str = CLIENT) -> Order:
        """The order that a client knows by a ClOrdID(11) of its chain."""
        order = self.book.by_client_id.find(client, cl_ord_id, self.day)
        assert order is not None, cl_ord_id
        return order

    def to_broker(self, cl_ord_id: str, client: str = CLIENT) -> str:
        """ClOrdID(11) under which the broker knows a request of a client."""
        return self.order(cl_ord_id, client).to_broker[cl_ord_id]

    def state(self, cl_ord_id: str, client: str = CLIENT) -> tuple[str, str, str, list[tuple[str, str]]]:
        """Life, OrderQty, CumQty and the requests (ClOrdID, state) of an order."""
        order = self.order(cl_ord_id, client)
        requests = [(one.cl_ord_id, one.state) for one in order.requests]
        return order.life, plain(order.order_qty), plain(order.cum_qty), requests

    def open_items(self) -> list[str]:
        """The kinds of the exception items that are open."""
        still: dict[str, str] = {}
        for item in self.items:
            if item.state == "open":
                still[item.item_id] = item.kind
            else:
                still.pop(item.item_id, None)
        return list(still.values())

    def replayed(self) -> Driver:
        """The same events through a core that repeats the recorded decisions; all that came out must be equal."""
        judge = RecordedJudge()
        other = Driver(self.terms, down=self._down, judge=judge)
        for seq, event, detail in self.events:
            judge.detail = detail
            other.apply(event, seq)
        assert other.raw == self.raw
        assert other.fills == self.fills
        assert other.items == self.items
        assert other.book.orders == self.book.orders
        assert other.book.mass_cancels == self.book.mass_cancels
        return other

    # -- names for what depends on the counter --------------------------------------------------------------

    def _order_name(self, order_id: str | None) -> str | None:
        order = self.book.orders.get(order_id or "")
        return f"order:{order.original_cl_ord_id}" if order else order_id

    def _request_name(self, broker_cl_ord_id: str) -> str:
        found = self.book.by_broker_id.get(broker_cl_ord_id)
        name = found[0].to_client.get(broker_cl_ord_id) if found else None
        return f"to-broker:{name}" if name else broker_cl_ord_id

    def _named(self, out: m.Outgoing, event: m.Event) -> Sent:
        fields = {tag: value for tag, value in out.body if tag not in out.fields} | out.fields
        fields["37"] = self._order_name(fields.get("37")) or fields.get("37", "")
        if self.book.sessions[out.session].role == "broker":
            for tag in ("11", "41"):
                if tag in fields:
                    fields[tag] = self._request_name(fields[tag])
        elif "17" in fields and fields["17"] != "0":
            fields["17"] = "seen before" if fields["17"] in self._seen else "new"
            self._seen.add(out.fields["17"])
        if "19" in fields:
            fields["19"] = next((one.exec_id for one in self.fills if one.client_exec_id == fields["19"]), "unknown")
        if fields.get("60") == utc_text(event.received_at):
            fields["60"] = "now"
        if not fields["37"]:
            del fields["37"]
        return Sent(out.session, out.msg_type, {NAMES.get(tag, tag): value for tag, value in fields.items()})


def plain(value: Decimal) -> str:
    """A decimal as a person writes it."""
    return format(value.normalize(), "f")


def checked(order: Order) -> None:
    """I4: quantities follow from the executions, and add up while the order lives."""
    live = [one for child in order.children for one in child.executions.values() if one.live]
    assert order.cum_qty == sum((one.last_qty for one in live), Decimal(0))
    assert sum(child.cum_qty for child in order.children) == order.cum_qty
    assert order.notional == sum((one.last_qty * one.last_px for one in live), Decimal(0))
    assert order.leaves_qty >= 0
    if order.life not in life.NOT_WORKING:
        assert order.cum_qty + order.leaves_qty == max(order.order_qty, order.cum_qty)
    if order.cum_qty:
        assert abs(order.avg_px * order.cum_qty - order.notional) <= order.cum_qty * Decimal("0.00000001")
