"""What a child order has traded, made again from the ledger's rows as the core had it (`oms.core.executions`).

The fills are entered in the order of the journal, so versions, amendments kept for executions to come, and the
broker's own CumQty(14) end as they were. Quantities stay those of the child's row. Pure: rows in, children changed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from oms.core.executions import Entry, enter, kept_for
from oms.core.manual import LINK
from oms.core.order import ZERO, Child, Order, request_id_of
from oms.fix.rules import as_read

Row = Mapping[str, Any]
_SOH = "\x01"


def take_reports(children: Iterable[Child], fills: Iterable[Row], reports: Iterable[Row]) -> None:
    """Enter the rows of `fills` (by seq) and the reports of the journal (by seq) of some child orders.

    `reports` are ExecutionReports(8) and operators' commands; they have seq, kind, order_id, session, raw, detail.
    Of a fill whose report is in an archive the row itself is entered.
    """
    by_id = {child.child_id: child for child in children}
    at_broker: dict[tuple[str, str], list[Child]] = defaultdict(list)
    for child in by_id.values():
        at_broker[child.order_id, child.broker].append(child)
    fills_of: dict[int, list[Row]] = defaultdict(list)
    for row in fills:
        fills_of[row["seq"]].append(row)
    totals = {child_id: child.cum_qty for child_id, child in by_id.items()}
    for child in by_id.values():
        child.cum_qty = ZERO
    there = list(reports)
    archived = fills_of.keys() - {report["seq"] for report in there}
    for report in sorted([*there, *({"seq": seq} for seq in archived)], key=_seq) if archived else there:
        if report["seq"] in archived:
            _take_archived(by_id, fills_of[report["seq"]])
            continue
        if report.get("kind") == "operator":
            _take_manual(by_id, report, fills_of.get(report["seq"], []))
            continue
        own = at_broker[report["order_id"], report["session"]]
        if own:
            _take(own, by_id, report, fills_of.get(report["seq"], []))
    for child_id, child in by_id.items():
        child.cum_qty = totals[child_id]


def _take(own: list[Child], by_id: dict[str, Child], report: Row, fills: list[Row]) -> None:
    detail = report["detail"] or {}
    text = as_read(bytes(report["raw"]), detail)
    exec_id, cum_qty = _value(text, "17"), _number(_value(text, "14"))
    child = _child_of(own, by_id, _value(text, "11"), report["seq"])
    if fills:
        child = by_id.get(fills[0]["child_id"], child)
    for row in fills:
        _take_fill(child, row, text, cum_qty if row["exec_id"] == exec_id else None)
    is_status = _value(text, "150") == "I" or _value(text, "20") == "3"
    if not fills and cum_qty is not None and (is_status or exec_id not in child.exec_ids):
        child.told.total(cum_qty)
    if exec_id not in ("", "0") and not is_status:
        child.exec_ids.add(exec_id)
    before, _, after = detail.get("transition") or ("", "", "")
    if before != after or "cancel_new" in detail:
        child.life_cum_qty = cum_qty


def link_children(order: Order) -> None:
    """The ids that its children have at brokers, after its requests are taken.

    A child that was sent for a replace has the request's. A request that used the order's own ClOrdID(11) again (it
    was filled, and on another day made larger) is what that id means at the broker since.
    """
    original = order.original_cl_ord_id
    again = [one for one in order.requests if one.cl_ord_id == original and not one.of_mass_cancel]
    for child in order.children:
        if child.child_id not in order.to_client:
            order.link(original, child.child_id)
    for request in again:
        order.link(original, request.broker_cl_ord_id)


def _seq(row: Row) -> int:
    seq: int = row["seq"]
    return seq


def _take_archived(by_id: dict[str, Child], fills: list[Row]) -> None:
    """Fills whose report is not at hand: the broker's CumQty(14) is taken to have been what they add up to."""
    for row in fills:
        child = by_id.get(row["child_id"])
        if child is not None:
            told = child.cum_qty + row["last_qty"] if row["kind"] == "trade" else None
            child.exec_ids.add(row["exec_id"])
            _take_fill(child, row, "", told)


def _take_manual(by_id: dict[str, Child], report: Row, fills: list[Row]) -> None:
    """What operators entered (`oms.core.manual`)."""
    entered = (report["detail"] or {}).get("manual") or {}
    child = by_id.get(entered.get("child_id", ""))
    if child is None:
        return
    for row in fills:
        bust = row["kind"] == "bust"
        qty, px = (None, None) if bust else (row["last_qty"], row["last_px"])
        ids = (row["kind"], row["exec_id"], row["exec_ref_id"], row["client_exec_id"])
        child.booked[row["exec_id"]] = row["trade_date"]
        child.manual[row["exec_id"]] = row["client_exec_id"]
        enter(child, Entry(*ids, qty, px, row["transact_time"]))
        for _ in kept_for(child, row["exec_id"]):
            pass
    if entered["verb"] == LINK:
        exec_id, ref = entered["exec_id"], entered["ref"]
        child.manual[exec_id], child.booked[exec_id] = child.manual[ref], child.booked[ref]
        child.same_as[exec_id] = ref


def _child_of(own: list[Child], by_id: dict[str, Child], cl_ord_id: str, seq: int) -> Child:
    """The child that a report means: the one with that id, else the one at work when it came.

    The cancel that goes before the new order of a replace (`oms.core.cancel_new`) is about the child before it.
    """
    found = by_id.get(request_id_of(cl_ord_id))
    if found is not None and found.child_id == cl_ord_id:
        return found
    before = seq if found is None else min(seq, found.sent_seq)
    return next((child for child in reversed(own) if child.sent_seq < before), own[-1])


def _take_fill(child: Child, row: Row, text: str, cum_qty: Decimal | None) -> None:
    """One fill; of a correction only what its report stated, the rest is that of the version before."""
    partly = row["kind"] == "correct" and cum_qty is not None
    entry = Entry(
        row["kind"],
        row["exec_id"],
        row["exec_ref_id"],
        row["client_exec_id"],
        None if partly and not _value(text, "32") else row["last_qty"],
        None if partly and not _value(text, "31") else row["last_px"],
        row["transact_time"],
        cum_qty,
    )
    child.booked[row["exec_id"]] = row["trade_date"]
    enter(child, entry)
    for _ in kept_for(child, entry.exec_id):
        pass


def _value(text: str, tag: str) -> str:
    start = text.find(f"{_SOH}{tag}=")
    return text[start + len(tag) + 2 : text.find(_SOH, start + 1)] if start >= 0 else ""


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None
