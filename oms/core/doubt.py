"""Messages of which nobody knows whether they left, because the message store that would tell is lost.

Law: what adds risk is never sent again and never called rejected. An order becomes UNKNOWN, a replace stays open;
either is an exception item, and its broker is asked for the order's state when it is back (`oms.core.reconcile`).
What takes risk away or only tells (cancels, reports, questions) leaves again, as a message of its own with
PossResend(97)=Y: who had it knows it by its ClOrdID(11) or ExecID(17).
What the broker has said since of an order or a replace proves that it left: then there is no doubt.
"""

from __future__ import annotations

from oms.core import cancel_new, replies
from oms.core import transitions as life
from oms.core.messages import Event, InDoubt, Outgoing
from oms.core.order import OPEN_REQUEST, PENDING, SENT, Child, Order, is_for_replace
from oms.core.replies import Context

_SOH = "\x01"
_POSS_RESEND = "97=Y"


def in_doubt(ctx: Context, seq: int, event: Event, msg: InDoubt) -> None:
    """Settle one message: send it again, or keep its order (or replace) as one whose outcome is not known."""
    found = ctx.book.at_broker(msg.cl_ord_id) if msg.cl_ord_id else None
    ctx.fx.order_id = found[0].order_id if found is not None else msg.order_id or None
    if msg.msg_type == "AF":  # all orders are asked for anew when the broker is back
        return
    if msg.msg_type not in ("D", "G") and not is_for_replace(msg.cl_ord_id):
        text = poss_resend(msg.text)
        ctx.fx.outgoing.append(
            Outgoing(ctx.book.take_seq(), event.session, msg.msg_type, msg.order_id, {}, text=text)
        )
    elif found is not None and msg.msg_type == "D":
        _order(ctx, seq, event, *found, msg.cl_ord_id)
    elif found is not None:
        _replace(ctx, seq, event, *found, msg.cl_ord_id)


def poss_resend(text: str) -> str:
    """A message as it leaves once more: with PossResend(97)=Y in its header."""
    head, _, rest = text.partition(_SOH)
    if not text or f"{_SOH}{_POSS_RESEND}{_SOH}" in text:
        return text
    return f"{head}{_SOH}{_POSS_RESEND}{_SOH}{rest}"


def _order(ctx: Context, seq: int, event: Event, order: Order, child: Child, cl_ord_id: str) -> None:
    if cancel_new.awaits(order, child, cl_ord_id):
        child.life = life.UNKNOWN
    elif order.life == life.ROUTED and order.child is child:
        after = life.next_state(order.life, life.LOSE) or life.UNKNOWN
        ctx.fx.detail["transition"] = [order.life, life.LOSE, after]
        order.life = child.life = after
    else:  # its broker has answered it, or another one has the order
        return
    ctx.fx.touch(order, seq)
    text = f"whether the order left for {child.broker} is not known: the message store was lost; it is not sent again"
    replies.open_item(ctx, seq, event, "unknown_outcome", text, order)


def _replace(ctx: Context, seq: int, event: Event, order: Order, child: Child, cl_ord_id: str) -> None:
    request = order.request_by_broker_id(cl_ord_id)
    if request is None or request.state not in OPEN_REQUEST or order.child is not child:
        return
    lost = f"left for {child.broker} is not known: the message store was lost; it is not sent again"
    if is_for_replace(cl_ord_id):
        text = f"whether the cancel that makes room for a replace {lost}"
        replies.open_item(ctx, seq, event, "unknown_outcome", text, order)
    elif request.state == SENT:
        replies.open_item(ctx, seq, event, "unanswered", f"whether the replace {lost}", order)


def settle(ctx: Context, seq: int, event: Event, order: Order) -> None:
    """Close the item of a doubt that is over: asked after every event about the order."""
    child = order.child
    if "unknown_outcome" not in order.open_items or child is None or life.UNKNOWN in (order.life, child.life):
        return
    making_room = [one for one in order.requests if one.state == PENDING and one.broker_cl_ord_id != child.child_id]
    if cancel_new.in_use(ctx, child) and any(one.kind == "G" for one in making_room):
        return
    replies.resolve_item(ctx, seq, event, "unknown_outcome", order, "the broker has answered")
