"""What a broker tells of an order otherwise than the ledger has it. Pure: an order and what was told in, words out.

Quantities are those of the child order, which is what a broker knows. Where quantities differ they say it all: that
an order is partially filled or filled is no state of its own, and its prices are not compared.

Prices: AvgPx(6) agrees where it is nearer to ours than one unit of the last decimal that the broker writes, because
it may round or cut; of decimals it may leave out all but `avg_px_decimals`. LastPx(31) is that of the execution that
the answer names by ExecID(17); where it names none, one of our executions must have that price. 0 is not told.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from oms.core import transitions as life
from oms.core.order import OVER_NIGHT, ZERO, Child, Order, decimal_text

STATE, QUANTITY, LEAVES, MISSING = "state_mismatch", "quantity_mismatch", "leaves_mismatch", "broker_unknown_order"
PRICE = "price_mismatch"


class Told(NamedTuple):
    """What a broker answers: OrdStatus(39), CumQty(14), LeavesQty(151), AvgPx(6) as written, and an execution."""

    ord_status: str
    cum_qty: Decimal | None
    leaves_qty: Decimal | None
    avg_px: str = ""
    last_px: Decimal | None = None
    exec_id: str = ""


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
_LISTED = 5  # prices in a text
_LONGEST = 40  # digits of a number that is compared
_ALIVE = frozenset("015ADE679")  # OrdStatus(39) with which LeavesQty(151) is what may still trade


def differences(order: Order, child: Child, told: Told, avg_px_decimals: int = 2) -> list[tuple[str, str]]:
    """What a broker tells of an order otherwise than the ledger has it: kinds of items, and texts with both sides."""
    ord_status, cum_qty, leaves_qty = told[:3]
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
    if same_qty and child.cum_qty and (wrong := [*_avg_px(child, told, avg_px_decimals), *_last_px(child, told)]):
        found.append((PRICE, "; ".join(wrong)))
    return found


def _avg_px(child: Child, told: Told, fewest: int) -> list[str]:
    digits = told.avg_px.removeprefix("-").replace(".", "", 1)
    if not 0 < len(digits) <= _LONGEST or not digits.isascii() or not digits.isdecimal() or not digits.strip("0"):
        return []
    theirs = Decimal(told.avg_px)
    money = sum((one.last_qty * one.last_px for one in child.executions.values() if one.live), ZERO)
    ours = money / child.cum_qty
    decimals = max(-int(theirs.as_tuple().exponent), fewest)
    if abs(theirs - ours) < Decimal(1).scaleb(-decimals):
        return []
    return [f"broker's AvgPx(6) {decimal_text(theirs)}, ours {decimal_text(round(ours, max(decimals, 4) + 2))}"]


def _last_px(child: Child, told: Told) -> list[str]:
    theirs = told.last_px
    if not theirs:
        return []
    named = child.executions.get(child.same_as.get(told.exec_id, told.exec_id))
    if named is not None:
        last = named.chain[-1] if named.chain else named
        if not last.live or last.last_px == theirs:
            return []
        return [f"broker's LastPx(31) {_text(theirs)} of ExecID(17) {told.exec_id}, ours {_text(last.last_px)}"]
    ours = sorted({one.last_px for one in child.executions.values() if one.live})
    if theirs in ours:
        return []
    listed = ", ".join(map(decimal_text, ours[:_LISTED])) + (", ..." if len(ours) > _LISTED else "")
    return [f"broker's LastPx(31) {_text(theirs)}, ours {listed}"]


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
