"""Fills, corrections and busts that people enter because a broker told of them by another way than its session.

`fills.add`, `fills.correct`, `fills.bust` move the order's quantities as the broker's own report would (I4), are rows
of their own in the fill ledger (`origin` manual), and tell the client once, unless `silent`. `fills.link` says under
which ExecID(17) the broker will report what was entered under another.
When the broker's report of an execution that was entered comes, it is not booked again (I3): an item links the two.
Limits: only for orders that went to a broker. The people and the reason stand in the journal row (I9).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from oms.core import drop_copy, executions, fills, quantities, replies
from oms.core import tags as t
from oms.core import transitions as life
from oms.core.book import number_id
from oms.core.effects import MANUAL, Fill
from oms.core.executions import Entry, Execution
from oms.core.messages import Event, ExecutionReport
from oms.core.order import ZERO, Child, Order, count, decimal_text
from oms.core.replies import Context

ADD, CORRECT, BUST, LINK = "fills.add", "fills.correct", "fills.bust", "fills.link"
VERBS: Final = (ADD, CORRECT, BUST, LINK)
_EXEC_TYPES: Final = {ADD: "F", CORRECT: "G", BUST: "H"}
_TEXT: Final = "entered by hand"

Args = Mapping[str, str]


def problem(ctx: Context, verb: str, args: Args) -> str:
    """Why this cannot be entered as things stand, with the remedy; '' if it can."""
    order = ctx.book.orders.get(args.get("order_id", ""))
    if order is None:
        return f"there is no order {args.get('order_id') or '(none)'}; `oms orders list` shows them"
    child = _child(order, args)
    if child is None:
        return f"{order.order_id} never went to a broker {args.get('child_id', '')}".rstrip()
    exec_id = args.get("exec_id", "")
    if exec_id and exec_id in child.booked:
        return f"ExecID(17) {exec_id} of {child.broker} is booked already for {order.order_id}: not entered twice"
    if verb == ADD:
        return _problem_of_trade(ctx, child, args)
    return _problem_of_change(verb, child, args)


def _problem_of_trade(ctx: Context, child: Child, args: Args) -> str:
    exec_id = args["exec_id"]
    if ctx.book.fill_key_seen(child.broker, date.fromisoformat(args["trade_date"]), exec_id):
        return f"ExecID(17) {exec_id} of {child.broker} is booked already, not for this order (`oms fills list`)"
    if args.get("silent") and exec_id in child.kept:
        return f"a correction or bust of ExecID(17) {exec_id} waits for it and will be told: leave out --silent"
    return ""


def _problem_of_change(verb: str, child: Child, args: Args) -> str:
    ref = child.executions.get(args.get("ref", ""))
    if verb == LINK:
        known = args.get("ref", "") in child.manual
        return "" if known else f"no fill was entered by hand under ExecID(17) {args.get('ref')}"
    if ref is None:
        return f"the order has no execution with ExecID(17) {args.get('ref')}; `oms fills list --order` shows them"
    last = _last(ref)
    if not last.live:
        return f"the execution with ExecID(17) {args['ref']} was busted: enter a new one with `oms fills add`"
    same = verb == CORRECT and (Decimal(args["qty"]), Decimal(args["px"])) == (last.last_qty, last.last_px)
    return f"ExecID(17) {args['ref']} has that quantity and price already" if same else ""


def _last(execution: Execution) -> Execution:
    return execution.chain[-1] if execution.chain else execution


def _child(order: Order, args: Args) -> Child | None:
    """The child order that is meant: that of a ClOrdID(11), else the one at work."""
    wanted = args.get("child_id")
    return next((one for one in order.children if one.child_id == wanted), None) if wanted else order.child


def apply(ctx: Context, seq: int, event: Event, verb: str, args: Args, people: Mapping[str, str]) -> None:
    """Enter it; `problem` has found none. `people` are proposer, approver and proposal, or the one operator."""
    order = ctx.book.orders[args["order_id"]]
    child = _child(order, args)
    assert child is not None
    event = event._replace(session=child.broker)  # whose word it is, and where it is booked
    exec_id = args.get("exec_id") or number_id("M", seq)
    ctx.fx.order_id = order.order_id
    ctx.fx.detail["manual"] = {
        "verb": verb,
        "child_id": child.child_id,
        "exec_id": exec_id,
        "ref": args.get("ref", ""),
        "reason": args.get("text", ""),
        "silent": bool(args.get("silent")),
        **people,
    }
    if verb == LINK:
        child.manual[exec_id] = child.manual[args["ref"]]
        child.same_as[exec_id] = args["ref"]
        child.booked[exec_id] = child.booked[args["ref"]]
        ctx.fx.detail["answer"] = {"order_id": order.order_id, "exec_id": exec_id}
        return
    _enter(ctx, seq, event, order, child, verb, args, exec_id)


def _enter(
    ctx: Context, seq: int, event: Event, order: Order, child: Child, verb: str, args: Args, exec_id: str
) -> None:
    was_finished = order.finished
    told_as = number_id("E", seq)  # there may be no report, so not the number of that
    exec_type = _EXEC_TYPES[verb]
    at = datetime.fromisoformat(args["at"]) if args.get("at") else None
    qty = Decimal(args["qty"]) if "qty" in args else None
    px = Decimal(args["px"]) if "px" in args else None
    entry = Entry(fills.TRADES[exec_type], exec_id, args.get("ref", ""), told_as, qty, px, at)
    change = executions.enter(child, entry)
    count(order, change)
    trade_date = date.fromisoformat(args["trade_date"]) if args.get("trade_date") else event.trade_date
    _book(ctx, seq, event, order, child, entry, trade_date)
    _live_on(ctx, seq, event, order, child, life.EVENT_OF_EXEC_TYPE[exec_type])
    if not args.get("silent"):
        extra = fills.told(entry, change) | {t.TEXT: _TEXT}
        offers = ((t.SECONDARY_ORDER_ID, child.broker_order_id), (t.SECONDARY_EXEC_ID, exec_id))
        replies.report(ctx, order, exec_type, exec_id=told_as, extra=extra, offers=offers, at=at or event.received_at)
    fills.release(ctx, seq, event, order, child, exec_id)
    quantities.check(ctx, seq, event, order, child, _as_report(order, child, entry, exec_type, trade_date))
    if order.finished and not was_finished:
        ctx.book.finish(order)
    ctx.fx.detail["answer"] = {
        "order_id": order.order_id,
        "exec_id": exec_id,
        "client_exec_id": told_as,
        "told": "" if args.get("silent") else order.client,
        "cum_qty": decimal_text(order.cum_qty),
        "leaves_qty": decimal_text(order.leaves_qty),
        "avg_px": decimal_text(order.avg_px),
    }


def _live_on(ctx: Context, seq: int, event: Event, order: Order, child: Child, happened: str) -> None:
    """The order's life after it; an execution at an earlier child moves quantities only."""
    if child is order.child:
        child.body = ()
        after = life.next_state(order.life, happened) or order.life
        ctx.fx.detail["transition"] = [order.life, happened, after]
        order.life = child.life = after
        replies.resolve_item(ctx, seq, event, "unknown_outcome", order, "an execution was entered by hand")
    ctx.fx.touch(order, seq)
    child.last_seq = seq
    ctx.fx.children[child.child_id] = child


def _book(ctx: Context, seq: int, event: Event, order: Order, child: Child, entry: Entry, trade_date: date) -> None:
    ctx.book.note_fill_key(child.broker, trade_date, entry.exec_id)
    child.booked[entry.exec_id] = trade_date
    child.manual[entry.exec_id] = entry.client_exec_id
    fill = Fill(
        entry.client_exec_id,
        child.broker,
        trade_date,
        entry.exec_id,
        entry.ref_id,
        entry.kind,
        order.order_id,
        child.child_id,
        order.account,
        order.symbol,
        order.side,
        entry.last_qty or ZERO,
        entry.last_px or ZERO,
        entry.at,
        event.received_at,
        seq,
        MANUAL,
    )
    ctx.fx.fills.append(fill)
    if entry.exec_id != number_id("M", seq):  # an id of ours is no drop copy's
        drop_copy.booked(ctx, seq, event, fill)


def _as_report(order: Order, child: Child, entry: Entry, exec_type: str, trade_date: date) -> ExecutionReport:
    """What was entered in the words of a broker's report, for the check of quantities."""
    return ExecutionReport(
        child.broker_order_id,
        child.cl_ord_id,
        "",
        entry.exec_id,
        entry.ref_id,
        exec_type,
        "",
        order.symbol,
        order.side,
        order.account,
        None,
        None,
        None,
        entry.last_qty,
        entry.last_px,
        None,
        None,
        "",
        entry.at,
        trade_date,
        "",
        (),
        None,
    )


def reported(ctx: Context, seq: int, event: Event, order: Order, child: Child, msg: ExecutionReport) -> None:
    """A broker reports what was entered by hand: not booked again, and put before a person with both rows."""
    ctx.fx.detail["duplicate"] = True
    ctx.fx.detail["manual_fill"] = child.manual[msg.exec_id]
    if msg.exec_id in child.exec_ids:
        return  # it was told before
    child.exec_ids.add(msg.exec_id)
    if msg.cum_qty is not None:
        child.told.total(msg.cum_qty)
    entered = child.executions.get(child.same_as.get(msg.exec_id, msg.exec_id))
    said = f"{decimal_text(msg.last_qty or ZERO)} at {decimal_text(msg.last_px or ZERO)}"
    about = f"{child.broker} reports ExecID(17) {msg.exec_id}, entered by hand as {child.manual[msg.exec_id]}"
    if entered is None or (entered.last_qty, entered.last_px) == (msg.last_qty, msg.last_px):
        text, severity = f"{about}: not booked again", "warning"
    else:
        was = f"{decimal_text(entered.last_qty)} at {decimal_text(entered.last_px)}"
        text, severity = f"{about}: it says {said}, entered was {was}; not booked again, `oms fills correct`", "error"
    replies.open_item(ctx, seq, event, "manual_fill_reported", text, order, severity=severity)
    quantities.check(ctx, seq, event, order, child, msg, applied=False)
