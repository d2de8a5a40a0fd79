"""What sessions and the outbox tell: logons, logouts, rejects of our messages, requests that did not leave.

Invariants: a request that never left is answered at once (reject, or the next fallback), except a cancel, which
is kept for the broker's next logon. An order whose fate is not known becomes UNKNOWN, is asked for, and is an
exception item; no time-out makes it rejected.
"""

from __future__ import annotations

from oms.core import cancel_new, client_side, mass, reconcile, replies, trading
from oms.core import tags as t
from oms.core import transitions as life
from oms.core.broker_side import refuse_request
from oms.core.judge import Verdict
from oms.core.messages import Event, MessageReject, NotSent, Refused, ResendDeclined, SessionDown, SessionUp
from oms.core.order import ACCEPTED, HELD, OPEN_REQUEST, PENDING, Order, Request
from oms.core.replies import Context

DOOR_SHUT = "the door is shut"  # in the reason: too many Logon(A) with a wrong password


def session_up(ctx: Context, seq: int, event: Event, msg: SessionUp) -> None:
    """Note the logon; a position beyond what is expected next means that the numbers were reset."""
    state = ctx.book.sessions[event.session]
    state.logged_on = True
    state.changed_at = event.received_at
    if msg.next_target - 1 < state.in_msg_seq_num:
        state.epoch += 1
        state.in_msg_seq_num = msg.next_target - 1
        ctx.fx.detail["reset"] = state.epoch
    ctx.fx.sessions.add(event.session)
    if state.role == "broker":
        for order in sorted(ctx.book.orders.values(), key=lambda one: one.order_id):  # one may have come back
            _release_held(ctx, seq, event, order)


def _release_held(ctx: Context, seq: int, event: Event, order: Order) -> None:
    child = order.child
    if child is None or child.broker != event.session:
        return
    for request in order.requests:
        if request.state != HELD:
            continue
        if not order.leaves_qty:
            refuse_request(ctx, seq, event, order, request, "0", "too late to cancel", ())
        else:
            request.state = PENDING  # as the client was told
            ctx.fx.requests[request.seq] = request
            body = replies.identity_of(order, event.received_at)
            replies.request_to_broker(ctx, order, child, request, body, event.received_at)


def session_down(ctx: Context, seq: int, event: Event, msg: SessionDown) -> None:
    """Note the logout: routing passes this session over from now on."""
    state = ctx.book.sessions[event.session]
    state.logged_on = False
    state.changed_at = event.received_at
    ctx.fx.sessions.add(event.session)
    reconcile.cut(ctx, event)


def refused(ctx: Context, seq: int, event: Event, msg: Refused) -> None:
    """The engine turned a message away and answered as the session protocol asks: the record is all.

    But a report of a broker, or its copy, may have told of a fill: that is for a person to look at.
    """
    ctx.fx.detail["refused"] = msg.reason
    if DOOR_SHUT in msg.reason and msg.msg_type == "A":
        _door_shut(ctx, seq, event, msg)
    state = ctx.book.sessions.get(event.session)
    if msg.msg_type in ("8", "9") and state is not None and state.role != "client":
        text = f"the FIX engine refused a MsgType(35) {msg.msg_type}, a fill may be lost: {msg.reason}"
        replies.open_item(ctx, seq, event, "report_refused_by_engine", text, None)


def _door_shut(ctx: Context, seq: int, event: Event, msg: Refused) -> None:
    text = f"somebody does not know the password of {event.session}: {msg.reason}"
    replies.open_item(ctx, seq, event, "logons_refused", text, None, severity="warning")


def not_sent(ctx: Context, seq: int, event: Event, msg: NotSent) -> None:
    """A request did not leave. Orders go to the next fallback or are rejected, cancels are kept.

    A report that cannot leave is for a person to pass on.
    """
    state = ctx.book.sessions.get(event.session)
    if state is not None and state.role == "client":
        text = f"MsgType(35) {msg.msg_type} of journal row {msg.seq} cannot be sent to {event.session}: {msg.reason}"
        replies.open_item(ctx, seq, event, "not_delivered", text, None)
        return
    if mass.failed(ctx, seq, event, msg.cl_ord_id, msg.reason):
        return
    found = ctx.book.at_broker(msg.cl_ord_id)
    if found is None:
        return
    order, child = found
    ctx.fx.order_id = order.order_id
    if cancel_new.awaits(order, child, msg.cl_ord_id) and msg.msg_type == "D":
        cancel_new.failed(ctx, seq, event, order, msg.reason)
        return
    if msg.msg_type == "D":
        if order.life == life.ROUTED and order.child is child:
            _route_again(ctx, seq, event, order, msg.reason)
        return
    request = order.request_by_broker_id(msg.cl_ord_id)
    if msg.msg_type == "H" or request is None or request.state not in OPEN_REQUEST:
        if msg.msg_type == "H":
            replies.status_answer(ctx, order, child, at=event.received_at)
        return
    if request.kind == "F" and not order.leaves_qty:
        refuse_request(ctx, seq, event, order, request, "0", "too late to cancel", ())
    elif request.kind == "F":
        ctx.fx.touch(order, seq)
        client_side.hold_cancel(ctx, event, order, request)
    else:
        refuse_request(ctx, seq, event, order, request, "2", f"the replace did not leave: {msg.reason}", ())


def _route_again(ctx: Context, seq: int, event: Event, order: Order, reason: str) -> None:
    """The order has not left, so another broker of its rule may have it."""
    cancel = next((request for request in order.pending_requests if request.kind == "F"), None)
    if cancel is not None:
        _cancel_unsent(ctx, seq, event, order, cancel, reason)
        return
    child = order.children[-1]
    skip = frozenset(one.broker for one in order.children)
    child.life = life.REJECTED
    ctx.fx.children[child.child_id] = child
    if child.body:
        asked, order_now = client_side.asked_of(order), client_side.routable(order, child.body)
        verdict = ctx.judge.new_order(asked, order_now, skip)
    else:  # the text of the order was not kept over a restart
        verdict = Verdict(False, "route", "it was of before a restart", "0")
    client_side.record(ctx, verdict)
    trading.told(ctx, seq, event, verdict)
    if verdict.ok:
        client_side.route_child(ctx, seq, order, verdict, child.body)
    else:
        text = f"route: the order did not leave: {reason}; {verdict.text}"
        client_side.refuse_order(ctx, seq, event, order, verdict.ord_rej_reason, text)


def _cancel_unsent(ctx: Context, seq: int, event: Event, order: Order, cancel: Request, reason: str) -> None:
    """The order has not left and is not wanted any more: it ends here, no other broker is tried."""
    cancel.state = ACCEPTED
    ctx.fx.requests[cancel.seq] = cancel
    after = life.next_state(order.life, life.CANCEL) or order.life
    ctx.fx.detail["transition"] = [order.life, life.CANCEL, after]
    order.life = order.children[-1].life = after
    ctx.fx.touch(order, seq)
    if order.finished:
        ctx.book.finish(order)
    extra = order.told(cancel) | {t.TEXT: f"canceled before it left: {reason}"}
    replies.report(ctx, order, "4", extra=extra, at=event.received_at)


def resend_declined(ctx: Context, seq: int, event: Event, msg: ResendDeclined) -> None:
    """A broker missed a request and it was too late to send it again. Orders: ask; requests: refuse."""
    found = ctx.book.at_broker(msg.cl_ord_id)
    if found is None:
        return
    order, child = found
    ctx.fx.order_id = order.order_id
    if cancel_new.awaits(order, child, msg.cl_ord_id):
        cancel_new.lost(ctx, seq, event, order, child)
        return
    request = order.request_by_broker_id(msg.cl_ord_id)
    if request is not None:
        if request.state in OPEN_REQUEST:
            text = "the broker did not get the request in time; it was not sent again"
            refuse_request(ctx, seq, event, order, request, "2", text, ())
        return
    after = life.next_state(order.life, life.LOSE)
    if after is None or child is not order.child:  # another broker has it by now
        return
    ctx.fx.detail["transition"] = [order.life, life.LOSE, after]
    order.life = child.life = after
    ctx.fx.touch(order, seq)
    text = f"{child.broker} missed the order and it was not sent again; asking for its state"
    replies.open_item(ctx, seq, event, "unknown_outcome", text, order)
    facts = ctx.brokers.get(child.broker)
    if facts is not None and facts.status_requests:
        replies.status_to_broker(ctx, order, child, (), event.received_at)


def message_reject(ctx: Context, seq: int, event: Event, msg: MessageReject) -> None:
    """A counterparty would not take a message of ours: the request it was is refused, or an item tells."""
    if mass.failed(ctx, seq, event, msg.cl_ord_id, msg.text) or reconcile.refuses(ctx, seq, event, msg):
        return
    found = ctx.book.at_broker(msg.cl_ord_id) if msg.cl_ord_id else None
    what = f"MsgSeqNum(34) {msg.ref_seq_num}, MsgType(35) {msg.ref_msg_type or 'unknown'}: {msg.text}"
    if found is None or found[1].broker != event.session:
        replies.open_item(ctx, seq, event, "message_rejected", f"{event.session} refused {what}", None)
        return
    order, child = found
    ctx.fx.order_id = order.order_id
    if cancel_new.awaits(order, child, msg.cl_ord_id) and msg.ref_msg_type != "H":
        cancel_new.failed(ctx, seq, event, order, msg.text)
        return
    if msg.ref_msg_type == "H":
        reconcile.refuses_one(ctx, event, order, msg.text)
        replies.status_answer(ctx, order, child, at=event.received_at)
        return
    request = order.request_by_broker_id(msg.cl_ord_id)
    if request is not None:
        if request.state in OPEN_REQUEST:
            refuse_request(ctx, seq, event, order, request, "2", msg.text, ())
        return
    if order.life in (life.ROUTED, life.UNKNOWN):
        ctx.fx.detail["transition"] = [order.life, life.REJECT, life.REJECTED]
        replies.resolve_item(ctx, seq, event, "unknown_outcome", order, f"broker refused the message: {msg.text}")
        client_side.refuse_order(ctx, seq, event, order, "0", f"broker refused the message: {msg.text}")
    else:
        replies.open_item(ctx, seq, event, "message_rejected", f"{event.session} refused {what}", order)
