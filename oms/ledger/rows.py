"""Orders, children, requests and the rest as rows of the ledger: one place where names and values meet.

A row is a tuple of texts in the order of its columns, None for NULL: the form in which it travels to the
database and in which replay compares it. The writer and the replay use the same functions.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from oms.core import transitions as life
from oms.core.effects import Fill, Witness
from oms.core.order import Child, Order, Request
from oms.core.status import ord_status

if TYPE_CHECKING:  # a batch is made of rows
    from oms.ledger.batch import Send

Row = tuple[str | None, ...]

ORDER_CHANGES = (
    "order_id", "cl_ord_id", "order_qty", "price", "stop_px", "cum_qty", "leaves_qty", "avg_px", "notional",
    "life", "ord_status", "finished", "reason", "last_seq",
)  # fmt: skip
ORDER_COLUMNS = (
    *ORDER_CHANGES, "client", "original_cl_ord_id", "account", "trader", "symbol", "security_exchange", "side",
    "ord_type", "time_in_force", "ex_destination", "original_order_qty", "original_price", "original_stop_px",
    "trade_date", "received_at", "new_seq",
)  # fmt: skip
CHILD_CHANGES = (
    "child_id", "cl_ord_id", "broker_order_id", "order_qty", "price", "stop_px", "cum_qty", "life", "finished",
    "last_seq",
)  # fmt: skip
CHILD_COLUMNS = (*CHILD_CHANGES, "order_id", "broker", "route_rule", "sent_seq")
REQUEST_COLUMNS = (
    "seq", "client", "trade_date", "cl_ord_id", "orig_cl_ord_id", "order_id", "kind", "broker_cl_ord_id", "state",
    "order_qty", "price", "stop_px",
)  # fmt: skip
FILL_COLUMNS = (*Fill._fields, "sending_time")
WITNESS_COLUMNS = Witness._fields


def text(value: Any) -> str | None:
    """One value as text that the database reads back as the same value."""
    if value is None or type(value) is str:
        return value
    if type(value) is bool:
        return "true" if value else "false"
    return str(value)


def _number(value: Decimal | None) -> str | None:
    return None if value is None else str(value)


def order_changes(order: Order) -> Row:
    """The columns of client_orders that may change after the order was taken."""
    return (
        order.order_id,
        order.cl_ord_id,
        str(order.order_qty),
        _number(order.price),
        _number(order.stop_px),
        str(order.cum_qty),
        str(order.leaves_qty),
        str(order.avg_px),
        str(order.notional),
        order.life,
        ord_status(order),
        "true" if order.finished else "false",
        order.reason,
        str(order.last_seq),
    )


def order_row(order: Order) -> Row:
    """All columns of client_orders."""
    return (
        *order_changes(order),
        order.client,
        order.original_cl_ord_id,
        order.account,
        order.trader,
        order.symbol,
        order.security_exchange,
        order.side,
        order.ord_type,
        order.time_in_force,
        order.ex_destination,
        str(order.original_order_qty),
        _number(order.original_price),
        _number(order.original_stop_px),
        str(order.trade_date),
        str(order.received_at),
        str(order.new_seq),
    )


def child_changes(child: Child) -> Row:
    """The columns of child_orders that may change after the child was sent."""
    over = child.life in life.TERMINAL
    filled = child.life not in life.UNACKNOWLEDGED and child.cum_qty >= child.order_qty
    return (
        child.child_id,
        child.cl_ord_id,
        child.broker_order_id,
        str(child.order_qty),
        _number(child.price),
        _number(child.stop_px),
        str(child.cum_qty),
        child.life,
        "true" if over or filled else "false",
        str(child.last_seq),
    )


def child_row(child: Child) -> Row:
    """All columns of child_orders."""
    return (*child_changes(child), child.order_id, child.broker, child.route_rule, str(child.sent_seq))


def request_row(request: Request) -> Row:
    """All columns of requests."""
    return (
        str(request.seq),
        request.client,
        str(request.trade_date),
        request.cl_ord_id,
        request.orig_cl_ord_id,
        request.order_id,
        request.kind,
        request.broker_cl_ord_id,
        request.state,
        _number(request.order_qty),
        _number(request.price),
        _number(request.stop_px),
    )


def fill_row(fill: Fill, sending_time: datetime | None) -> Row:
    """All columns of fills."""
    return tuple([text(value) for value in (*fill, sending_time)])


def witness_row(witness: Witness) -> Row:
    """All columns of witnesses."""
    return tuple([text(value) for value in witness])


def send_row(send: Send) -> Row:
    """All columns of sends."""
    seq, session, outcome, number, sent_at, reason = send
    return (str(seq), session, outcome, None if number is None else str(number), str(sent_at), reason)
