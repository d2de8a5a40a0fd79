"""What brokers report: ExecutionReport(8) and OrderCancelReject(9), applied to orders and relayed to clients.

Law: what a broker says happened, happened. A fill is in the ledger even for an order nobody knows; what the
table does not allow is recorded and raised as an exception item. A report seen before (ExecID(17)) changes
nothing and sends nothing (I3). Quantities told to clients are the ledger's own, so reports that overtake one
another still end in agreement.
"""

from __future__ import annotations

from oms.core import adopt, cancel_new, fills, manual, quantities, reconcile, replies, restate
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
    found = _find(ctx, event, msg) or _of_no_order(ctx, seq, event, msg)
    if found is None:
        return
    order, child = found
    ctx.fx.order_id = order.order_id
    if msg.exec_type not in ("I", "8"):  # what an answer tells may be older than what came before it
        child.heard = seq
    if msg.problem is not None:
        text = f"{msg.problem.tag}: {msg.problem.text}"
        replies.open_item(ctx, seq, event, "unreadable_report", text, order)
        if msg.exec_type not in ("F", "H") or msg.problem.tag in _BOOKED:
            return  # but a fill that can be read is a fact, whatever else its report says
    if _is_repeat(ctx, seq, event, order, child, msg):
        return
    if msg.exec_id and msg.exec_id != "0" and msg.exec_type != "I":
        child.exec_ids.add(msg.exec_id)
    if msg.exec_type not in fills.TRADES and msg.cum_qty is not None:
        child.told.total(msg.cum_qty)
    if order.requests and _by_cancel_new(ctx, seq, event, order, child, msg):
        return
    if child is not order.child:
        text = f"{child.broker} reports on {child.child_id}, which did not leave"
        replies.open_item(ctx, seq, event, "not_at_work", text, order)
        if msg.exec_type not in fills.TRADES:
            return
    child.body = ()
    _note_order_id(ctx, seq, order, child, msg)
    if msg.exec_type == "I":
        _status_answer(ctx, seq, event, order, child, msg)
    elif msg.exec_type in ("6", "E"):
        _pending(ctx, seq, event, order, child, msg)
    elif msg.exec_type in life.EVENT_OF_EXEC_TYPE:
        _apply(ctx, seq, event, order, child, msg)
    else:
        text = f"ExecType(150) {msg.exec_type} is not known"
        replies.open_item(ctx, seq, event, "unknown_exec_type", text, order)


def _note_order_id(ctx: Context, seq: int, order: Order, child: Child, msg: ExecutionReport) -> None:
    """The broker's OrderID(37): the first it tells, and the one of a Replaced, where some brokers give a new one."""
    known, told = child.broker_order_id, msg.order_id
    if not told or told in (known, "NONE") or (known and msg.exec_type != "5"):
        return
    ctx.book.told_order_id(order, child, told)
    child.last_seq = seq  # written even where the report itself changes nothing
    ctx.fx.children[child.child_id] = child


def _by_cancel_new(ctx: Context, seq: int, event: Event, order: Order, child: Child, msg: ExecutionReport) -> bool:
    """Whether the report belongs to a replace by cancel and new (`cancel_new`) and was dealt with there."""
    if child is order.child:
        _note_order_id(ctx, seq, order, child, msg)
    return cancel_new.takes_over(ctx, seq, event, order, child, msg)


def _find(ctx: Context, event: Event, msg: ExecutionReport) -> tuple[Order, Child] | None:
    """By our ClOrdID(11), by OrigClOrdID(41), by the broker's OrderID(37): never by what is traded."""
    book = ctx.book
    for found in (
        book.at_broker(msg.cl_ord_id),
        book.by_broker_id.get(msg.orig_cl_ord_id),
        book.by_broker_order_id.newest(event.session, msg.order_id),
    ):
        if found is not None and found[1].broker == event.session:
            return found
    return adopt.find(ctx, event, msg)


def _of_no_order(ctx: Context, seq: int, event: Event, msg: ExecutionReport) -> tuple[Order, Child] | None:
    """A report for no order of ours: of one that is adopted now, or else kept, answered and raised."""
    if fills.was_booked(ctx, event, msg) or reconcile.is_of_no_order(ctx, seq, event, msg):
        return None
    found = adopt.adopt(ctx, seq, event, msg)
    if found is None:
        fills.for_no_order(ctx, seq, event, msg)
    return found


def _is_repeat(ctx: Context, seq: int, event: Event, order: Order, child: Child, msg: ExecutionReport) -> bool:
    if msg.exec_type == "I":
        return False  # a state, not an event: it may quote the ExecID(17) of the last one
    if msg.exec_type not in fills.TRADES:
        if msg.exec_id in child.exec_ids:
            ctx.fx.detail["duplicate"] = True
            return True
        return False
    booked = child.booked.get(msg.exec_id)
    if booked is not None and msg.exec_id in child.manual:
        manual.reported(ctx, seq, event, order, child, msg)
        return True
    if booked == msg.trade_date:
        ctx.fx.detail["duplicate"] = True
        return True
    if booked is not None or ctx.book.fill_key_seen(event.session, msg.trade_date, msg.exec_id):
        text = f"ExecID(17) {msg.exec_id} was used for another fill of {msg.trade_date}: not booked"
        replies.open_item(ctx, seq, event, "exec_id_reused", text, order)
        return True
    return False


def _apply(ctx: Context, seq: int, event: Event, order: Order, child: Child, msg: ExecutionReport) -> None:
    happened = life.EVENT_OF_EXEC_TYPE[msg.exec_type]
    request = order.request_by_broker_id(msg.cl_ord_id)
    if happened == life.REJECT and _is_of_something_else(ctx, seq, event, order, child, request, msg):
        return
    after = _state_after(order, child, request, happened, msg)
    if after is None:
        text = f"ExecType(150) {msg.exec_type} while the order is {order.life}"
        replies.open_item(ctx, seq, event, "not_allowed", text, order)
        return
    if (order.life, happened) in life.CONTRADICTIONS and not _is_before_end(child, msg):
        text = f"fill of {msg.last_qty} reported while the order is {order.life}"
        replies.open_item(ctx, seq, event, "fill_after_end", text, order)
    was_finished = order.finished
    extra: dict[str, str] = {}
    if msg.exec_type in fills.TRADES and not fills.trade(ctx, seq, event, order, child, msg, extra):
        quantities.check(ctx, seq, event, order, child, msg, applied=False)
        return
    ctx.fx.detail["transition"] = [order.life, happened, after]
    if order.life != after:
        child.life_cum_qty = msg.cum_qty
    order.life = child.life = after
    if "unknown_outcome" in order.open_items:
        text = f"broker reports ExecType(150) {msg.exec_type}"
        replies.resolve_item(ctx, seq, event, "unknown_outcome", order, text)
    if happened in (life.REPLACE, life.CANCEL):
        _settle_request(ctx, seq, event, order, child, request, happened, msg)
    elif happened == life.RESTATE:
        restate.executions(ctx, seq, event, order, child, msg)
        _take_terms(ctx, seq, event, order, child, None, msg)
    elif happened == life.REJECT:
        order.reason = msg.text or order.reason
        extra[t.ORD_REJ_REASON] = msg.ord_rej_reason or "0"
    _sync_pending(ctx, order, msg)
    ctx.fx.touch(order, seq)
    if child is not order.child:
        child.last_seq = seq
        ctx.fx.children[child.child_id] = child
    _relay(ctx, order, child, msg, request, extra)
    fills.release(ctx, seq, event, order, child, msg.exec_id)
    quantities.check(ctx, seq, event, order, child, msg)
    if order.finished and not was_finished:
        ctx.book.finish(order)


def _is_of_something_else(
    ctx: Context, seq: int, event: Event, order: Order, child: Child, request: Request | None, msg: ExecutionReport
) -> bool:
    """Whether a reject is not of this order: of a request about it, of a question, of a second copy; dealt with."""
    if request is not None and request.state in OPEN_REQUEST:
        refuse_request(ctx, seq, event, order, request, "2", msg.text, ())
    elif reconcile.is_unknown_there(ctx, order, msg):
        _status_answer(ctx, seq, event, order, child, msg)
    elif msg.ord_rej_reason == "6" and msg.ord_status not in ("8", ""):  # the state told is that of the first copy
        text = f"a second copy was refused, the order has OrdStatus(39) {msg.ord_status}"
        replies.open_item(ctx, seq, event, "refused_as_duplicate", text, order, severity="warning")
        if order.life == life.UNKNOWN:
            _resolve_unknown(ctx, seq, event, order, child, msg)
    else:
        return False
    return True


def _state_after(
    order: Order, child: Child, request: Request | None, happened: str, msg: ExecutionReport
) -> str | None:
    """The state of life that follows; a report that others have overtaken leaves it as it is."""
    state = order.life
    if (state, happened) in life.CONTRADICTIONS and _is_before_end(child, msg):
        return state
    if happened == life.REPLACE and state in (life.CANCELED, life.EXPIRED):
        answers = request is not None and request.kind == "G" and request.state != REFUSED
        return state if answers else None
    after = life.next_state(life.WORKING if restate.is_renewed(order, child, msg) else state, happened)
    if after == life.WORKING and happened != life.TRADE and state not in life.UNACKNOWLEDGED:
        told, then = msg.cum_qty, child.life_cum_qty
        if told is not None and then is not None and told < then and told < child.cum_qty:
            return state
    return after


def _is_before_end(child: Child, msg: ExecutionReport) -> bool:
    """Whether a fill is in the CumQty(14) that the report of the order's end told: that report overtook it."""
    told = msg.cum_qty
    return told is not None and child.life_cum_qty is not None and told <= child.life_cum_qty


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
    if request is None or request.state == REFUSED:
        if happened == life.REPLACE:  # a broker's own replace
            _take_terms(ctx, seq, event, order, child, None, msg)
            if not order.client:
                adopt.replaced(ctx, order, child, msg.cl_ord_id)
        return
    request.state = ACCEPTED
    ctx.fx.requests[request.seq] = request
    overtaken = any(one.kind == "G" and one.state == ACCEPTED and one.seq > request.seq for one in order.requests)
    if happened == life.REPLACE and not overtaken:
        _take_terms(ctx, seq, event, order, child, request, msg)
        order.cl_ord_id = request.cl_ord_id
        child.cl_ord_id = request.broker_cl_ord_id


def _take_terms(
    ctx: Context, seq: int, event: Event, order: Order, child: Child, request: Request | None, msg: ExecutionReport
) -> None:
    """The terms a broker confirms; those it does not state are as asked for, or stay as they were."""
    before = order.cum_qty - child.cum_qty  # by children of the order that were canceled to be replaced
    qty = None if msg.order_qty is None else msg.order_qty + before
    if msg.order_qty is not None and msg.order_qty <= 0:
        text = f"OrderQty(38) {decimal_text(msg.order_qty)} in ExecType(150) {msg.exec_type} was not taken over"
        replies.open_item(ctx, seq, event, "wrong_quantity", text, order)
        qty = None
    if qty is None and request is not None and request.order_qty is not None:
        qty = max(request.order_qty, order.cum_qty)  # less than what has traded means: stop there
    asked: Request | Order = order if request is None else request
    order.order_qty = order.order_qty if qty is None else qty
    child.order_qty = order.order_qty - before
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
    quantities.check(ctx, seq, event, order, child, msg)
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


def _relay(
    ctx: Context,
    order: Order,
    child: Child,
    msg: ExecutionReport,
    request: Request | None,
    extra: dict[str, str],
) -> None:
    """The client's report: the broker's event, in the client's ids, with the ledger's quantities."""
    of_mass_cancel = request is not None and request.of_mass_cancel  # the client has no id for that
    answered = request is not None and msg.exec_type in _ANSWERS and not of_mass_cancel
    cl_ord_id = order.to_client.get(msg.cl_ord_id, order.cl_ord_id)
    if request is not None and answered:
        cl_ord_id = request.cl_ord_id
    # The last id the broker accepted may not be the one asked for.
    if msg.orig_cl_ord_id in order.to_client and not of_mass_cancel:
        extra[t.ORIG_CL_ORD_ID] = order.to_client[msg.orig_cl_ord_id]
    elif request is not None and answered:
        extra[t.ORIG_CL_ORD_ID] = request.orig_cl_ord_id
    if msg.exec_type == "0" and msg.ord_status == "0" and not order.cum_qty and order.life == life.WORKING:
        extra[t.ORD_STATUS] = "0"  # told as the broker does, although a cancel may be pending (scenario B.1.d)
    offers = ((t.SECONDARY_ORDER_ID, child.broker_order_id), (t.SECONDARY_EXEC_ID, msg.exec_id))
    replies.report(ctx, order, msg.exec_type, cl_ord_id=cl_ord_id, extra=extra, body=msg.body, offers=offers)


def _status_answer(ctx: Context, seq: int, event: Event, order: Order, child: Child, msg: ExecutionReport) -> None:
    """The answer to an OrderStatusRequest(H): the client's is relayed, our own settles an unknown order."""
    quantities.check(ctx, seq, event, order, child, msg)
    if msg.ord_status == "8" and order.life != life.UNKNOWN and order.leaves_qty:
        text = f"broker answers OrdStatus(39) 8 for {order.life} order: {msg.text}"
        replies.open_item(ctx, seq, event, "broker_unknown_order", text, order)
    if order.life == life.UNKNOWN:
        _resolve_unknown(ctx, seq, event, order, child, msg)
    reconcile.answer(ctx, seq, event, order, child, msg)
    child.heard = seq
    replies.status_answer(ctx, order, child, body=msg.body)


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
        replies.report(ctx, order, "8", extra=extra, at=event.received_at)
    if order.finished:
        ctx.book.finish(order)
    ctx.fx.touch(order, seq)


def cancel_reject(ctx: Context, seq: int, event: Event, msg: CancelReject) -> None:
    """A broker refused a cancel or replace: the request is over, the order is as it was."""
    found = ctx.book.at_broker(msg.cl_ord_id)
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
    if not order.client:  # nobody is told, so a person is
        replies.open_item(ctx, seq, event, "cancel_refused", f"the cancel was refused: {text}", order)
    replies.cancel_reject(
        ctx,
        order.client,
        order,
        kind=request.kind,
        **order.refused(request, orig_cl_ord_id),
        reason=reason,
        text=text,
        at=event.received_at,
        body=body,
    )
