"""What operators settle because no message of the broker will: how an order ended, what became of a request in doubt.

`orders.settle` says what people know by another way than the session, and moves the order by the same table as the
broker's report would. The client is told in a report or reject whose Text(58) says that an operator settled it.
Law: no fill is ever made here: shares that traded are entered by `fills.add`, before or after. What does not follow
from the order's state is refused with the remedy. Should the broker speak of it later, its word counts as ever: a
fill after the end is booked, and an exception item.
Limits: the order at work only; at a broker without replace (`cancel_new`) the new order of a replace can be settled
as taken or as not there, the cancel before it as refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from oms.core import cancel_new, replies
from oms.core import tags as t
from oms.core import transitions as life
from oms.core.broker_side import refuse_request
from oms.core.messages import Event
from oms.core.order import ACCEPTED, REFUSED, ZERO, Child, Order, Request, decimal_text
from oms.core.replies import Context

VERB: Final = "orders.settle"
CANCELED, EXPIRED, REJECTED, WORKING = "canceled", "expired", "rejected", "working"
REPLACED, REPLACE_REJECTED, CANCEL_REJECTED = "replaced", "replace-rejected", "cancel-rejected"
WORDS: Final = (CANCELED, EXPIRED, REJECTED, WORKING, REPLACED, REPLACE_REJECTED, CANCEL_REJECTED)
# What is wrong if the people who say it are: then shares trade, or stand there, of which nobody here knows.
AT_RISK: Final = frozenset([CANCELED, EXPIRED, REJECTED, REPLACED, REPLACE_REJECTED])
_ENDS: Final = {CANCELED: ("4", life.CANCEL), EXPIRED: ("C", life.EXPIRE), REJECTED: ("8", life.REJECT)}
_DOUBTS = frozenset([life.ROUTED, life.PENDING_NEW, life.UNKNOWN])
_OF_ORDER = (
    "unknown_outcome", "unacknowledged", "without_news", "state_mismatch", "leaves_mismatch", "broker_unknown_order",
)  # fmt: skip

Args = Mapping[str, str]


# -- what is refused -----------------------------------------------------------------------------------------------


def problem(ctx: Context, args: Args) -> str:
    """Why the order cannot be settled so as things stand, with the remedy; '' if it can. `args`: order_id, as."""
    order, word = ctx.book.orders.get(args.get("order_id", "")), args.get("as", "")
    if word not in WORDS:
        return f"{word or '(nothing)'} is no way to settle an order; there are {', '.join(WORDS)}"
    if order is None:
        return f"there is no order {args.get('order_id') or '(none)'}; `oms orders list --live` shows those alive"
    name, child = order.order_id, order.child
    if child is None:
        return f"{name} never went to a broker: there is nothing to settle"
    if order.finished:
        return f"{name} is {_state(order)} already, and nothing of it is open; `oms orders explain {name}` shows why"
    if word in (REPLACE_REJECTED, CANCEL_REJECTED):
        return _problem_of_refusal(ctx, order, child, word)
    if order.life in life.TERMINAL:
        return f"{name} is {order.life} already; settle its open request with --as {_refusal_of(order)}"
    if word == REPLACED:
        return _problem_of_replace(ctx, order, child)
    if word != CANCELED and cancel_new.awaits(order, child, child.child_id):
        return (
            f"the new order of a replace is in doubt at {child.broker}: settle it with --as {REPLACED} if it is"
            f" there, with --as {CANCELED} if it is not"
        )
    return _problem_of_end(order, word)


def _problem_of_end(order: Order, word: str) -> str:
    name = order.order_id
    if word == WORKING:
        doubt = order.life in _DOUBTS
        return "" if doubt else f"{name} is {order.life}: that it works is no news. `oms orders show {name}` shows it"
    if not order.leaves_qty:
        return f"nothing of {name} is open any more; settle its open request with --as {_refusal_of(order)}"
    if word == REJECTED and order.cum_qty:
        traded = decimal_text(order.cum_qty)
        return f"{name} has traded {traded}: what has traded is not rejected. Settle the rest with --as {CANCELED}"
    if life.next_state(order.life, _ENDS[word][1]) is None:
        return f"{name} is {order.life}, which does not become {word}; `oms orders explain {name}` shows its life"
    return ""


def _problem_of_replace(ctx: Context, order: Order, child: Child) -> str:
    if _open(order, "G") is None:
        return _none_open(order, "replace")
    if cancel_new.in_use(ctx, child) and not cancel_new.awaits(order, child, child.child_id):
        return (
            f"{child.broker} has no replace, and the new order of this one has not left: settle it with --as"
            f" {REPLACE_REJECTED}, or with --as {CANCELED} if the order is gone there"
        )
    return ""


def _problem_of_refusal(ctx: Context, order: Order, child: Child, word: str) -> str:
    what = "replace" if word == REPLACE_REJECTED else "cancel"
    if _open(order, "G" if word == REPLACE_REJECTED else "F") is None:
        return _none_open(order, what)
    if word == REPLACE_REJECTED and cancel_new.awaits(order, child, child.child_id):
        return (
            f"the order before this replace is canceled at {child.broker}, and the new one is in doubt: if that is"
            f" not there, nothing of {order.order_id} is: settle it with --as {CANCELED}"
        )
    return ""


def _none_open(order: Order, what: str) -> str:
    return f"no {what} of {order.order_id} is open; `oms orders show {order.order_id}` shows its requests"


def _state(order: Order) -> str:
    return order.life if order.life in life.TERMINAL else "filled"


def _refusal_of(order: Order) -> str:
    return CANCEL_REJECTED if _open(order, "F") is not None else REPLACE_REJECTED


def _open(order: Order, kind: str) -> Request | None:
    """The oldest request of a kind (F or G) without an answer."""
    return next((one for one in order.pending_requests if one.kind == kind), None)


# -- what is done --------------------------------------------------------------------------------------------------


def apply(ctx: Context, seq: int, event: Event, args: Args, people: Mapping[str, str]) -> None:
    """Settle it; `problem` has found none. `people` are proposer, approver and proposal, or the one operator."""
    order, word = ctx.book.orders[args["order_id"]], args["as"]
    child = order.child
    assert child is not None
    event = event._replace(session=child.broker)  # whom it is about
    was_finished = order.finished
    ctx.fx.order_id = order.order_id
    ctx.fx.detail["settled"] = {"as": word, "child_id": child.child_id, "reason": args.get("text", ""), **people}
    _DONE.get(word, _end)(ctx, seq, event, order, child, word)
    by = people.get("operator") or f"{people.get('proposer')}, approved by {people.get('approver')}"
    _close_items(ctx, seq, event, order, word, f"settled as {word} by {by}: {args.get('text', '')}")
    if order.finished and not was_finished and order.order_id not in ctx.book.finished:
        ctx.book.finish(order)
    ctx.fx.detail["answer"] = {
        "order_id": order.order_id,
        "as": word,
        "told": order.client,
        "life": order.life,
        "order_qty": decimal_text(order.order_qty),
        "cum_qty": decimal_text(order.cum_qty),
        "leaves_qty": decimal_text(order.leaves_qty),
    }


def _text(word: str) -> str:
    return f"settled by an operator as {word}"


def _move(ctx: Context, seq: int, order: Order, child: Child, happened: str) -> None:
    after = life.next_state(order.life, happened) or order.life
    ctx.fx.detail["transition"] = [order.life, happened, after]
    order.life = child.life = after
    child.body = ()
    ctx.fx.touch(order, seq)


def _end(ctx: Context, seq: int, event: Event, order: Order, child: Child, word: str) -> None:
    """The order is over: a cancel that is open is answered by that, whatever else is open is refused."""
    if cancel_new.awaits(order, child, child.child_id):
        cancel_new.failed(ctx, seq, event, order, _text(word))
        return
    exec_type, happened = _ENDS[word]
    cancel = _open(order, "F") if word == CANCELED else None
    extra = {t.TEXT: _text(word)}
    for request in order.pending_requests:
        if request is not cancel:
            refuse_request(ctx, seq, event, order, request, "0", _text(word), ())
    if cancel is not None:
        cancel.state = ACCEPTED
        ctx.fx.requests[cancel.seq] = cancel
        extra |= order.told(cancel)
    if word == REJECTED:
        order.reason = _text(word)
        extra[t.ORD_REJ_REASON] = "0"
    _move(ctx, seq, order, child, happened)
    replies.report(ctx, order, exec_type, extra=extra, at=event.received_at)


def _works(ctx: Context, seq: int, event: Event, order: Order, child: Child, word: str) -> None:
    """The broker has the order and works it: what was in doubt is New(0)."""
    _move(ctx, seq, order, child, life.ACCEPT)
    replies.report(ctx, order, "0", extra={t.TEXT: _text(word)}, at=event.received_at)


def _replaced(ctx: Context, seq: int, event: Event, order: Order, child: Child, word: str) -> None:
    """The broker took the replace: the order has the terms that were asked for."""
    if cancel_new.in_use(ctx, child):
        cancel_new.confirmed(ctx, seq, event, order, child, ((t.TEXT, _text(word)),))
        return
    request = _open(order, "G")
    assert request is not None
    request.state = ACCEPTED
    ctx.fx.requests[request.seq] = request
    before = order.cum_qty - child.cum_qty  # by children of the order that were canceled to be replaced
    order.order_qty = max(request.order_qty or order.order_qty, order.cum_qty)
    child.order_qty = max(order.order_qty - before, ZERO)
    order.price = child.price = request.price
    order.stop_px = child.stop_px = request.stop_px
    order.cl_ord_id, child.cl_ord_id = request.cl_ord_id, request.broker_cl_ord_id
    _move(ctx, seq, order, child, life.REPLACE)
    replies.report(ctx, order, "5", extra=order.told(request) | {t.TEXT: _text(word)}, at=event.received_at)


def _refused(ctx: Context, seq: int, event: Event, order: Order, child: Child, word: str) -> None:
    """The broker did not take the request, and never will: the order is as it was."""
    request = _open(order, "G" if word == REPLACE_REJECTED else "F")
    assert request is not None
    refuse_request(ctx, seq, event, order, request, "2", _text(word), ())
    assert request.state == REFUSED


_DONE: Final[Mapping[str, Callable[[Context, int, Event, Order, Child, str], None]]] = {
    WORKING: _works,
    REPLACED: _replaced,
    REPLACE_REJECTED: _refused,
    CANCEL_REJECTED: _refused,
}


def _close_items(ctx: Context, seq: int, event: Event, order: Order, word: str, resolution: str) -> None:
    """The items that asked for it."""
    if word not in (REPLACED, REPLACE_REJECTED, CANCEL_REJECTED):
        for kind in _OF_ORDER:
            replies.resolve_item(ctx, seq, event, kind, order, resolution)
    if not order.pending_requests:
        replies.resolve_item(ctx, seq, event, "unanswered", order, resolution)
    if not order.client:
        replies.resolve_item(ctx, seq, event, "cancel_refused", order, resolution)
