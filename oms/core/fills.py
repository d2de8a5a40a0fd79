"""The fill ledger's side of a report: trades, corrections and busts, each booked once (I3).

A fill of an order nobody knows is booked too, and answered with DontKnowTrade(Q): what a broker says happened,
happened. What cannot be booked, for want of an id, of shares or of the execution it speaks of, is an exception item.
"""

from __future__ import annotations

from oms.core import replies
from oms.core import tags as t
from oms.core.book import number_id
from oms.core.effects import Fill
from oms.core.messages import Event, ExecutionReport
from oms.core.order import ZERO, Child, Execution, Order, add_trade, bust_trade, correct_trade, decimal_text
from oms.core.replies import Context

TRADES = {"F": "trade", "G": "correct", "H": "bust"}


def for_no_order(ctx: Context, seq: int, event: Event, msg: ExecutionReport) -> None:
    """A report for no order of ours: a fill is kept and answered with DontKnowTrade(Q); always an item."""
    about = f"ClOrdID(11) {msg.cl_ord_id or 'absent'}, OrderID(37) {msg.order_id or 'absent'}"
    if not _bookable(msg):
        replies.open_item(
            ctx,
            seq,
            event,
            "unknown_order",
            f"report for no order of ours: {about}",
            None,
            severity="warning",
        )
        return
    if ctx.book.fill_key_seen(event.session, msg.trade_date, msg.exec_id):
        ctx.fx.detail["duplicate"] = True
        return
    book_fill(ctx, seq, event, None, None, msg, number_id("E", seq))
    replies.open_item(ctx, seq, event, "unknown_order", f"fill for no order of ours: {about}", None)
    fields = {
        t.ORDER_ID: msg.order_id or "NONE",
        t.EXEC_ID: msg.exec_id,
        t.DK_REASON: "D",
        t.SYMBOL: msg.symbol,
        t.SIDE: msg.side,
        t.LAST_QTY: decimal_text(msg.last_qty or ZERO),
        t.LAST_PX: decimal_text(msg.last_px or ZERO),
        t.TEXT: f"no order of ours: {about}",
    }
    if msg.order_qty is not None:
        fields[t.ORDER_QTY] = decimal_text(msg.order_qty)
    replies.dont_know_trade(ctx, event, {tag: value for tag, value in fields.items() if value})


def _bookable(msg: ExecutionReport) -> bool:
    has_all = msg.exec_type in TRADES and msg.last_qty is not None and msg.last_px is not None
    has_id = msg.exec_id not in ("", "0")
    return has_all and has_id and (msg.exec_type != "F" or (msg.last_qty or ZERO) > 0)


def trade(
    ctx: Context,
    seq: int,
    event: Event,
    order: Order,
    child: Child,
    msg: ExecutionReport,
    extra: dict[str, str],
) -> bool:
    """Book a trade, correction or bust. False if it could not be applied (an item says why)."""
    if not msg.exec_id or msg.exec_id == "0":
        replies.open_item(ctx, seq, event, "fill_without_id", "a fill without ExecID(17) cannot be booked", order)
        return False
    client_exec_id = number_id("E", ctx.book.next_seq)  # that of the report which follows
    if msg.exec_type == "F":
        if msg.last_qty is None or msg.last_px is None or msg.last_qty <= 0:
            text = "a fill needs LastQty(32) above zero and LastPx(31)"
            replies.open_item(ctx, seq, event, "fill_without_quantity", text, order)
            return False
        add_trade(order, child, msg.exec_id, Execution(client_exec_id, msg.last_qty, msg.last_px))
    else:
        ref = child.executions.get(msg.exec_ref_id)
        if ref is None or not ref.live:
            text = f"ExecRefID(19) {msg.exec_ref_id or 'absent'} names no live execution of this order"
            replies.open_item(ctx, seq, event, "unknown_execution", text, order)
            book_fill(ctx, seq, event, order, child, msg, number_id("E", seq))
            return False
        if msg.exec_type == "G" and msg.last_qty is not None and msg.last_qty <= 0:
            text = f"a correction to LastQty(32) {msg.last_qty} was not applied: a bust says that there is no trade"
            replies.open_item(ctx, seq, event, "fill_without_quantity", text, order)
            return False
        if msg.exec_type == "H":
            bust_trade(order, child, ref)
        else:
            qty = msg.last_qty if msg.last_qty is not None else ref.last_qty
            price = msg.last_px if msg.last_px is not None else ref.last_px
            correct_trade(order, child, ref, msg.exec_id, Execution(client_exec_id, qty, price))
        extra[t.EXEC_REF_ID] = ref.client_exec_id
    book_fill(ctx, seq, event, order, child, msg, client_exec_id)
    if msg.last_qty is not None:
        extra[t.LAST_QTY] = decimal_text(msg.last_qty)
    if msg.last_px is not None:
        extra[t.LAST_PX] = decimal_text(msg.last_px)
    return True


def book_fill(
    ctx: Context,
    seq: int,
    event: Event,
    order: Order | None,
    child: Child | None,
    msg: ExecutionReport,
    client_exec_id: str,
) -> None:
    """A row of the fill ledger, under the ExecID(17) that the client gets to know; `order` None if there is none."""
    ctx.book.note_fill_key(event.session, msg.trade_date, msg.exec_id)
    ctx.fx.fills.append(
        Fill(
            client_exec_id,
            event.session,
            msg.trade_date,
            msg.exec_id,
            msg.exec_ref_id,
            TRADES[msg.exec_type],
            order.order_id if order else None,
            child.child_id if child else None,
            order.account if order else msg.account,
            order.symbol if order else msg.symbol,
            order.side if order else msg.side,
            msg.last_qty or ZERO,
            msg.last_px or ZERO,
            msg.transact_time,
            event.received_at,
            seq,
        )
    )
