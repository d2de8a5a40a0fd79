"""What clients order: NewOrderSingle(D), OrderCancelRequest(F), OrderCancelReplaceRequest(G).

Every request ends in exactly one of: a message to a broker, an answer to the client, or both never (a request
held for a broker that is logged out is answered with pending cancel). Cancels are never refused for risk.
Ids given out: OrderID(37) from the journal row of the order, ClOrdID(11) to brokers from the row that sends.
"""

from __future__ import annotations

from oms.core import cancel_new, replies, trading
from oms.core import risk as codes
from oms.core import tags as t
from oms.core import transitions as life
from oms.core.book import number_id
from oms.core.judge import SOFT, Verdict
from oms.core.messages import (
    CancelRequest,
    Event,
    NewOrder,
    Outgoing,
    Pairs,
    ReplaceRequest,
)
from oms.core.order import HELD, SENT, Child, Order, Request
from oms.core.replace_discipline import OUTSTANDING
from oms.core.replies import Context
from oms.core.risk import Asked
from oms.core.routing import Routable

NOBODY: frozenset[str] = frozenset()
ALREADY_PENDING = "3"  # CxlRejReason(102): already in pending cancel or pending replace status


def new_order(ctx: Context, seq: int, event: Event, msg: NewOrder) -> None:
    """Judge, then route or refuse. A ClOrdID(11) used already on this trading day is refused (103=6)."""
    if msg.problem is not None:
        ctx.fx.detail["refused"] = msg.problem.text
        replies.reject_unbooked(
            ctx, event, _echo(msg), msg.problem.ord_rej_reason, f"{msg.problem.tag}: {msg.problem.text}"
        )
        return
    if ctx.book.client_key_seen(event.session, event.trade_date, msg.cl_ord_id):
        _known_cl_ord_id(ctx, event, msg)
        return
    order = _order_of(seq, event, msg)
    ctx.book.note_client_key(event.session, event.trade_date, msg.cl_ord_id)
    verdict = ctx.judge.new_order(asked_of(order), routable(order, msg.body), NOBODY)
    record(ctx, verdict)
    ctx.book.add(order)
    _warn(ctx, seq, event, order, verdict)
    trading.told(ctx, seq, event, verdict)
    if verdict.ok:
        route_child(ctx, seq, order, verdict, msg.body)
    else:
        refuse_order(ctx, seq, event, order, verdict.ord_rej_reason, verdict.text)


def _known_cl_ord_id(ctx: Context, event: Event, msg: NewOrder) -> None:
    order = ctx.book.by_client_id.find(event.session, msg.cl_ord_id, event.trade_date)
    if msg.poss_resend and order is not None:
        # PossResend(97)=Y of an order we have: the standard asks for its state, not for a reject.
        ctx.fx.detail["repeat"] = order.order_id
        ctx.fx.order_id = order.order_id
        replies.report(ctx, order, "I", cl_ord_id=msg.cl_ord_id, exec_id="0", at=event.received_at)
        return
    text = f"ClOrdID(11) {msg.cl_ord_id} was used already on this trading day"
    ctx.fx.detail["refused"] = text
    if order is None:
        replies.reject_unbooked(ctx, event, _echo(msg), codes.DUPLICATE, text)
        return
    # The standard's answer (scenario F.1.a) refuses the second order in the state of the first, which goes on.
    ctx.fx.order_id = order.order_id
    extra = {t.ORD_REJ_REASON: codes.DUPLICATE, t.TEXT: text}
    replies.report(ctx, order, "8", cl_ord_id=msg.cl_ord_id, extra=extra, at=event.received_at)


def _echo(msg: NewOrder) -> dict[str, str]:
    fields = {t.CL_ORD_ID: msg.cl_ord_id, t.SYMBOL: msg.symbol, t.SIDE: msg.side}
    if msg.account:
        fields[t.ACCOUNT] = msg.account
    for tag, value in msg.body:
        if tag in (t.ORDER_QTY, t.ORD_TYPE, t.PRICE):
            fields[tag] = value
    wrong = msg.problem.tag.partition("(")[2].rstrip(")") if msg.problem is not None else t.CL_ORD_ID
    # What was wrong is not echoed as if it were a value; but a name (id, symbol, account) alone says what is meant.
    if wrong not in (t.CL_ORD_ID, t.SYMBOL, t.ACCOUNT):
        fields.pop(wrong, None)
    return fields


def _order_of(seq: int, event: Event, msg: NewOrder) -> Order:
    return Order(
        order_id=number_id("O", seq),
        client=event.session,
        original_cl_ord_id=msg.cl_ord_id,
        account=msg.account,
        trader=msg.trader,
        symbol=msg.symbol,
        security_exchange=msg.security_exchange,
        side=msg.side,
        ord_type=msg.ord_type,
        time_in_force=msg.time_in_force,
        ex_destination=msg.ex_destination,
        original_order_qty=msg.order_qty,
        original_price=msg.price,
        original_stop_px=msg.stop_px,
        trade_date=event.trade_date,
        received_at=event.received_at,
        new_seq=seq,
        last_seq=seq,
        cl_ord_id=msg.cl_ord_id,
        order_qty=msg.order_qty,
        price=msg.price,
        stop_px=msg.stop_px,
    )


def asked_of(order: Order) -> Asked:
    """What risk judges of an order as it stands."""
    return Asked(
        order.client,
        order.account,
        order.symbol,
        order.side,
        order.ord_type,
        order.time_in_force,
        order.order_qty,
        order.price,
        order.stop_px,
        order.trader,
        order.cum_qty,
        order.received_at,
        order.trade_date,
        order.counted,
    )


def routable(order: Order, body: Pairs) -> Routable:
    """What routing looks at of an order and of the message that is to go out."""
    return Routable(
        order.client,
        order.account,
        order.symbol,
        order.security_exchange,
        order.ord_type,
        order.time_in_force,
        order.ex_destination,
        frozenset([tag for tag, _ in body]),
        body,
    )


def record(ctx: Context, verdict: Verdict) -> None:
    """Write the verdict into the decision of the event in hand; replay reads it back from there."""
    detail = ctx.fx.detail
    found: dict[str, object] = {"ok": verdict.ok}
    for name in ("rule", "text", "ord_rej_reason", "broker", "route_rule"):
        value = getattr(verdict, name)
        if value:
            found[name] = value
    detail["verdict"] = found
    detail.update(verdict.detail)


def _warn(ctx: Context, seq: int, event: Event, order: Order, verdict: Verdict) -> None:
    """Raise what only soft limits say against an order that passes."""
    if not verdict.ok:
        return
    said = [f"{rule}: {text}" for rule, _, text in verdict.detail.get("checks", ()) if text.startswith(SOFT)]
    if said:
        replies.open_item(ctx, seq, event, "soft_limit", "; ".join(said), order, severity="warning")


def route_child(ctx: Context, seq: int, order: Order, verdict: Verdict, body: Pairs) -> None:
    """Send the order to the broker of the verdict as a new child with an id of its own."""
    out_seq = ctx.book.take_seq()
    child = Child(
        child_id=number_id("C", out_seq),
        order_id=order.order_id,
        broker=verdict.broker,
        route_rule=verdict.route_rule,
        order_qty=order.order_qty,
        price=order.price,
        stop_px=order.stop_px,
        sent_seq=out_seq,
        last_seq=seq,
        body=body,
    )
    child.cl_ord_id = child.child_id
    order.children.append(child)
    order.link(order.original_cl_ord_id, child.child_id)
    order.life = life.next_state(order.life, life.ROUTE) or order.life
    ctx.book.add_child(order, child)
    ctx.fx.touch(order, seq)
    ctx.fx.outgoing.append(Outgoing(out_seq, child.broker, "D", order.order_id, {t.CL_ORD_ID: child.child_id}, body))


def refuse_order(ctx: Context, seq: int, event: Event, order: Order, reason: str, text: str) -> None:
    """The order ends rejected by a rule of ours; the client is told which and with what numbers."""
    order.life = life.REJECTED
    order.reason = text
    if order.child is not None:
        order.child.life = life.REJECTED
    ctx.fx.touch(order, seq)
    ctx.book.finish(order)
    extra = {t.ORD_REJ_REASON: reason, t.TEXT: text[:500]}
    replies.report(ctx, order, "8", extra=extra, at=event.received_at)


def cancel(ctx: Context, seq: int, event: Event, msg: CancelRequest) -> None:
    """Pass a cancel on; refuse only what is unknown, a duplicate id, or already over."""
    order = _order_for_request(ctx, event, "F", msg.cl_ord_id, msg.orig_cl_ord_id)
    if order is None:
        return
    if msg.problem is not None:
        text = f"{msg.problem.tag}: {msg.problem.text}"
        _refuse_request(ctx, event, order, "F", msg.cl_ord_id, msg.orig_cl_ord_id, "2", text)
        return
    child = order.child
    if child is None or not order.leaves_qty or order.life in life.TERMINAL:
        _refuse_request(ctx, event, order, "F", msg.cl_ord_id, msg.orig_cl_ord_id, "0", "too late to cancel")
        return
    request = _new_request(ctx, seq, event, order, "F", msg.cl_ord_id, msg.orig_cl_ord_id)
    up = ctx.judge.is_up(child.broker)
    ctx.fx.detail["broker_up"] = up
    if up:
        replies.request_to_broker(ctx, order, child, request, msg.body, event.received_at)
    else:
        hold_cancel(ctx, event, order, request)


def hold_cancel(ctx: Context, event: Event, order: Order, request: Request) -> None:
    """Keep a cancel for a broker that is logged out; it leaves at the next logon, and the client is told."""
    request.state = HELD
    ctx.fx.requests[request.seq] = request
    broker = order.child.broker if order.child else ""
    text = f"{broker} is logged out: the cancel leaves at its next logon"
    extra = order.told(request) | {t.TEXT: text}
    replies.report(ctx, order, "6", extra=extra, at=event.received_at)


def replace(ctx: Context, seq: int, event: Event, msg: ReplaceRequest) -> None:
    """Judge the terms the order would have, then pass the replace on or refuse it (order unchanged)."""
    order = _order_for_request(ctx, event, "G", msg.cl_ord_id, msg.orig_cl_ord_id)
    if order is None:
        return
    ids = ("G", msg.cl_ord_id, msg.orig_cl_ord_id)
    child = order.child
    if msg.problem is not None:
        _refuse_request(ctx, event, order, *ids, "2", f"{msg.problem.tag}: {msg.problem.text}")
        return
    if child is None or order.life in life.TERMINAL:
        _refuse_request(ctx, event, order, *ids, "0", "too late to replace")
        return
    changed = _fixed_terms_changed(order, msg)
    if changed:
        _refuse_request(ctx, event, order, *ids, "2", f"a replace may not change {changed}: cancel and order anew")
        return
    asked = asked_of(order)._replace(
        ord_type=msg.ord_type,
        order_qty=msg.order_qty if msg.order_qty is not None else order.order_qty,
        price=msg.price,
        stop_px=msg.stop_px,
        at=event.received_at,
        trade_date=event.trade_date,
        adds_risk=trading.adds_risk(order, msg.order_qty or order.order_qty, msg.price, msg.stop_px),
    )
    by_cancel_new = cancel_new.in_use(ctx, child)
    if by_cancel_new and order.pending_requests:
        _refuse_request(ctx, event, order, *ids, "3", f"{child.broker} takes one change of an order at a time")
        return
    verdict = ctx.judge.undisciplined(order, asked, child.broker) or ctx.judge.replace(asked, child.broker, msg.body)
    record(ctx, verdict)
    _warn(ctx, seq, event, order, verdict)
    if not verdict.ok:
        trading.told(ctx, seq, event, verdict)
        reason = ALREADY_PENDING if verdict.rule == OUTSTANDING else "2"
        _refuse_request(ctx, event, order, *ids, reason, verdict.text)
        return
    order.replaced_at = event.received_at
    request = _new_request(ctx, seq, event, order, *ids)
    request.order_qty, request.price, request.stop_px = asked.order_qty, asked.price, asked.stop_px
    if by_cancel_new:
        cancel_new.begin(ctx, event, order, child, request, msg.body)
        return
    replies.request_to_broker(ctx, order, child, request, msg.body, event.received_at)


def _fixed_terms_changed(order: Order, msg: ReplaceRequest) -> str:
    """The field of an order that no replace may change here, '' if none is changed.

    The standard lets some of them change; the ledger's order has one value each, so this gateway does not.
    """
    given = dict(msg.body)
    for name, tag, before, after in (
        ("Symbol(55)", t.SYMBOL, order.symbol, msg.symbol),
        ("Side(54)", t.SIDE, order.side, msg.side),
        ("OrdType(40)", t.ORD_TYPE, order.ord_type, msg.ord_type),
        ("Account(1)", t.ACCOUNT, order.account, order.account),
        ("TimeInForce(59)", t.TIME_IN_FORCE, order.time_in_force or "0", order.time_in_force or "0"),
    ):
        if given.get(tag, after) != before:
            return name
    return ""


def _order_for_request(ctx: Context, event: Event, kind: str, cl_ord_id: str, orig_cl_ord_id: str) -> Order | None:
    """The order a cancel or replace means; None if it was answered here (unknown, or its id is used up)."""
    ids = ctx.book.by_client_id
    order = ids.alive(event.session, orig_cl_ord_id) if kind == "F" else None
    order = order or ids.find(event.session, orig_cl_ord_id, event.trade_date)
    if order is None:
        text = f"OrigClOrdID(41) {orig_cl_ord_id} is not an order of yours"
        _refuse_request(ctx, event, None, kind, cl_ord_id, orig_cl_ord_id, "1", text)
        return None
    ctx.fx.order_id = order.order_id
    if ctx.book.client_key_seen(event.session, event.trade_date, cl_ord_id):
        text = f"ClOrdID(11) {cl_ord_id} was used already on this trading day"
        _refuse_request(ctx, event, order, kind, cl_ord_id, orig_cl_ord_id, "6", text)
        return None
    return order


def _refuse_request(
    ctx: Context,
    event: Event,
    order: Order | None,
    kind: str,
    cl_ord_id: str,
    orig_cl_ord_id: str,
    reason: str,
    text: str,
) -> None:
    ctx.fx.detail["refused"] = text
    replies.cancel_reject(
        ctx,
        event.session,
        order,
        kind=kind,
        cl_ord_id=cl_ord_id,
        orig_cl_ord_id=orig_cl_ord_id,
        reason=reason,
        text=text,
        at=event.received_at,
    )


def _new_request(
    ctx: Context, seq: int, event: Event, order: Order, kind: str, cl_ord_id: str, orig_cl_ord_id: str
) -> Request:
    request = Request(
        seq=seq,
        client=event.session,
        trade_date=event.trade_date,
        kind=kind,
        cl_ord_id=cl_ord_id,
        orig_cl_ord_id=orig_cl_ord_id,
        order_id=order.order_id,
        broker_cl_ord_id=number_id("C", seq),
        state=SENT,
    )
    order.requests.append(request)
    order.link(cl_ord_id, request.broker_cl_ord_id)
    ctx.book.note_client_key(event.session, event.trade_date, cl_ord_id)
    ctx.book.by_client_id.use(order, cl_ord_id)
    child = order.child
    if child is not None:
        ctx.book.by_broker_id[request.broker_cl_ord_id] = (order, child)
    ctx.fx.requests[request.seq] = request
    ctx.fx.touch(order, seq)
    return request
