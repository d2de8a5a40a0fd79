"""The fill ledger's side of a report: trades, corrections and busts, each booked once (I3).

A fill of an order nobody knows is booked too, and answered with DontKnowTrade(Q): what a broker says happened,
happened. What cannot be booked, for want of an id or of shares, is an exception item. A correction or bust that
comes before its execution is booked, is an exception item, and is applied and told when the execution arrives.
"""

from __future__ import annotations

from oms.core import drop_copy, executions, replies
from oms.core import tags as t
from oms.core.book import number_id
from oms.core.effects import Fill
from oms.core.executions import Change, Entry
from oms.core.messages import Event, ExecutionReport
from oms.core.order import ZERO, Child, Order, count, decimal_text
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


def was_booked(ctx: Context, event: Event, msg: ExecutionReport) -> bool:
    """Whether a fill for no order of ours was booked before; then it says nothing new."""
    seen = _bookable(msg) and ctx.book.fill_key_seen(event.session, msg.trade_date, msg.exec_id)
    if seen:
        ctx.fx.detail["duplicate"] = True
    return seen


def exec_id_of_report(ctx: Context, seq: int, order: Order) -> str:
    """ExecID(17) of the report that follows; of an adopted order none follows, and the row that it came in counts."""
    return number_id("E", ctx.book.next_seq if order.client else seq)


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
    """Book a trade, correction or bust. False if it is not to be told to the client (now).

    After the report to the client comes `release`.
    """
    if not msg.exec_id or msg.exec_id == "0":
        replies.open_item(ctx, seq, event, "fill_without_id", "a fill without ExecID(17) cannot be booked", order)
        return False
    problem = _problem(msg)
    if problem:
        replies.open_item(ctx, seq, event, "fill_without_quantity", problem, order)
        return False
    told_as = exec_id_of_report(ctx, seq, order)
    entry = _entry(msg, told_as)
    live = child.executions.get(msg.exec_ref_id)
    if msg.exec_type != "F" and (live is None or not live.live):
        entry = entry._replace(client_exec_id=number_id("E", seq))  # there may be no report, or only later
    change = executions.enter(child, entry)
    count(order, change)
    book_fill(ctx, seq, event, order, child, _as_applied(msg, child, change), entry.client_exec_id)
    if change.verdict != executions.APPLIED:
        _not_applied(ctx, seq, event, order, entry, change)
        release(ctx, seq, event, order, child, msg.exec_id)
        return False
    if msg.exec_type == "F":
        order.filled_at = event.received_at
    extra.update(told(entry, change))
    if entry.client_exec_id != told_as:
        extra[t.EXEC_ID] = entry.client_exec_id
    return True


def _problem(msg: ExecutionReport) -> str:
    """What is wrong with the quantity or price, '' if nothing is."""
    if msg.exec_type == "F" and (msg.last_qty is None or msg.last_px is None or msg.last_qty <= 0):
        return "a fill needs LastQty(32) above zero and LastPx(31)"
    if msg.exec_type == "G" and msg.last_qty is not None and msg.last_qty <= 0:
        return f"a correction to LastQty(32) {msg.last_qty} was not applied: a bust says that there is no trade"
    return ""


def _entry(msg: ExecutionReport, client_exec_id: str) -> Entry:
    return Entry(
        TRADES[msg.exec_type],
        msg.exec_id,
        msg.exec_ref_id,
        client_exec_id,
        msg.last_qty,
        msg.last_px,
        msg.transact_time,
        msg.cum_qty,
    )


def _as_applied(msg: ExecutionReport, child: Child, change: Change) -> ExecutionReport:
    """The report with the figures that count: a correction may leave out the one that it does not change."""
    if msg.exec_type != "G" or change.verdict == executions.KEPT or msg.exec_id not in child.executions:
        return msg
    new = child.executions[msg.exec_id]
    return msg._replace(last_qty=new.last_qty, last_px=new.last_px)


def told(entry: Entry, change: Change) -> dict[str, str]:
    """What the client's report of an execution has besides the order's own fields."""
    fields = {}
    if change.ended is not None:
        fields[t.EXEC_REF_ID] = change.ended.client_exec_id
    if entry.last_qty is not None:
        fields[t.LAST_QTY] = decimal_text(entry.last_qty)
    if entry.last_px is not None:
        fields[t.LAST_PX] = decimal_text(entry.last_px)
    return fields


def _not_applied(ctx: Context, seq: int, event: Event, order: Order, entry: Entry, change: Change) -> None:
    """A correction or bust that moves nothing, for now or for ever: the journal says why, an item if it must."""
    ctx.fx.detail[change.verdict] = entry.ref_id
    if change.verdict == executions.KEPT:
        text = f"ExecRefID(19) {entry.ref_id or 'absent'} names no execution of this order"
        replies.open_item(ctx, seq, event, "unknown_execution", text, order)
    elif change.verdict == executions.TOO_LATE:
        text = f"correction {entry.exec_id} of ExecRefID(19) {entry.ref_id}, which was busted: not applied"
        replies.open_item(ctx, seq, event, "correction_after_bust", text, order)


def release(ctx: Context, seq: int, event: Event, order: Order, child: Child, exec_id: str) -> None:
    """Apply what was kept for an execution, and tell the client, each in a report of its own."""
    if not child.kept:
        return
    for entry, change in executions.kept_for(child, exec_id):
        count(order, change)
        ctx.fx.detail.setdefault("released", []).append(entry.exec_id)
        if change.verdict != executions.APPLIED:
            _not_applied(ctx, seq, event, order, entry, change)
            continue
        exec_type = next(name for name, kind in TRADES.items() if kind == entry.kind)
        extra = told(entry, change)
        offers = ((t.SECONDARY_ORDER_ID, child.broker_order_id), (t.SECONDARY_EXEC_ID, entry.exec_id))
        at = entry.at or event.received_at
        replies.report(ctx, order, exec_type, exec_id=entry.client_exec_id, extra=extra, offers=offers, at=at)
    ctx.fx.touch(order, seq)
    if not any(one.kept for one in order.children):
        replies.resolve_item(ctx, seq, event, "unknown_execution", order, f"ExecID(17) {exec_id} arrived")


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
    if child is not None:
        child.booked[msg.exec_id] = msg.trade_date
    fill = Fill(
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
    ctx.fx.fills.append(fill)
    drop_copy.booked(ctx, seq, event, fill)
