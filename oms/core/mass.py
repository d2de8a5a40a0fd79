"""Many orders at once: OrderMassCancelRequest(q), a broker's OrderMassCancelReport(r), OrderMassStatusRequest(AF).

A mass cancel means the orders of its client that live when it is taken. It goes to a broker as one request only
where the dialect has it and nothing else of ours at that broker would be hit, else order by order, under ids of
ours. Whether an order was canceled is told by its own report alone. One request per order: an order whose cancel
is under way gets none, and what a broker does not take as one request is asked for order by order.
Ledger: the client's request and each one sent to a broker are rows of `requests` with kind q and no order; a cancel
of one order is an ordinary one without OrigClOrdID(41). Which orders a broker was asked to cancel as one is in the
decision of the journal row (`mass.as_one`), from where it comes back at start-up.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from oms.core import client_side, replies
from oms.core import tags as t
from oms.core import transitions as life
from oms.core.book import MassCancel, number_id
from oms.core.messages import Event, MassCancelReport, MassCancelRequest, MassStatusRequest, Outgoing, Pairs
from oms.core.order import ACCEPTED, REFUSED, SENT, Order, Request
from oms.core.replies import Context

_NOT_DONE = "0"  # MassCancelResponse(531), request rejected
_OTHER = "99"  # MassCancelRejectReason(532)
_UNKNOWN_ORDER = "5"  # OrdRejReason(103)
_LISTED = 1000  # orders named in one report; TotalAffectedOrders(533) counts all
_UNSURE = life.UNACKNOWLEDGED - {life.PENDING_NEW}  # the broker may not have these yet


# -- OrderMassCancelRequest(q) of a client ---------------------------------------------------------------------


def cancel(ctx: Context, seq: int, event: Event, msg: MassCancelRequest) -> None:
    """Cancel the client's live orders that match, and report which those are. Never refused for risk."""
    if msg.problem is not None:
        text = f"{msg.problem.tag}: {msg.problem.text}"
        _refuse(ctx, event, msg, msg.problem.ord_rej_reason, text)
        return
    if ctx.book.client_key_seen(event.session, event.trade_date, msg.cl_ord_id):
        _refuse(ctx, event, msg, _OTHER, f"ClOrdID(11) {msg.cl_ord_id} was used already on this trading day")
        return
    ctx.book.note_client_key(event.session, event.trade_date, msg.cl_ord_id)
    ctx.fx.requests[seq] = _request(seq, event.session, event.trade_date, "q", msg.cl_ord_id, state=ACCEPTED)
    orders = _live(ctx, event.session, msg)
    _accept(ctx, seq, event, msg, orders)
    under_way = _as_one(ctx)
    as_one: dict[str, list[str]] = {}
    for broker, those in _by_broker(order for order in orders if not _is_canceled(order, under_way)).items():
        if _may_go_as_one(ctx, msg, broker, those):
            as_one[broker] = [order.order_id for order in those]
            _send_as_one(ctx, event, msg, broker, those)
            continue
        for order in those:
            cancel_one(ctx, seq, event, order, msg.cl_ord_id)
    ctx.fx.detail["mass"] = {"orders": len(orders), "as_one": as_one}
    ctx.fx.order_id = None  # it is about all of them


def _live(ctx: Context, client: str, msg: MassCancelRequest | MassStatusRequest) -> list[Order]:
    """The client's live orders that a request means, in order of creation."""
    return sorted(
        (
            order
            for order in ctx.book.orders.values()
            if order.client == client
            and order.child is not None
            and order.leaves_qty
            and msg.symbol in ("", order.symbol)
            and msg.side in ("", order.side)
            and msg.account in ("", order.account)
        ),
        key=lambda order: order.order_id,
    )


def _as_one(ctx: Context) -> set[str]:
    """The orders of requests that brokers have not answered."""
    return {order_id for mass in ctx.book.mass_cancels.values() for order_id in mass.order_ids}


def _is_canceled(order: Order, as_one: set[str]) -> bool:
    """Whether a cancel of this order is under way."""
    return order.order_id in as_one or any(request.kind == "F" for request in order.pending_requests)


def _by_broker(orders: Iterable[Order]) -> dict[str, list[Order]]:
    found: dict[str, list[Order]] = {}
    for order in orders:
        if order.child is not None:
            found.setdefault(order.child.broker, []).append(order)
    return found


def _may_go_as_one(ctx: Context, msg: MassCancelRequest, broker: str, orders: list[Order]) -> bool:
    """Whether one request to this broker hits these orders and no others.

    It reaches every order we have there with that symbol and side: other clients', other accounts', and those
    with a request under way. An order that the broker may not have yet could be sent elsewhere.
    """
    facts = ctx.brokers.get(broker)
    if facts is None or not facts.mass_cancel or len(orders) < 2 or not _is_up(ctx, broker):
        return False
    hit = {
        order.order_id
        for order in ctx.book.orders.values()
        if not order.finished
        and order.child is not None
        and order.child.broker == broker
        and msg.symbol in ("", order.symbol)
        and msg.side in ("", order.side)
    }
    settled = all(order.life not in _UNSURE and not order.pending_requests for order in orders)
    return settled and hit == {order.order_id for order in orders}


def _is_up(ctx: Context, broker: str) -> bool:
    up = ctx.judge.is_up(broker)
    ctx.fx.detail.setdefault("brokers_up", {})[broker] = up
    return up


def _send_as_one(ctx: Context, event: Event, msg: MassCancelRequest, broker: str, orders: list[Order]) -> None:
    out_seq = ctx.book.take_seq()
    broker_cl_ord_id = number_id("C", out_seq)
    key = _own_key(ctx, event.session, event.trade_date, msg.cl_ord_id, broker_cl_ord_id)
    request = _request(out_seq, event.session, event.trade_date, "q", key, broker_cl_ord_id=broker_cl_ord_id)
    ctx.fx.requests[out_seq] = request
    ctx.book.mass_cancels[broker_cl_ord_id] = MassCancel(
        request, broker, frozenset(order.order_id for order in orders)
    )
    fields = {
        t.CL_ORD_ID: broker_cl_ord_id,
        t.MASS_CANCEL_REQUEST_TYPE: msg.request_type,
        t.TRANSACT_TIME: replies.utc_text(event.received_at),
    }
    fields.update({tag: value for tag, value in ((t.SYMBOL, msg.symbol), (t.SIDE, msg.side)) if value})
    ctx.fx.outgoing.append(Outgoing(out_seq, broker, "q", "", fields))


def cancel_one(ctx: Context, seq: int, event: Event, order: Order, cl_ord_id: str) -> None:
    """An OrderCancelRequest(F) of our own making for the mass cancel `cl_ord_id`; held if its broker is away."""
    child = order.child
    if child is None:
        return
    number = ctx.book.next_seq  # that of the message which follows
    key = _own_key(ctx, order.client, event.trade_date, cl_ord_id, order.order_id)
    request = _request(number, order.client, event.trade_date, "F", key, order.order_id, number_id("C", number))
    order.take(request)
    ctx.book.by_broker_id[request.broker_cl_ord_id] = (order, child)
    ctx.fx.requests[number] = request
    ctx.fx.touch(order, seq)
    if _is_up(ctx, child.broker):
        body = replies.identity_of(order, event.received_at)
        replies.request_to_broker(ctx, order, child, request, body, event.received_at)
    else:
        client_side.hold_cancel(ctx, event, order, request)


def _request(
    seq: int,
    client: str,
    trade_date: date,
    kind: str,
    cl_ord_id: str,
    order_id: str = "",
    broker_cl_ord_id: str = "",
    state: str = SENT,
) -> Request:
    return Request(seq, client, trade_date, kind, cl_ord_id, "", order_id, broker_cl_ord_id, state)


def _own_key(ctx: Context, client: str, day: date, cl_ord_id: str, what: str) -> str:
    """An id for one part of a mass cancel, unlike any that the client has used; used up from now on."""
    key = f"{cl_ord_id}/{what}"
    while ctx.book.client_key_seen(client, day, key):
        key += "+"
    ctx.book.note_client_key(client, day, key)
    return key


# -- OrderMassCancelReport(r) to a client ----------------------------------------------------------------------


def _accept(ctx: Context, seq: int, event: Event, msg: MassCancelRequest, orders: list[Order]) -> None:
    """The request is taken: the orders it means, none of them canceled yet."""
    fields = _report_fields(event, msg, number_id("M", seq), msg.request_type)
    fields[t.TOTAL_AFFECTED_ORDERS] = str(len(orders))
    group: list[tuple[str, str]] = []
    if orders and len(orders) <= _LISTED:
        group.append((t.NO_AFFECTED_ORDERS, str(len(orders))))
        for order in orders:
            group += [(t.ORIG_CL_ORD_ID, order.cl_ord_id), (t.AFFECTED_ORDER_ID, order.order_id)]
    _report(ctx, event, fields, tuple(group))


def _refuse(ctx: Context, event: Event, msg: MassCancelRequest, reason: str, text: str) -> None:
    ctx.fx.detail["refused"] = text
    fields = _report_fields(event, msg, "NONE", _NOT_DONE)
    _report(ctx, event, fields | {t.MASS_CANCEL_REJECT_REASON: reason, t.TEXT: text[:500]})


def _report_fields(event: Event, msg: MassCancelRequest, order_id: str, response: str) -> dict[str, str]:
    fields = {
        t.CL_ORD_ID: msg.cl_ord_id,
        t.ORDER_ID: order_id,
        t.MASS_ACTION_REPORT_ID: order_id,
        t.MASS_CANCEL_REQUEST_TYPE: msg.request_type,
        t.MASS_CANCEL_RESPONSE: response,
        t.SYMBOL: msg.symbol,
        t.SIDE: msg.side,
        t.TRANSACT_TIME: replies.utc_text(event.received_at),
    }
    return {tag: value for tag, value in fields.items() if value}


def _report(ctx: Context, event: Event, fields: dict[str, str], group: Pairs = ()) -> None:
    ctx.fx.outgoing.append(Outgoing(ctx.book.take_seq(), event.session, "r", "", fields, group))


# -- what becomes of a request that went to a broker as one -----------------------------------------------------


def cancel_report(ctx: Context, seq: int, event: Event, msg: MassCancelReport) -> None:
    """A broker's answer: what it took is told by its reports; what it did not take is asked for order by order."""
    mass = ctx.book.mass_cancels.get(msg.cl_ord_id)
    if mass is None and not msg.cl_ord_id:  # ClOrdID(11) is optional there
        open_ones = [one for one in ctx.book.mass_cancels.values() if one.broker == event.session]
        mass = open_ones[0] if len(open_ones) == 1 else None
    if mass is None or mass.broker != event.session:
        text = f"OrderMassCancelReport(r) for no request of ours: ClOrdID(11) {msg.cl_ord_id or 'absent'}"
        replies.open_item(ctx, seq, event, "unknown_request", text, None, severity="warning")
        return
    if msg.response == _NOT_DONE:
        text = f"refused as one request, MassCancelRejectReason(532) {msg.reject_reason or 'absent'}: {msg.text}"
        _one_by_one(ctx, seq, event, mass, mass.order_ids, text)
        return
    left: frozenset[str] = frozenset()
    if msg.affected or msg.total == 0:
        listed = frozenset(msg.affected)
        left = frozenset(order_id for order_id in mass.order_ids if not _is_listed(ctx, order_id, listed))
    _one_by_one(ctx, seq, event, mass, left, "", state=ACCEPTED)


def _is_listed(ctx: Context, order_id: str, listed: frozenset[str]) -> bool:
    order = ctx.book.orders.get(order_id)
    return order is None or any(
        not listed.isdisjoint((child.child_id, child.cl_ord_id, child.broker_order_id)) for child in order.children
    )


def failed(ctx: Context, seq: int, event: Event, broker_cl_ord_id: str, reason: str) -> bool:
    """A request did not leave, or its broker refused the message; False if it was no mass cancel."""
    mass = ctx.book.mass_cancels.get(broker_cl_ord_id)
    if mass is None or mass.broker != event.session:
        return False
    _one_by_one(ctx, seq, event, mass, mass.order_ids, reason)
    return True


def _one_by_one(
    ctx: Context,
    seq: int,
    event: Event,
    mass: MassCancel,
    order_ids: frozenset[str],
    reason: str,
    *,
    state: str = REFUSED,
) -> None:
    """The request is answered; those of its orders that it does not cancel are canceled one by one."""
    del ctx.book.mass_cancels[mass.request.broker_cl_ord_id]
    mass.request.state = state
    ctx.fx.requests[mass.request.seq] = mass.request
    cl_ord_id = mass.request.cl_ord_id.rpartition("/")[0]
    one_by_one = []
    for order_id in sorted(order_ids):
        order = ctx.book.orders.get(order_id)
        if order is not None and order.leaves_qty and not _is_canceled(order, set()):
            one_by_one.append(order_id)
            cancel_one(ctx, seq, event, order, cl_ord_id)
    ctx.fx.detail["mass_answer"] = {"state": state, "reason": reason, "one_by_one": one_by_one}
    ctx.fx.order_id = None


# -- OrderMassStatusRequest(AF) of a client ---------------------------------------------------------------------


def status(ctx: Context, seq: int, event: Event, msg: MassStatusRequest) -> None:
    """A report for every live order that matches, from what the ledger has; one that says so if there is none."""
    if msg.problem is not None:
        text = f"{msg.problem.tag}: {msg.problem.text}"
        ctx.fx.detail["refused"] = text
        replies.business_reject(ctx, event, "AF", msg.req_id, msg.problem.ord_rej_reason, text)
        return
    orders = _live(ctx, event.session, msg)
    ctx.fx.detail["mass"] = {"orders": len(orders)}
    answer = {t.MASS_STATUS_REQ_ID: msg.req_id, t.TOT_NUM_REPORTS: str(len(orders))}
    for order in orders:
        last = "Y" if order is orders[-1] else "N"
        extra = answer | {t.LAST_RPT_REQUESTED: last}
        replies.report(ctx, order, "I", exec_id="0", extra=extra, at=event.received_at)
    if not orders:
        asked = {
            t.EXEC_TYPE: "I",
            t.EXEC_ID: "0",
            t.SYMBOL: msg.symbol or "[N/A]",
            t.SIDE: msg.side or "7",  # undisclosed: the report is about no order, and must have one
            t.LAST_RPT_REQUESTED: "Y",
        }
        replies.reject_unbooked(ctx, event, answer | asked, _UNKNOWN_ORDER, "no live order of yours matches")
