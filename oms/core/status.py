"""OrdStatus(39), computed: the highest-ranked of the states an order is in.

The ranks are the standard's (FIX 4.4, ExecutionReport): pending cancel, pending replace, done for day,
calculated, filled, stopped, suspended, canceled and expired, partially filled, then new, rejected and pending
new. Values are 4.4's; the edge translates for FIX 4.2.
"""

from __future__ import annotations

from oms.core import transitions as life
from oms.core.order import HELD, PENDING, Order

_TOLD_PENDING = (PENDING, HELD)  # the broker said so, or we did because it is logged out

_OF_LIFE = {
    life.DONE_FOR_DAY: "3",
    life.CALCULATED: "B",
    life.STOPPED: "7",
    life.SUSPENDED: "9",
    life.CANCELED: "4",
    life.EXPIRED: "C",
    life.REJECTED: "8",
    life.WORKING: "0",
}


def ord_status(order: Order) -> str:
    """OrdStatus(39) of an order as its client should see it."""
    if order.requests:
        pending = {request.kind for request in order.requests if request.state in _TOLD_PENDING}
        if pending:
            return "6" if "F" in pending else "E"
    state = order.life
    if state in (life.DONE_FOR_DAY, life.CALCULATED):
        return _OF_LIFE[state]
    if order.cum_qty and order.cum_qty >= order.order_qty:
        return "2"
    if state in (life.STOPPED, life.SUSPENDED, life.CANCELED, life.EXPIRED):
        return _OF_LIFE[state]
    if order.cum_qty:
        return "1"
    return _OF_LIFE.get(state, "A")
