"""What changes no order: OrderStatusRequest(H) of clients, and messages that are not processed or not read.

Each is answered: H by the broker where it takes them, else from the ledger's state; the others with a reason.
"""

from __future__ import annotations

from oms.core import families, replies
from oms.core import risk as codes
from oms.core import tags as t
from oms.core.messages import Event, StatusRequest, Unreadable, Unsupported
from oms.core.replies import Context


def status(ctx: Context, seq: int, event: Event, msg: StatusRequest) -> None:
    """Pass a status request on where the broker answers them, else answer from the ledger's state."""
    order = ctx.book.by_client_id.find(event.session, msg.cl_ord_id, event.trade_date)
    if order is None:
        asked = {tag: value for tag, value in msg.body if tag in (t.SYMBOL, t.SIDE)}
        asked.update({t.CL_ORD_ID: msg.cl_ord_id, t.EXEC_TYPE: "I", t.EXEC_ID: "0", t.ORDER_QTY: "0"})
        text = f"ClOrdID(11) {msg.cl_ord_id} is not an order of yours"
        replies.reject_unbooked(ctx, event, asked, codes.UNKNOWN_ORDER, text)
        return
    ctx.fx.order_id = order.order_id
    child = order.child
    facts = ctx.brokers.get(child.broker) if child else None
    up = child is not None and ctx.judge.is_up(child.broker)
    ctx.fx.detail["broker_up"] = up
    if child is not None and facts is not None and facts.status_requests and up and not order.finished:
        child.status_requests.append(msg.cl_ord_id)
        ctx.fx.detail["status_asked"] = [child.child_id, msg.cl_ord_id]
        replies.status_to_broker(ctx, order, child, msg.body, event.received_at)
    else:
        replies.report(ctx, order, "I", cl_ord_id=msg.cl_ord_id, exec_id="0", at=event.received_at)


def unsupported(ctx: Context, seq: int, event: Event, msg: Unsupported) -> None:
    """Say so: BusinessRejectReason(380) 3, unsupported message type. A client's dispute of a fill is an item."""
    if msg.msg_type == "Q" and ctx.book.sessions[event.session].role == "client":
        text = f"{event.session} does not know the trade of ExecID(17) {msg.ref_id or 'absent'}"
        replies.open_item(ctx, seq, event, "trade_disputed", text, None)
        return
    text = families.not_supported(msg.msg_type)
    replies.business_reject(ctx, event, msg.msg_type, msg.ref_id, "3", text)


def unreadable(ctx: Context, seq: int, event: Event, msg: Unreadable) -> None:
    """Our code could not read it: recorded, an exception item, and answered (380=0, other)."""
    replies.open_item(ctx, seq, event, "unreadable_message", msg.text, None)
    replies.business_reject(ctx, event, msg.msg_type, msg.ref_id, "0", msg.text)
