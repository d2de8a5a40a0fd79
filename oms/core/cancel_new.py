"""A replace at a broker that has none: cancel the order there, then send a new one for the rest.

    1 asked     an OrderCancelRequest(F) for the child at work leaves; the client sees pending replace
    2 canceled  the broker confirms: only now a new child leaves, for the new total less what has traded
    3 answered  the broker takes the new child: the client sees replaced; refuses it: canceled, with the reason

Never before 2: at no time can more than the larger of the two totals trade (no over-exposure). Both ids come from
the request's journal row: the new order's ClOrdID(11) begins with C, the cancel's with K, so that every step can
be told from the ledger's rows, after a restart too: the request is open; step 2 is over once a child has its id.
Limits: one such request at a time; a confirmation on a later trading day sends nothing. See
docs/decisions/cancel_and_new.md.
"""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

from oms.core import fills, quantities, replies
from oms.core import tags as t
from oms.core import transitions as life
from oms.core.messages import Event, ExecutionReport, Outgoing, Pairs
from oms.core.order import (
    ACCEPTED,
    OPEN_REQUEST,
    PENDING,
    REFUSED,
    ZERO,
    Child,
    Order,
    Request,
    cancel_id_of,
    decimal_text,
    request_id_of,
)
from oms.core.replies import Context

_NOT_ANSWERED = "the order was canceled to be replaced, and "


def in_use(ctx: Context, child: Child) -> bool:
    """Whether this child's broker has no replace."""
    facts = ctx.brokers.get(child.broker)
    return facts is not None and facts.cancel_new


# -- 1: asked --------------------------------------------------------------------------------------------------


def begin(ctx: Context, event: Event, order: Order, child: Child, request: Request, body: Pairs) -> None:
    """Ask the broker to cancel the child at work, and tell the client that its replace is pending."""
    request.body = body
    request.state = PENDING
    fields = {t.CL_ORD_ID: cancel_id_of(request.broker_cl_ord_id), t.ORIG_CL_ORD_ID: child.cl_ord_id}
    if child.broker_order_id:
        fields[t.ORDER_ID] = child.broker_order_id
    ctx.fx.outgoing.append(
        Outgoing(
            ctx.book.take_seq(),
            child.broker,
            "F",
            order.order_id,
            fields,
            replies.identity_of(order, event.received_at),
            replies.defaults_of(order, event.received_at),
        )
    )
    _tell(ctx, event, order, "E", request)


# -- 2 and 3: what the broker says -----------------------------------------------------------------------------


def takes_over(ctx: Context, seq: int, event: Event, order: Order, child: Child, msg: ExecutionReport) -> bool:
    """Whether a report is dealt with here: an answer to the cancel, or of the new child, or late news of the old.

    False: it goes the usual way. A report of a trade by the new child first ends the replace, then goes that way.
    """
    if not _taken(ctx, seq, event, order, child, msg):
        return False
    before, _, after = ctx.fx.detail.get("transition", ("", "", ""))
    if before != after:
        child.life_cum_qty = msg.cum_qty
    return True


def _taken(ctx: Context, seq: int, event: Event, order: Order, child: Child, msg: ExecutionReport) -> bool:
    request = order.request_by_broker_id(msg.cl_ord_id)
    if request is not None and request.broker_cl_ord_id != msg.cl_ord_id:  # by the cancel's id
        if msg.exec_type == "6":
            return True  # the client was told
        if msg.exec_type == "4":
            _canceled(ctx, seq, event, order, child, request, msg)
            quantities.check(ctx, seq, event, order, child, msg)
            return True
    if _is_former(order, child):
        _late(ctx, seq, event, order, child, msg)
        return True
    open_request = _awaited(order, child)
    if open_request is None:
        return False
    return _answered(ctx, seq, event, order, child, open_request, msg)


def _canceled(
    ctx: Context, seq: int, event: Event, order: Order, child: Child, request: Request, msg: ExecutionReport
) -> None:
    """The cancel is confirmed: the rest of the new total leaves as a new child, if there is one still wanted."""
    if request.state not in OPEN_REQUEST or _is_former(order, child):
        ctx.fx.detail["duplicate"] = True
        return
    if order.life in life.TERMINAL:
        _refuse(ctx, seq, event, order, request, "0", "too late to replace")
        return
    child.life = life.CANCELED
    child.life_cum_qty = msg.cum_qty
    child.last_seq = seq
    ctx.fx.children[child.child_id] = child
    # A fill on its way is in the broker's CumQty(14) before it is in the ledger: what may have traded counts.
    traded = order.cum_qty - child.cum_qty + max(child.cum_qty, msg.cum_qty or ZERO)
    total = request.order_qty if request.order_qty is not None else order.order_qty
    ctx.fx.detail["cancel_new"] = {"total": decimal_text(total), "traded": decimal_text(traded)}
    if _unwanted(ctx, order):
        end(ctx, seq, event, order, request, "canceled before its replace was done")
    elif total <= traded:
        request.order_qty = traded  # less than what has traded means: stop there
        _replaced(ctx, seq, event, order, child, request, msg.body)
    elif request.trade_date != event.trade_date:
        end(ctx, seq, event, order, request, f"{_NOT_ANSWERED}that was confirmed on a later trading day")
    else:
        _send(ctx, seq, event, order, child, request, total - traded)


def _unwanted(ctx: Context, order: Order) -> bool:
    """Whether a cancel of the order is under way, its own or that of many orders at once."""
    if any(one.kind == "F" for one in order.pending_requests):
        return True
    return any(order.order_id in one.order_ids for one in ctx.book.mass_cancels.values())


def _send(ctx: Context, seq: int, event: Event, order: Order, old: Child, request: Request, qty: Decimal) -> None:
    out_seq = ctx.book.take_seq()
    child = Child(
        child_id=request.broker_cl_ord_id,
        order_id=order.order_id,
        broker=old.broker,
        route_rule=old.route_rule,
        order_qty=qty,
        price=request.price,
        stop_px=request.stop_px,
        sent_seq=out_seq,
        last_seq=seq,
        cl_ord_id=request.broker_cl_ord_id,
    )
    order.children.append(child)
    ctx.book.add_child(order, child)
    fields = {t.CL_ORD_ID: child.child_id, t.ORDER_QTY: decimal_text(qty)}
    given = {tag for tag, _ in request.body}
    for tag, value in (
        (t.ACCOUNT, order.account),
        (t.SYMBOL, order.symbol),
        (t.SIDE, order.side),
        (t.ORD_TYPE, order.ord_type),
        (t.TIME_IN_FORCE, order.time_in_force),
        (t.SECURITY_EXCHANGE, order.security_exchange),
        (t.EX_DESTINATION, order.ex_destination),
        (t.PRICE, "" if request.price is None else decimal_text(request.price)),
        (t.STOP_PX, "" if request.stop_px is None else decimal_text(request.stop_px)),
    ):
        if value and tag not in given:
            fields[tag] = value
    defaults = replies.defaults_of(order, event.received_at)
    ctx.fx.touch(order, seq)
    ctx.fx.outgoing.append(Outgoing(out_seq, child.broker, "D", order.order_id, fields, request.body, defaults))


def _answered(
    ctx: Context, seq: int, event: Event, order: Order, child: Child, request: Request, msg: ExecutionReport
) -> bool:
    if msg.exec_type == "A":
        child.life = life.PENDING_NEW
        ctx.fx.touch(order, seq)
        quantities.check(ctx, seq, event, order, child, msg)
        return True
    is_status = msg.exec_type == "I"
    if is_status and child.life != life.UNKNOWN:
        return False
    if msg.exec_type == "8" or (is_status and msg.ord_status == "8"):
        failed(ctx, seq, event, order, msg.text or "the broker does not know it")
        return not is_status
    _replaced(ctx, seq, event, order, child, request, msg.body if msg.exec_type == "0" else ())
    if msg.exec_type != "0":
        return False
    quantities.check(ctx, seq, event, order, child, msg)
    return True


def _replaced(
    ctx: Context, seq: int, event: Event, order: Order, child: Child, request: Request, body: Pairs
) -> None:
    """The replace is done: the order has its terms, and quantities over both children."""
    request.state = ACCEPTED
    after = life.next_state(order.life, life.REPLACE) or order.life
    ctx.fx.detail["transition"] = [order.life, life.REPLACE, after]
    order.life = after
    if child.life != life.CANCELED:
        child.life = after
    order.order_qty = order.order_qty if request.order_qty is None else request.order_qty
    order.price, order.stop_px = request.price, request.stop_px
    order.cl_ord_id = request.cl_ord_id
    request.body = ()
    replies.resolve_item(ctx, seq, event, "unknown_outcome", order, "the broker took the new order")
    ctx.fx.requests[request.seq] = request
    ctx.fx.touch(order, seq)
    if order.finished:
        ctx.book.finish(order)
    _tell(ctx, event, order, "5", request, child=child, body=body)


def confirmed(ctx: Context, seq: int, event: Event, order: Order, child: Child, body: Pairs) -> None:
    """Somebody who knows says that the broker has the new child; `body` goes into the client's report."""
    request = _awaited(order, child)
    if request is not None:
        _replaced(ctx, seq, event, order, child, request, body)


# -- when it does not go through -------------------------------------------------------------------------------


def awaits(order: Order, child: Child, cl_ord_id: str) -> bool:
    """Whether this ClOrdID(11) is of a new child that its broker has not answered."""
    return child.child_id == cl_ord_id and _awaited(order, child) is not None


def failed(ctx: Context, seq: int, event: Event, order: Order, reason: str) -> None:
    """The new child was refused or did not leave: the order is canceled, as it was by then at the broker."""
    child = order.child
    request = _awaited(order, child) if child is not None else None
    if child is None or request is None:
        return
    child.life = life.REJECTED
    replies.resolve_item(ctx, seq, event, "unknown_outcome", order, f"the new order is not there: {reason}")
    end(ctx, seq, event, order, request, f"{_NOT_ANSWERED}the new one was refused: {reason}")


def lost(ctx: Context, seq: int, event: Event, order: Order, child: Child) -> None:
    """Whether the broker has the new child is not known: it is asked, where it answers; the replace stays pending."""
    child.life = life.UNKNOWN
    ctx.fx.touch(order, seq)
    text = f"{child.broker} missed the new order of a replace and it was not sent again; asking for its state"
    replies.open_item(ctx, seq, event, "unknown_outcome", text, order)
    if ctx.brokers[child.broker].status_requests:
        replies.status_to_broker(ctx, order, child, (), event.received_at)


def end(ctx: Context, seq: int, event: Event, order: Order, request: Request, reason: str) -> None:
    """The order ends canceled; a cancel that the client has asked for meanwhile is answered by it."""
    cancel = next((one for one in order.pending_requests if one.kind == "F"), None)
    if cancel is not None:
        _refuse(ctx, seq, event, order, request, "0", reason)
        cancel.state = ACCEPTED
        ctx.fx.requests[cancel.seq] = cancel
    else:
        order.reason = reason
        request.state = REFUSED
        ctx.fx.requests[request.seq] = request
    after = life.next_state(order.life, life.CANCEL) or order.life
    ctx.fx.detail["transition"] = [order.life, life.CANCEL, after]
    order.life = after
    ctx.fx.touch(order, seq)
    if order.finished:
        ctx.book.finish(order)
    _tell(ctx, event, order, "4", cancel or request, text="" if cancel is not None else reason)


def _refuse(ctx: Context, seq: int, event: Event, order: Order, request: Request, reason: str, text: str) -> None:
    request.state = REFUSED
    ctx.fx.requests[request.seq] = request
    ctx.fx.touch(order, seq)
    replies.cancel_reject(
        ctx,
        order.client,
        order,
        kind=request.kind,
        cl_ord_id=request.cl_ord_id,
        orig_cl_ord_id=request.orig_cl_ord_id,
        reason=reason,
        text=text,
        at=event.received_at,
    )


# -- the child that was canceled -------------------------------------------------------------------------------


def _late(ctx: Context, seq: int, event: Event, order: Order, child: Child, msg: ExecutionReport) -> None:
    """News of a child that was canceled for a replace: fills, busts and corrections are facts, the rest is over."""
    if msg.exec_type not in fills.TRADES:
        ctx.fx.detail["former_child"] = child.child_id
        return
    told, then = msg.cum_qty, child.life_cum_qty
    if msg.exec_type == "F" and (told is None or then is None or told > then):  # else the cancel overtook it
        text = f"fill of {msg.last_qty} reported on {child.child_id}, which was canceled to be replaced"
        replies.open_item(ctx, seq, event, "fill_after_end", text, order)
    extra: dict[str, str] = {}
    if not fills.trade(ctx, seq, event, order, child, msg, extra):
        quantities.check(ctx, seq, event, order, child, msg, applied=False)
        return
    child.last_seq = seq
    ctx.fx.children[child.child_id] = child
    ctx.fx.touch(order, seq)
    if msg.exec_type != "F" and order.leaves_qty:
        text = f"{msg.exec_type} of a fill of {child.child_id}: its shares are not at work at {child.broker} any more"
        replies.open_item(ctx, seq, event, "not_at_work", text, order)
    offers = ((t.SECONDARY_ORDER_ID, child.broker_order_id), (t.SECONDARY_EXEC_ID, msg.exec_id))
    cl_ord_id = order.to_client.get(request_id_of(msg.cl_ord_id), order.cl_ord_id)
    replies.report(ctx, order, msg.exec_type, cl_ord_id=cl_ord_id, extra=extra, body=msg.body, offers=offers)
    fills.release(ctx, seq, event, order, child, msg.exec_id)
    quantities.check(ctx, seq, event, order, child, msg)


def _is_former(order: Order, child: Child) -> bool:
    """Whether this child was canceled, and another one works for a replace."""
    after = next((later for earlier, later in pairwise(order.children) if earlier is child), None)
    return after is not None and order.request_by_broker_id(after.child_id) is not None


def _awaited(order: Order, child: Child) -> Request | None:
    """The open request for which this child was sent."""
    request = order.request_by_broker_id(child.child_id)
    return request if request is not None and request.state in OPEN_REQUEST else None


def _tell(
    ctx: Context,
    event: Event,
    order: Order,
    exec_type: str,
    request: Request,
    *,
    child: Child | None = None,
    body: Pairs = (),
    text: str = "",
) -> None:
    extra = order.told(request)
    if text:
        extra[t.TEXT] = text[:500]
    offers = ((t.SECONDARY_ORDER_ID, child.broker_order_id),) if child is not None else ()
    said_when = any(tag == t.TRANSACT_TIME for tag, _ in body)
    replies.report(
        ctx,
        order,
        exec_type,
        extra=extra,
        body=body,
        offers=offers,
        at=None if said_when else event.received_at,
    )
