"""What brokers report: ExecutionReport(8) and OrderCancelReject(9), applied to orders and relayed to clients.

Law: what a broker says happened, happened. A fill is in the ledger even for an order nobody knows; what the
table does not allow is recorded and raised as an exception item. A report seen before (ExecID(17)) changes
nothing and sends nothing (I3). Quantities told to clients are the ledger's own, so reports that overtake one
another still end in agreement.
"""

from __future__ import annotations

from oms.core import fills, replies
from oms.core import tags as t
from oms.core import transitions as life
from oms.core.messages import CancelReject, Event, ExecutionReport
from oms.core.order import (
    ACCEPTED,
    OPEN_REQUEST,
    PENDING,
    REFUSED,
    Child,
    Order,
    Request,
    decimal_text,
)
from oms.core.replies import Context

_BOOKED = ("LastQty(32)", "LastPx(31)")
_ANSWERS = frozenset("456E")  # ExecTypes(150) that answer a cancel or replace


def execution_report(ctx: Context, seq: int, event: Event, msg: ExecutionReport) -> None:
    """Find the order, drop repeats, apply, relay."""
    found = _find(ctx, event, msg)
    if found is None:
        fills.for_no_order(ctx, seq, event, msg)
        return
    order, child = found
    ctx.fx.order_id = order.order_id
    if msg.problem is not None:
        text = f"{msg.problem.tag}: {msg.problem.text}"
        replies.open_item(ctx, seq, event, "unreadable_report", text, order)
        if msg.exec_type not in ("F", "H") or msg.problem.tag in _BOOKED:
            return  # but a fill that can be read is a fact, whatever else its report says
    if _is_repeat(ctx, seq, event, order, child, msg):
        return
    if msg.exec_id and msg.exec_id != "0" and msg.exec_type != "I":
        child.exec_ids.add(msg.exec_id)
    if child is not order.child:
        text = f"{child.broker} reports on {child.child_id}, which did not leave"
        replies.open_item(ctx, seq, event, "not_at_work", text, order)
        if msg.exec_type not in fills.TRADES:
            return
    child.body = ()
    if msg.order_id and not child.broker_order_id and msg.order_id != "NONE":
        child.broker_order_id = msg.order_id
        ctx.book.by_broker_order_id[child.broker, msg.order_id] = (order, child)
    if msg.exec_type == "I":
        _status_answer(ctx, seq, event, order, child, msg)
    elif msg.exec_type in ("6", "E"):
        _pending(ctx, seq, event, order, child, msg)
    elif msg.exec_type in life.EVENT_OF_EXEC_TYPE:
        _apply(ctx, seq, event, order, child, msg)
    else:
        text = f"ExecType(150) {msg.exec_type} is not known"
        replies.open_item(ctx, seq, event, "unknown_exec_type", text, order)


def _find(ctx: Context, event: Event, msg: ExecutionReport) -> tuple[Order, Child] | None:
    """By our ClOrdID(11), by OrigClOrdID(41), by the broker's OrderID(37): never by what is traded."""
    book = ctx.book
    for found in (
        book.by_broker_id.get(msg.cl_ord_id),
        book.by_broker_id.get(msg.orig_cl_ord_id),
        book.by_broker_order_id.get((event.session, msg.order_id)),
    ):
        if found is not None and found[1].broker == event.session:
            return found
    return None


def _is_repeat(ctx: Context, seq: int, event: Event, order: Order, child: Child, msg: ExecutionReport) -> bool:
    if msg.exec_type == "I":
        return False  # a state, not an event: it may quote the ExecID(17) of the last one
    if msg.exec_id in child.exec_ids:
        ctx.fx.detail["duplicate"] = True
        return True
    if msg.exec_type in fills.TRADES and ctx.book.fill_key_seen(event.session, msg.trade_date, msg.exec_id):
        text = f"ExecID(17) {msg.exec_id} was used for another fill of {msg.trade_date}: not booked"
        replies.open_item(ctx, seq, event, "exec_id_reused", text, order)
        return True
    return False


def _apply(ctx: Context, seq: int, event: Event, order: Order, child: Child, msg: ExecutionReport) -> None:
    happened = life.EVENT_OF_EXEC_TYPE[msg.exec_type]
    request = order.request_by_broker_id(msg.cl_ord_id)
    if happened == life.REJECT and request is not None and request.state in OPEN_REQUEST:
        refuse_request(ctx, seq, event, order, request, "2", msg.text, ())
        return
    if happened == life.REJECT and msg.ord_rej_reason == "6" and msg.ord_status not in ("8", ""):
        # Not this order is refused but a second copy of it; the state told is that of the first.
        text = f"a second copy was refused, the order has OrdStatus(39) {msg.ord_status}"
        replies.open_item(ctx, seq, event, "refused_as_duplicate", text, order, severity="warning")
        if order.life == life.UNKNOWN:
            _resolve_unknown(ctx, seq, event, order, child, msg)
        return
    after = life.next_state(order.life, happened)
    if after is None:
        text = f"ExecType(150) {msg.exec_type} while the order is {order.life}"
        replies.open_item(ctx, seq, event, "not_allowed", text, order)
        return
    if (order.life, happened) in life.CONTRADICTIONS:
        text = f"fill of {msg.last_qty} reported while the order is {order.life}"
        replies.open_item(ctx, seq, event, "fill_after_end", text, order)
    was_finished = order.finished
    extra: dict[str, str] = {}
    if msg.exec_type in fills.TRADES and not fills.trade(ctx, seq, event, order, child, msg, extra):
        return
    ctx.fx.detail["transition"] = [order.life, happened, after]
    order.life = child.life = after
    if "unknown_outcome" in order.open_items:
        text = f"broker reports ExecType(150) {msg.exec_type}"
        replies.resolve_item(ctx, seq, event, "unknown_outcome", order, text)
    if happened in (life.REPLACE, life.CANCEL):
        _settle_request(ctx, seq, event, order, child, request, happened, msg)
    elif happened == life.RESTATE:
        _take_terms(ctx, seq, event, order, child, None, msg)
    elif happened == life.REJECT:
        order.reason = msg.text or order.reason
        extra[t.ORD_REJ_REASON] = msg.ord_rej_reason or "0"
    _sync_pending(ctx, order, msg)
    _check_quantities(ctx, seq, event, order, child, msg)
    ctx.fx.touch(order, seq)
    if child is not order.child:
        child.last_seq = seq
        ctx.fx.children[child.child_id] = child
    if order.finished and not was_finished:
        ctx.book.finish(order)
    _relay(ctx, order, child, msg, request, extra)


def _settle_request(
    ctx: Context,
    seq: int,
    event: Event,
    order: Order,
    child: Child,
    request: Request | None,
    happened: str,
    msg: ExecutionReport,
) -> None:
    """A cancel or replace took effect: its request is answered, a replace brings its terms."""
    if request is None or request.state not in OPEN_REQUEST:
        if happened == life.REPLACE:  # a broker's own replace
            _take_terms(ctx, seq, event, order, child, None, msg)
        return
    request.state = ACCEPTED
    ctx.fx.requests[request.seq] = request
    if happened == life.REPLACE:
        _take_terms(ctx, seq, event, order, child, request, msg)
        order.cl_ord_id = request.cl_ord_id
        child.cl_ord_id = request.broker_cl_ord_id


def _take_terms(
    ctx: Context, seq: int, event: Event, order: Order, child: Child, request: Request | None, msg: ExecutionReport
) -> None:
    """The terms a broker confirms; those it does not state are as asked for, or stay as they were."""
    qty = msg.order_qty
    if qty is not None and qty <= 0:
        text = f"OrderQty(38) {decimal_text(qty)} in ExecType(150) {msg.exec_type} was not taken over"
        replies.open_item(ctx, seq, event, "wrong_quantity", text, order)
        qty = None
    if qty is None and request is not None and request.order_qty is not None:
        qty = max(request.order_qty, order.cum_qty)  # less than what has traded means: stop there
    asked: Request | Order = order if request is None else request
    order.order_qty = child.order_qty = order.order_qty if qty is None else qty
    order.price = child.price = asked.price if msg.price is None else msg.price
    order.stop_px = child.stop_px = asked.stop_px if msg.stop_px is None else msg.stop_px


def _pending(ctx: Context, seq: int, event: Event, order: Order, child: Child, msg: ExecutionReport) -> None:
    """Pending cancel or pending replace: the broker has the request, and has not decided."""
    kind = "F" if msg.exec_type == "6" else "G"
    request = order.request_by_broker_id(msg.cl_ord_id)
    if request is None or request.kind != kind:
        request = next((one for one in order.pending_requests if one.kind == kind), None)
    if request is not None and request.state in OPEN_REQUEST:
        request.state = PENDING
        ctx.fx.requests[request.seq] = request
    _check_quantities(ctx, seq, event, order, child, msg)
    ctx.fx.touch(order, seq)
    _relay(ctx, order, child, msg, request, {})


def _sync_pending(ctx: Context, order: Order, msg: ExecutionReport) -> None:
    """OrdStatus(39) 6 or E on another report says that the request is pending, even if no report said so."""
    kind = {"6": "F", "E": "G"}.get(msg.ord_status)
    if kind is None:
        return
    request = next((one for one in order.pending_requests if one.kind == kind and one.state != PENDING), None)
    if request is not None and not any(one.kind == kind and one.state == PENDING for one in order.requests):
        request.state = PENDING
        ctx.fx.requests[request.seq] = request


def _check_quantities(ctx: Context, seq: int, event: Event, order: Order, child: Child, msg: ExecutionReport) -> None:
    """Raise what does not add up: more than ordered, or a broker's CumQty(14) that is not ours."""
    if order.cum_qty > order.order_qty:
        text = f"filled {decimal_text(order.cum_qty)} of OrderQty(38) {decimal_text(order.order_qty)}"
        replies.open_item(ctx, seq, event, "overfill", text, order)
    if msg.cum_qty is None:
        return
    if msg.cum_qty != child.cum_qty:
        text = f"broker's CumQty(14) {decimal_text(msg.cum_qty)}, ledger's {decimal_text(child.cum_qty)}"
        replies.open_item(ctx, seq, event, "quantity_mismatch", text, order, severity="warning")
    elif "quantity_mismatch" in order.open_items:
        text = f"CumQty(14) {decimal_text(msg.cum_qty)} agrees in journal row {seq}"
        replies.resolve_item(ctx, seq, event, "quantity_mismatch", order, text)


def _relay(
    ctx: Context,
    order: Order,
    child: Child,
    msg: ExecutionReport,
    request: Request | None,
    extra: dict[str, str],
) -> None:
    """The client's report: the broker's event, in the client's ids, with the ledger's quantities."""
    answered = request is not None and msg.exec_type in _ANSWERS
    cl_ord_id = order.to_client.get(msg.cl_ord_id, order.cl_ord_id)
    if request is not None and answered:
        cl_ord_id = request.cl_ord_id
    if msg.orig_cl_ord_id in order.to_client:  # the last id the broker accepted, which may not be the one asked for
        extra[t.ORIG_CL_ORD_ID] = order.to_client[msg.orig_cl_ord_id]
    elif request is not None and answered:
        extra[t.ORIG_CL_ORD_ID] = request.orig_cl_ord_id
    offers = ((t.SECONDARY_ORDER_ID, child.broker_order_id), (t.SECONDARY_EXEC_ID, msg.exec_id))
    replies.report(ctx, order, msg.exec_type, cl_ord_id=cl_ord_id, extra=extra, body=msg.body, offers=offers)


def _status_answer(ctx: Context, seq: int, event: Event, order: Order, child: Child, msg: ExecutionReport) -> None:
    """The answer to an OrderStatusRequest(H): the client's is relayed, our own settles an unknown order."""
    _check_quantities(ctx, seq, event, order, child, msg)
    if msg.ord_status == "8" and order.life != life.UNKNOWN and order.leaves_qty:
        text = f"broker answers OrdStatus(39) 8 for {order.life} order: {msg.text}"
        replies.open_item(ctx, seq, event, "broker_unknown_order", text, order)
    if order.life == life.UNKNOWN:
        _resolve_unknown(ctx, seq, event, order, child, msg)
    if child.status_requests:
        asked = child.status_requests.pop(0)
        replies.report(ctx, order, "I", cl_ord_id=asked, exec_id="0", body=msg.body)


def _resolve_unknown(ctx: Context, seq: int, event: Event, order: Order, child: Child, msg: ExecutionReport) -> None:
    """The broker's word on an order we were unsure of. Fills it knows of come as reports, never from here."""
    happened = {"8": life.REJECT, "4": life.CANCEL, "C": life.EXPIRE, "A": life.ACKNOWLEDGE}.get(
        msg.ord_status, life.ACCEPT
    )
    after = life.next_state(order.life, happened)
    if after is None:
        return
    ctx.fx.detail["transition"] = [order.life, happened, after]
    order.life = child.life = after
    replies.resolve_item(ctx, seq, event, "unknown_outcome", order, f"broker says OrdStatus(39) {msg.ord_status}")
    if happened == life.REJECT:
        order.reason = msg.text or "the broker does not know the order"
        extra = {t.ORD_REJ_REASON: "0", t.TEXT: order.reason[:500]}
        ctx.book.finish(order)
        replies.report(ctx, order, "8", extra=extra, at=event.received_at)
    ctx.fx.touch(order, seq)


def cancel_reject(ctx: Context, seq: int, event: Event, msg: CancelReject) -> None:
    """A broker refused a cancel or replace: the request is over, the order is as it was."""
    found = ctx.book.by_broker_id.get(msg.cl_ord_id)
    request = found[0].request_by_broker_id(msg.cl_ord_id) if found else None
    if found is None or request is None or found[1].broker != event.session:
        text = f"OrderCancelReject(9) for no request of ours: ClOrdID(11) {msg.cl_ord_id}"
        replies.open_item(ctx, seq, event, "unknown_request", text, None, severity="warning")
        return
    order = found[0]
    ctx.fx.order_id = order.order_id
    if request.state not in OPEN_REQUEST:
        ctx.fx.detail["duplicate"] = True
        return
    if msg.cxl_rej_reason == "1" and order.leaves_qty:
        text = f"broker says unknown order for {order.life} order: {msg.text}"
        replies.open_item(ctx, seq, event, "broker_unknown_order", text, order)
    orig = order.to_client.get(msg.orig_cl_ord_id, "")
    refuse_request(ctx, seq, event, order, request, msg.cxl_rej_reason or "2", msg.text, msg.body, orig)


def refuse_request(
    ctx: Context,
    seq: int,
    event: Event,
    order: Order,
    request: Request,
    reason: str,
    text: str,
    body: tuple[tuple[str, str], ...],
    orig_cl_ord_id: str = "",
) -> None:
    """Close a request as refused and tell the client, in its own ids; `orig_cl_ord_id` as a broker quotes it."""
    was_finished = order.finished
    request.state = REFUSED
    ctx.fx.requests[request.seq] = request
    ctx.fx.touch(order, seq)
    if order.finished and not was_finished:
        ctx.book.finish(order)
    replies.cancel_reject(
        ctx,
        order.client,
        order,
        kind=request.kind,
        cl_ord_id=request.cl_ord_id,
        orig_cl_ord_id=orig_cl_ord_id or request.orig_cl_ord_id,
        reason=reason,
        text=text,
        at=event.received_at,
        body=body,
    )
