"""Orders, children and requests as rows of the ledger: one place where names and values meet.

Rows are dictionaries of text and numbers in the order of the columns; the database turns text into NUMERIC and
TIMESTAMPTZ. The same functions serve the writer and the replay, so both compare like with like.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from oms.core import transitions as life
from oms.core.order import Child, Order, Request
from oms.core.status import ord_status

Row = dict[str, Any]


def _number(value: Decimal | None) -> str | None:
    return None if value is None else str(value)


def order_changes(order: Order) -> Row:
    """The columns of client_orders that may change after the order was taken."""
    return {
        "order_id": order.order_id,
        "cl_ord_id": order.cl_ord_id,
        "order_qty": str(order.order_qty),
        "price": _number(order.price),
        "stop_px": _number(order.stop_px),
        "cum_qty": str(order.cum_qty),
        "leaves_qty": str(order.leaves_qty),
        "avg_px": str(order.avg_px),
        "notional": str(order.notional),
        "life": order.life,
        "ord_status": ord_status(order),
        "finished": order.finished,
        "reason": order.reason,
        "last_seq": order.last_seq,
    }


def order_row(order: Order) -> Row:
    """All columns of client_orders."""
    return order_changes(order) | {
        "client": order.client,
        "original_cl_ord_id": order.original_cl_ord_id,
        "account": order.account,
        "trader": order.trader,
        "symbol": order.symbol,
        "security_exchange": order.security_exchange,
        "side": order.side,
        "ord_type": order.ord_type,
        "time_in_force": order.time_in_force,
        "ex_destination": order.ex_destination,
        "original_order_qty": str(order.original_order_qty),
        "original_price": _number(order.original_price),
        "original_stop_px": _number(order.original_stop_px),
        "trade_date": str(order.trade_date),
        "received_at": str(order.received_at),
        "new_seq": order.new_seq,
    }


def child_changes(child: Child) -> Row:
    """The columns of child_orders that may change after the child was sent."""
    return {
        "child_id": child.child_id,
        "cl_ord_id": child.cl_ord_id,
        "broker_order_id": child.broker_order_id,
        "order_qty": str(child.order_qty),
        "price": _number(child.price),
        "stop_px": _number(child.stop_px),
        "cum_qty": str(child.cum_qty),
        "life": child.life,
        "finished": child.life in life.TERMINAL
        or (child.life not in life.UNACKNOWLEDGED and child.cum_qty >= child.order_qty),
        "last_seq": child.last_seq,
    }


def child_row(child: Child) -> Row:
    """All columns of child_orders."""
    return child_changes(child) | {
        "order_id": child.order_id,
        "broker": child.broker,
        "route_rule": child.route_rule,
        "sent_seq": child.sent_seq,
    }


def request_row(request: Request) -> Row:
    """All columns of requests."""
    return {
        "seq": request.seq,
        "client": request.client,
        "trade_date": str(request.trade_date),
        "cl_ord_id": request.cl_ord_id,
        "orig_cl_ord_id": request.orig_cl_ord_id,
        "order_id": request.order_id,
        "kind": request.kind,
        "broker_cl_ord_id": request.broker_cl_ord_id,
        "state": request.state,
        "order_qty": _number(request.order_qty),
        "price": _number(request.price),
        "stop_px": _number(request.stop_px),
    }
