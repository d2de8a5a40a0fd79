"""Orders that a broker reports and nobody here has given: taken into the book where the dialect says so.

An adopted order has an OrderID(37) of ours, no client (`client` is '') and one child, whose wire ids are those of the
broker: its OrderID(37), and its ClOrdID(11) as `cl_ord_id`. It begins in the state unknown; the report that brought
it is then applied like any other. Fills of it are booked to it. Nothing is ever sent to a client (`replies`); an
operator can cancel it. Limits: a report must say what the order is, that is OrderID(37), Symbol(55), Side(54) and a
quantity. What the broker filled before is not invented: CumQty(14) differs until those executions come.
"""

from __future__ import annotations

from decimal import Decimal

from oms.core import mass, reconcile, replies
from oms.core import transitions as life
from oms.core.book import number_id
from oms.core.messages import Event, ExecutionReport
from oms.core.order import ZERO, Child, Order, is_ours
from oms.core.replies import Context

ROUTE = "adopted"
_NOT_OF_AN_ORDER = ("", "NONE")
_TOLD = frozenset(life.EVENT_OF_EXEC_TYPE) - {"8"} | frozenset("I6E")
_REQUESTS = frozenset("46E")  # ExecTypes(150) whose ClOrdID(11) may be that of a request about the order


def adopt(ctx: Context, seq: int, event: Event, msg: ExecutionReport) -> tuple[Order, Child] | None:
    """The order that an unknown report is about, made now; None where it is not to be, or cannot be, adopted."""
    facts = ctx.brokers.get(event.session)
    qty = _order_qty(msg)
    if facts is None or not facts.adopts or not _tells_an_order(msg) or qty <= ZERO:
        return None
    order_id = number_id("O", seq)
    order = Order(
        order_id=order_id,
        client="",
        original_cl_ord_id=order_id,
        account=msg.account,
        trader="",
        symbol=msg.symbol,
        security_exchange="",
        side=msg.side,
        ord_type=msg.ord_type or _ord_type(msg),
        time_in_force=msg.time_in_force,
        ex_destination="",
        original_order_qty=qty,
        original_price=msg.price,
        original_stop_px=msg.stop_px,
        trade_date=event.trade_date,
        received_at=event.received_at,
        new_seq=seq,
        last_seq=seq,
        cl_ord_id=_cl_ord_id(msg),
        order_qty=qty,
        price=msg.price,
        stop_px=msg.stop_px,
        life=life.UNKNOWN,
    )
    child = _child(seq, event.session, order, msg.order_id)
    order.children.append(child)
    order.link(order.original_cl_ord_id, child.child_id)
    ctx.book.add(order)
    ctx.fx.touch(order, seq)
    ctx.fx.detail["adopted"] = order_id
    reconcile.adopted(ctx, event, msg, order)
    about = f"ClOrdID(11) {msg.cl_ord_id or 'absent'}, OrderID(37) {msg.order_id}"
    ours = "; it looks like an id of ours: is this ledger older than the order?" if is_ours(msg.cl_ord_id) else ""
    text = f"{event.session} has an order that is none of ours, adopted: {about}{ours}"
    replies.open_item(ctx, seq, event, "adopted_order", text, order, severity="warning")
    return order, child


def _child(seq: int, broker: str, order: Order, broker_order_id: str) -> Child:
    return Child(
        child_id=number_id("A", seq),
        order_id=order.order_id,
        broker=broker,
        route_rule=ROUTE,
        order_qty=order.order_qty,
        price=order.price,
        stop_px=order.stop_px,
        sent_seq=seq,
        last_seq=seq,
        cl_ord_id=order.cl_ord_id,
        broker_order_id=broker_order_id,
        life=life.UNKNOWN,
    )


def _tells_an_order(msg: ExecutionReport) -> bool:
    if msg.problem is not None or msg.order_id in _NOT_OF_AN_ORDER or not msg.symbol or not msg.side:
        return False
    return msg.exec_type in _TOLD and msg.ord_status != "8"


def _order_qty(msg: ExecutionReport) -> Decimal:
    if msg.order_qty is not None:
        return msg.order_qty
    return (msg.cum_qty or ZERO) + (msg.leaves_qty or ZERO) or msg.last_qty or ZERO


def _ord_type(msg: ExecutionReport) -> str:
    """OrdType(40) where the report does not tell: by the prices that it has."""
    if msg.stop_px is not None:
        return "4" if msg.price is not None else "3"
    return "2" if msg.price is not None else "1"


def _cl_ord_id(msg: ExecutionReport) -> str:
    """The ClOrdID(11) under which the broker has the order: OrigClOrdID(41) of a cancel must name something."""
    if msg.exec_type in _REQUESTS and msg.orig_cl_ord_id:
        return msg.orig_cl_ord_id
    return msg.cl_ord_id or msg.order_id


def find(ctx: Context, event: Event, msg: ExecutionReport) -> tuple[Order, Child] | None:
    """An adopted order that is alive, by the broker's own ClOrdID(11), which is nothing to other brokers.

    One that has finished is found by its OrderID(37) only: the broker may use the other id again.
    """
    adopted, broker = ctx.book.adopted, event.session
    if not adopted:
        return None
    return adopted.alive(broker, msg.cl_ord_id) or adopted.alive(broker, msg.orig_cl_ord_id)


def replaced(ctx: Context, order: Order, child: Child, cl_ord_id: str) -> None:
    """The broker replaced an adopted order: it is known by the ClOrdID(11) of the replace from now on."""
    if not cl_ord_id or cl_ord_id == child.cl_ord_id:
        return
    ctx.book.adopted.drop(child.broker, child.cl_ord_id, child)
    child.cl_ord_id = order.cl_ord_id = cl_ord_id
    ctx.book.adopted.add(child.broker, cl_ord_id, order, child)


# -- an operator cancels an order --------------------------------------------------------------------------------


def cancel(ctx: Context, seq: int, event: Event, args: dict[str, str]) -> None:
    """Ask the broker to cancel one order, adopted or a client's. `args`: order_id, text (why)."""
    order_id = args["order_id"]
    order = ctx.book.orders.get(order_id)
    problem = ""
    if order is None or order.child is None or order.finished:
        problem = f"{order_id} is not alive any more"
    elif any(request.kind == "F" for request in order.pending_requests):
        problem = f"a cancel of {order_id} is under way already"
    elif not order.leaves_qty:
        problem = f"nothing of {order_id} is left to cancel"
    if problem or order is None:
        ctx.fx.detail["answer"] = {"order_id": order_id, "problem": problem}
    else:
        mass.cancel_one(ctx, seq, event, order, number_id("M", seq))
        request = order.requests[-1]
        ctx.fx.detail["answer"] = {
            "order_id": order_id,
            "problem": "",
            "broker": order.child.broker if order.child else "",
            "cl_ord_id": request.broker_cl_ord_id,
            "state": request.state,
        }
    ctx.fx.order_id = order_id if order is not None else None
