"""What a broker tells of an order otherwise than the ledger has it. Pure: an order and what was told in, words out.

Quantities are those of the child order, which is what a broker knows. Where quantities differ they say it all: that
an order is partially filled or filled is no state of its own. Prices are not compared.
"""

from __future__ import annotations

from decimal import Decimal

from oms.core import transitions as life
from oms.core.order import OVER_NIGHT, ZERO, Child, Order, decimal_text

STATE, QUANTITY, LEAVES, MISSING = "state_mismatch", "quantity_mismatch", "leaves_mismatch", "broker_unknown_order"

Told = tuple[str, Decimal | None, Decimal | None]  # OrdStatus(39), CumQty(14), LeavesQty(151) as a broker tells them

# OrdStatus(39) that agrees with a state of life. Filled or not is a matter of quantities: 0, 1, 2 and 5 are one.
_AGREES = {
    life.ROUTED: "A",
    life.PENDING_NEW: "A",
    life.WORKING: "015D",
    life.STOPPED: "7",
    life.SUSPENDED: "9",
    life.DONE_FOR_DAY: "3",
    life.CALCULATED: "B",
    life.CANCELED: "4",
    life.EXPIRED: "C4",
    life.REJECTED: "8",
    life.UNKNOWN: "",
}
_ALIVE = frozenset("015ADE679")  # OrdStatus(39) with which LeavesQty(151) is what may still trade


def differences(order: Order, child: Child, told: Told) -> list[tuple[str, str]]:
    """What a broker tells of an order otherwise than the ledger has it: kinds of items, and texts with both sides."""
    ord_status, cum_qty, leaves_qty = told
    broker = child.broker
    if ord_status == "8" and child.life != life.REJECTED:
        return [(MISSING, f"{broker} answers OrdStatus(39) 8 for {child.life} order")]
    found = []
    same_qty = cum_qty is None or cum_qty == child.cum_qty
    if not same_qty:
        text = f"broker's CumQty(14) {_text(cum_qty)}, ledger's {_text(child.cum_qty)}"
        found.append((QUANTITY, text))
    if ord_status and not _state_agrees(order, child, ord_status, same_qty=same_qty):
        found.append((STATE, f"{broker} answers OrdStatus(39) {ord_status}, the order is {_state(order, child)}"))
    elif same_qty and leaves_qty is not None and ord_status in _ALIVE and not _is_being_replaced(order):
        ours = max(child.order_qty - child.cum_qty, ZERO) if order.leaves_qty else ZERO
        if leaves_qty != ours:
            found.append((LEAVES, f"broker's LeavesQty(151) {_text(leaves_qty)}, ours {_text(ours)}"))
    return found


def _state_agrees(order: Order, child: Child, ord_status: str, *, same_qty: bool) -> bool:
    agreed = _AGREES.get(child.life, "")
    pending = {request.kind for request in order.pending_requests}
    if ord_status in ("6", "E"):
        return {"6": "F", "E": "G"}[ord_status] in pending
    if ord_status == "2":  # where quantities differ, that says it all
        return not same_qty or child.cum_qty >= child.order_qty
    if child.life == life.DONE_FOR_DAY and order.time_in_force in OVER_NIGHT:
        agreed += _AGREES[life.WORKING]  # a new day may begin without a word
    return ord_status in agreed


def _is_being_replaced(order: Order) -> bool:
    return any(request.kind == "G" for request in order.pending_requests)


def _state(order: Order, child: Child) -> str:
    pending = [
        "a cancel is pending" if request.kind == "F" else "a replace is pending" for request in order.pending_requests
    ]
    return ", ".join([child.life, *dict.fromkeys(pending)])


def _text(value: Decimal | None) -> str:
    return decimal_text(value or ZERO)
