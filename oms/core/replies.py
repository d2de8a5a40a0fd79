"""The messages the core sends, built from orders: reports and rejects to clients, requests to brokers.

Fields carry 4.4 values; the edge translates. Every function takes the next journal number for its message and
adds it to the effects. ExecID(17) and ClOrdID(11) are made from journal numbers, so they are unique for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from oms.core import tags as t
from oms.core.book import Book, number_id
from oms.core.effects import Effects, Item
from oms.core.judge import Judge
from oms.core.messages import Event, Outgoing, Pairs
from oms.core.order import Child, Order, Request, decimal_text
from oms.core.status import ord_status
from oms.core.terms import BrokerFacts

_TEXT_LIMIT = 500


@dataclass(slots=True)
class Context:
    """What every handler works with. `fx` is the batch being collected."""

    book: Book
    judge: Judge
    brokers: dict[str, BrokerFacts]
    fx: Effects


def utc_text(moment: datetime) -> str:
    """A time as FIX has it (UTCTimestamp with milliseconds)."""
    return f"{moment:%Y%m%d-%H:%M:%S}.{moment.microsecond // 1000:03d}"


def report(
    ctx: Context,
    order: Order,
    exec_type: str,
    *,
    cl_ord_id: str = "",
    exec_id: str = "",
    extra: dict[str, str] | None = None,
    body: Pairs = (),
    offers: Pairs = (),
    at: datetime | None = None,
) -> str:
    """An ExecutionReport(8) to the order's client, if it has one; returns its ExecID(17)."""
    if not order.client:
        return exec_id
    seq = ctx.book.take_seq()
    exec_id = exec_id or number_id("E", seq)
    fields = {
        t.ORDER_ID: order.order_id,
        t.CL_ORD_ID: cl_ord_id or order.cl_ord_id,
        t.EXEC_ID: exec_id,
        t.EXEC_TYPE: exec_type,
        t.ORD_STATUS: ord_status(order),
        t.SYMBOL: order.symbol,
        t.SIDE: order.side,
        t.ORDER_QTY: decimal_text(order.order_qty),
        t.ORD_TYPE: order.ord_type,
        t.LEAVES_QTY: decimal_text(order.leaves_qty),
        t.CUM_QTY: decimal_text(order.cum_qty),
        t.AVG_PX: decimal_text(order.avg_px),
    }
    if order.account:
        fields[t.ACCOUNT] = order.account
    if order.price is not None:
        fields[t.PRICE] = decimal_text(order.price)
    if order.stop_px is not None:
        fields[t.STOP_PX] = decimal_text(order.stop_px)
    if order.time_in_force:
        fields[t.TIME_IN_FORCE] = order.time_in_force
    if extra:
        fields.update(extra)
    if at is not None:
        fields[t.TRANSACT_TIME] = utc_text(at)
    ctx.fx.outgoing.append(Outgoing(seq, order.client, "8", order.order_id, fields, body, (), offers))
    return exec_id


def reject_unbooked(ctx: Context, event: Event, asked: dict[str, str], reason: str, text: str) -> None:
    """An ExecutionReport(8) that refuses what never became an order: OrderID(37) is NONE."""
    seq = ctx.book.take_seq()
    fields = {
        t.ORDER_ID: "NONE",
        t.EXEC_ID: number_id("E", seq),
        t.EXEC_TYPE: "8",
        t.ORD_STATUS: "8",
        t.LEAVES_QTY: "0",
        t.CUM_QTY: "0",
        t.AVG_PX: "0",
        t.ORD_REJ_REASON: reason,
        t.TEXT: text[:_TEXT_LIMIT],
        t.TRANSACT_TIME: utc_text(event.received_at),
        **asked,
    }
    ctx.fx.outgoing.append(Outgoing(seq, event.session, "8", "", fields))


def cancel_reject(
    ctx: Context,
    session: str,
    order: Order | None,
    *,
    kind: str,
    cl_ord_id: str,
    orig_cl_ord_id: str,
    reason: str,
    text: str,
    at: datetime,
    body: Pairs = (),
) -> None:
    """An OrderCancelReject(9): the request changes nothing. Unknown order: OrderID(37) is NONE, status 8.

    Nobody is told of an order without a client (`session` '').
    """
    if not session:
        return
    fields = {
        t.ORDER_ID: order.order_id if order else "NONE",
        t.CL_ORD_ID: cl_ord_id,
        t.ORIG_CL_ORD_ID: orig_cl_ord_id,
        t.ORD_STATUS: ord_status(order) if order else "8",
        t.CXL_REJ_RESPONSE_TO: "1" if kind == "F" else "2",
        t.CXL_REJ_REASON: reason,
        t.TRANSACT_TIME: utc_text(at),
    }
    if text:
        fields[t.TEXT] = text[:_TEXT_LIMIT]
    order_id = order.order_id if order else ""
    ctx.fx.outgoing.append(Outgoing(ctx.book.take_seq(), session, "9", order_id, fields, body))


def business_reject(ctx: Context, event: Event, msg_type: str, ref_id: str, reason: str, text: str) -> None:
    """A BusinessMessageReject(j): understood, and not done."""
    fields = {
        t.REF_SEQ_NUM: str(event.msg_seq_num),
        t.REF_MSG_TYPE: msg_type,
        t.BUSINESS_REJECT_REASON: reason,
        t.TEXT: text[:_TEXT_LIMIT],
    }
    if ref_id:
        fields[t.BUSINESS_REJECT_REF_ID] = ref_id
    ctx.fx.outgoing.append(Outgoing(ctx.book.take_seq(), event.session, "j", "", fields))


def request_to_broker(ctx: Context, order: Order, child: Child, request: Request, body: Pairs, at: datetime) -> None:
    """An OrderCancelRequest(F) or OrderCancelReplaceRequest(G) to the child's broker."""
    facts = ctx.brokers.get(child.broker)
    orig = child.cl_ord_id
    if facts is None or not facts.cancel_new:  # where it is set, a chain has an order per replace
        orig = order.to_broker.get(request.orig_cl_ord_id, orig)
    fields = {
        t.CL_ORD_ID: request.broker_cl_ord_id,
        t.ORIG_CL_ORD_ID: orig,
    }
    if child.broker_order_id:
        fields[t.ORDER_ID] = child.broker_order_id
    ctx.fx.outgoing.append(
        Outgoing(
            ctx.book.take_seq(),
            child.broker,
            request.kind,
            order.order_id,
            fields,
            body,
            defaults_of(order, at),
        )
    )


def status_to_broker(ctx: Context, order: Order, child: Child, body: Pairs, at: datetime) -> None:
    """An OrderStatusRequest(H) to the child's broker."""
    fields = {t.CL_ORD_ID: child.cl_ord_id}
    if child.broker_order_id:
        fields[t.ORDER_ID] = child.broker_order_id
    ctx.fx.outgoing.append(
        Outgoing(ctx.book.take_seq(), child.broker, "H", order.order_id, fields, body, defaults_of(order, at))
    )


def status_answer(ctx: Context, order: Order, child: Child, *, body: Pairs = (), at: datetime | None = None) -> None:
    """Answer the oldest OrderStatusRequest(H) of the client that waits at this child, if one does.

    The decision tells, so that after a restart it is known who still waits (`oms.ledger.load`).
    """
    if not child.status_requests:
        return
    asked = child.status_requests.pop(0)
    ctx.fx.detail["status_answered"] = [child.child_id, asked]
    report(ctx, order, "I", cl_ord_id=asked, exec_id="0", body=body, at=at)


def identity_of(order: Order, at: datetime) -> Pairs:
    """What a cancel of our own making says of the order it means."""
    qty = order.order_qty if order.child is None else order.child.order_qty
    pairs = (
        (t.ACCOUNT, order.account),
        (t.SYMBOL, order.symbol),
        (t.SIDE, order.side),
        (t.ORDER_QTY, decimal_text(qty)),
        (t.TRANSACT_TIME, utc_text(at)),
    )
    return tuple([pair for pair in pairs if pair[1]])


def defaults_of(order: Order, at: datetime) -> Pairs:
    """What a request must have in some versions, from the order."""
    pairs = [
        (t.SYMBOL, order.symbol),
        (t.SIDE, order.side),
        (t.ORDER_QTY, decimal_text(order.order_qty)),
        (t.ORD_TYPE, order.ord_type),
        (t.TRANSACT_TIME, utc_text(at)),
    ]
    if order.price is not None:
        pairs.append((t.PRICE, decimal_text(order.price)))
    return tuple(pairs)


def dont_know_trade(ctx: Context, event: Event, fields: dict[str, str]) -> None:
    """A DontKnowTrade(Q) to a broker: an execution for no order of ours (DKReason(127) D)."""
    ctx.fx.outgoing.append(Outgoing(ctx.book.take_seq(), event.session, "Q", "", fields))


def open_item(
    ctx: Context,
    seq: int,
    event: Event,
    kind: str,
    text: str,
    order: Order | None,
    *,
    severity: str = "error",
    item_id: str = "",
    order_id: str = "",
) -> str:
    """Raise an exception item, and return its id; one open item of a kind per order is enough.

    `order_id` instead of `order` where there may be several of the kind; the caller then gives the `item_id`.
    """
    if order is not None and kind in order.open_items:
        return order.open_items[kind]
    if not item_id:
        item_id = number_id("X", seq) + (f"-{len(ctx.fx.items)}" if number_id("X", seq) in ctx.fx.items else "")
    if order is not None:
        order.open_items[kind] = item_id
    ctx.fx.items[item_id] = Item(
        item_id,
        event.received_at,
        kind,
        severity,
        "operations",
        event.session,
        order.order_id if order else order_id or None,
        seq,
        text,
    )
    ctx.fx.detail.setdefault("items", []).append([kind, text])
    return item_id


def resolve_item(ctx: Context, seq: int, event: Event, kind: str, order: Order, resolution: str) -> None:
    """Close an open item of an order by rule: what contradicted agrees again."""
    item_id = order.open_items.pop(kind, None)
    if item_id is not None:
        resolve(ctx, seq, event, kind, item_id, order.order_id, resolution)


def resolve(
    ctx: Context, seq: int, event: Event, kind: str, item_id: str, order_id: str | None, resolution: str
) -> None:
    """Close an open item by rule."""
    ctx.fx.items[f"{item_id}/resolved"] = Item(
        item_id,
        event.received_at,
        kind,
        "",
        "",
        event.session,
        order_id,
        seq,
        "",
        "resolved",
        resolution,
        event.received_at,
        changes=True,
    )
