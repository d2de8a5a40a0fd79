"""What operators command: journaled like any message, with who and why, and applied by the core.

`exceptions.take`, `exceptions.note`, `exceptions.resolve`: about one exception item. The history of an item is the
operators' rows of the journal that name it, which nobody can change. The edge has checked that the item is open; an
order that still has it in memory lets go of it here.
`kill.engage`, `kill.release`: new orders in scope are stopped by the judge and by the barrier before the outbox, both
before this is called; what is done here is to cancel the live orders in scope, each once.
`approvals.*`, `fills.*`: see `approvals` and `manual`. `sessions.set_seq`: the numbers that a session goes on with.
`orders.cancel`: one order is canceled at its broker (`adopt`); `orders.settle`: see `settle`. `reconcile.run`: a
broker is asked for the state of its orders (`reconcile`); `reconcile.file`: see `broker_file`. `trading.*`: see
`trading`. `breakers.*`: see `breaker_live`. `prices.load`: see `price_side`. `limits.apply`: the orders after it
are judged by other limits (`limit_diff`); `limits.stage` only brings them into the journal.
"""

from __future__ import annotations

from oms.core import (
    adopt,
    approvals,
    breaker_live,
    breaker_side,
    broker_file,
    limit_diff,
    manual,
    mass,
    news,
    price_side,
    prices,
    reconcile,
    settle,
    trading,
)
from oms.core.book import Book
from oms.core.effects import Item
from oms.core.kill import Kill, scope_of
from oms.core.messages import Command, Event
from oms.core.replies import Context

EXCEPTION_VERBS = ("exceptions.take", "exceptions.note", "exceptions.resolve")
KILL_VERBS = ("kill.engage", "kill.release")
SET_SEQ = "sessions.set_seq"
RELOAD = "sessions.reload"  # its `facts` are of the sessions that it adds, for a replay
CANCEL = "orders.cancel"


def command(ctx: Context, seq: int, event: Event, msg: Command) -> None:
    """Apply one command."""
    args = dict(msg.args)
    if msg.verb == "kill.engage":
        _kill(ctx, seq, event, msg.operator, args)
    elif msg.verb == "kill.release":
        news.kill_released(ctx, event, args["kill_id"])
    elif msg.verb in EXCEPTION_VERBS:
        _item(ctx, seq, event, msg, args)
    elif msg.verb in approvals.VERBS:
        approvals.command(ctx, seq, event, msg)
    elif msg.verb in manual.VERBS:
        _fill(ctx, seq, event, msg, args)
    elif msg.verb == settle.VERB:
        _settle(ctx, seq, event, msg, args)
    elif msg.verb == SET_SEQ:
        _set_seq(ctx, args)
    elif msg.verb == CANCEL:
        adopt.cancel(ctx, seq, event, args)
    elif msg.verb == reconcile.RUN:
        reconcile.run(ctx, seq, event, msg.operator, args)
    elif msg.verb == broker_file.VERB:
        broker_file.command(ctx, seq, event, msg)
    elif msg.verb in trading.VERBS:
        trading.command(ctx, seq, event, msg)
        news.trading_switched(ctx, event, msg.verb == trading.ON)
    elif msg.verb == prices.LOAD:
        price_side.load(ctx, seq, event, msg)
    elif msg.verb == limit_diff.APPLY:
        ctx.judge.take_limits(args["sha256"])
    elif msg.verb in breaker_live.VERBS:
        breaker_side.command(ctx, seq, event, msg)
    ctx.fx.answer = {"journal_seq": seq} | ctx.fx.detail.get("answer", {})


def order_id_of(book: Book, msg: Command) -> str:
    """OrderID(37) of the order that a command needs in memory, '' where it needs none."""
    if msg.verb in manual.VERBS or msg.verb in approvals.VERBS or msg.verb == settle.VERB:
        return approvals.order_id_of(book, dict(msg.args))
    return ""


def _fill(ctx: Context, seq: int, event: Event, msg: Command, args: dict[str, str]) -> None:
    """A fill, correction or bust entered by one operator, where the configuration asks for no second one."""
    if problem := manual.problem(ctx, msg.verb, args):
        ctx.fx.detail["refused"] = problem
        ctx.fx.detail["answer"] = {"refused": problem}
    else:
        manual.apply(ctx, seq, event, msg.verb, args, {"operator": msg.operator})


def _settle(ctx: Context, seq: int, event: Event, msg: Command, args: dict[str, str]) -> None:
    """An order or request settled by one operator, where that needs no second one."""
    if problem := settle.problem(ctx, args):
        ctx.fx.detail["refused"] = problem
        ctx.fx.detail["answer"] = {"refused": problem}
    else:
        settle.apply(ctx, seq, event, args, {"operator": msg.operator})


def _set_seq(ctx: Context, args: dict[str, str]) -> None:
    """A session goes on with other sequence numbers: what follows `next_in` is new. It is logged out meanwhile."""
    state = ctx.book.sessions[args["session"]]
    if "next_in" in args:
        number = int(args["next_in"]) - 1
        if number < state.in_msg_seq_num:
            state.epoch += 1  # numbers come again, and mean other messages
            ctx.fx.detail["reset"] = state.epoch
        state.in_msg_seq_num = number
    ctx.fx.sessions.add(state.name)


def _kill(ctx: Context, seq: int, event: Event, operator: str, args: dict[str, str]) -> None:
    """Cancel what lives in scope. `args`: kill_id, text, the parts of the scope, cancel=N to leave orders alone."""
    kill = Kill(args["kill_id"], scope_of(args), operator, args["text"])
    orders = [order for order in ctx.book.orders.values() if order.leaves_qty and order.child is not None]
    in_scope = sorted((order for order in orders if kill.covers_order(order)), key=lambda order: order.order_id)
    if args.get("cancel") != "N":
        for order in in_scope:
            if not any(request.kind == "F" for request in order.pending_requests):
                mass.cancel_one(ctx, seq, event, order, kill.kill_id)  # also where a mass cancel is unanswered
    news.kill_engaged(ctx, event, kill._replace(reduce_only=args.get("reduce_only") == "Y"), in_scope)
    ctx.fx.order_id = None  # it is about all of them
    ctx.fx.detail["answer"] = {"kill_id": kill.kill_id, "orders": [order.order_id for order in in_scope]}


def _item(ctx: Context, seq: int, event: Event, msg: Command, args: dict[str, str]) -> None:
    """`args`: item_id, kind, order_id, text."""
    item_id = args["item_id"]
    ctx.fx.order_id = args.get("order_id") or None
    if msg.verb == "exceptions.take":
        _change(ctx, event, seq, item_id, args, owner=msg.operator)
    elif msg.verb == "exceptions.resolve":
        order = ctx.book.orders.get(args.get("order_id", ""))
        if order is not None and order.open_items.get(args["kind"]) == item_id:
            del order.open_items[args["kind"]]
        ctx.book.drop_copies.item_closed(item_id)
        trading.item_closed(ctx.book, item_id)
        reconcile.let_go(ctx, item_id)
        _change(ctx, event, seq, item_id, args, resolution=f"{msg.operator}: {args['text']}")


def _change(
    ctx: Context, event: Event, seq: int, item_id: str, args: dict[str, str], *, owner: str = "", resolution: str = ""
) -> None:
    """A row that changes an item: its new owner, or how it was resolved."""
    ctx.fx.items[f"{item_id}/{seq}"] = Item(
        item_id,
        event.received_at,
        args["kind"],
        "",
        owner,
        event.session,
        args.get("order_id") or None,
        seq,
        "",
        "resolved" if resolution else "",
        resolution or None,
        event.received_at if resolution else None,
        changes=True,
    )
