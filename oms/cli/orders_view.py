"""Tables of orders and what belongs to them: children, requests, fills, exception items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table

from oms.cli import words
from oms.cli.output import day_and_time, number, of_day, plural, table, times
from oms.ledger.records import ChildOrder, ClientOrder, Confirmation, ExceptionItem, Fill, Request

ORDER_COLUMNS = (
    "received", "OrderID(37)", "client", "ClOrdID(11)", "Account(1)", "order~", "OrdStatus(39)~", "broker", "note~",
)  # fmt: skip
FILL_COLUMNS = (
    "executed", "OrderID(37)", "kind", "execution~", "Account(1)", "broker", "ExecID(17) broker",
    "ExecID(17) client", "received", "witnesses~",
)  # fmt: skip
ADOPTED = "none: adopted"  # where others have their client
ITEM_COLUMNS = ("since", "severity", "kind", "session", "OrderID(37)", "what~", "owner", "item", "row>")


def terms_text(order: ClientOrder) -> str:
    """``Buy (1) 100 AAPL, Stop limit (4) 150.25 stop 149, Day (0)``: the terms in force."""
    kind = [words.ord_type(order.ord_type), number(order.price)]
    if order.stop_px is not None:
        kind.append(f"stop {number(order.stop_px)}")
    what = f"{words.side(order.side)} {number(order.order_qty)} {order.symbol}"
    return f"{what}, {' '.join(part for part in kind if part)}, {words.time_in_force(order.time_in_force)}"


def status_text(order: ClientOrder) -> str:
    """``Partially filled (1), 60 at 150.2``: OrdStatus(39), and CumQty(14) at AvgPx(6) where there are fills."""
    filled = f", {number(order.cum_qty)} at {number(order.avg_px)}" if order.cum_qty else ""
    return words.ord_status(order.ord_status) + filled


def order_row(order: ClientOrder, when: str, brokers: Sequence[str], open_items: int) -> tuple[object, ...]:
    """An order as a row of ORDER_COLUMNS."""
    notes = [order.reason] if order.reason else []
    if order.life in ("unknown", "routed") and not order.finished:
        notes.append("outcome unknown" if order.life == "unknown" else "broker has not answered")
    if open_items:
        notes.append(plural(open_items, "open exception"))
    return (
        when,
        order.order_id,
        order.client or ADOPTED,
        order.original_cl_ord_id if order.client else order.cl_ord_id,
        order.account,
        terms_text(order),
        status_text(order),
        ", ".join(brokers),
        "; ".join(notes),
    )


def orders_table(
    orders: Sequence[ClientOrder], brokers: Mapping[str, Sequence[str]], items: Mapping[str, int]
) -> Table:
    """Orders with their brokers and the number of their open exception items."""
    received = [order.received_at for order in orders]
    when = times(received)
    rows = [
        order_row(one, when(one.received_at), brokers.get(one.order_id, ()), items.get(one.order_id, 0))
        for one in orders
    ]
    return table(f"Orders{of_day(received)}", ORDER_COLUMNS, rows)


def order_details(order: ClientOrder) -> Table:
    """Everything the ledger has about one order itself, one field per line."""
    changed = order.order_qty != order.original_order_qty or order.price != order.original_price
    changed = changed or order.stop_px != order.original_stop_px
    rows: list[tuple[str, object]] = [
        ("client", order.client or ADOPTED),
        ("trader", order.trader),
        ("Account(1)", order.account),
        ("ClOrdID(11)", order.original_cl_ord_id if order.client else ""),
        ("ClOrdID(11) now", order.cl_ord_id if order.cl_ord_id != order.original_cl_ord_id else ""),
        ("Side(54)", words.side(order.side)),
        ("Symbol(55)", order.symbol),
        ("SecurityExchange(207)", order.security_exchange),
        ("ExDestination(100)", order.ex_destination),
        ("OrdType(40)", words.ord_type(order.ord_type)),
        ("TimeInForce(59)", words.time_in_force(order.time_in_force)),
        ("OrderQty(38)", number(order.order_qty)),
        ("Price(44)", number(order.price)),
        ("StopPx(99)", number(order.stop_px)),
        ("asked at first", _first_terms(order) if changed else ""),
        ("OrdStatus(39)", words.ord_status(order.ord_status)),
        ("state", order.life + (", finished" if order.finished else ", alive")),
        ("CumQty(14)", number(order.cum_qty)),
        ("LeavesQty(151)", number(order.leaves_qty)),
        ("AvgPx(6)", number(order.avg_px)),
        ("reason", order.reason or ""),
        ("trade date", order.trade_date),
        ("received (UTC)", day_and_time(order.received_at)),
        ("journal rows", f"{order.new_seq} to {order.last_seq}"),
    ]
    made = table(f"Order {order.order_id}", ("field", "value"), [row for row in rows if row[1] != ""])
    made.show_header = False
    return made


def _first_terms(order: ClientOrder) -> str:
    parts = [f"OrderQty(38) {number(order.original_order_qty)}"]
    if order.original_price is not None:
        parts.append(f"Price(44) {number(order.original_price)}")
    if order.original_stop_px is not None:
        parts.append(f"StopPx(99) {number(order.original_stop_px)}")
    return ", ".join(parts)


def children_table(children: Sequence[ChildOrder]) -> Table | None:
    """Child orders, None where there are none."""
    columns = (
        "broker", "ClOrdID(11)", "now", "OrderID(37) broker", "route", "OrderQty(38)>", "Price(44)>", "StopPx(99)>",
        "CumQty(14)>", "state", "sent by row>",
    )  # fmt: skip
    rows = [
        (
            one.broker,
            one.child_id,
            one.cl_ord_id if one.cl_ord_id != one.child_id else "",
            one.broker_order_id,
            one.route_rule,
            number(one.order_qty),
            number(one.price),
            number(one.stop_px),
            number(one.cum_qty),
            one.life,
            one.sent_seq,
        )
        for one in children
    ]
    return table("Child orders", columns, rows) if rows else None


def requests_table(requests: Sequence[Request]) -> Table | None:
    """Cancel and replace requests, None where there are none."""
    columns = (
        "request", "ClOrdID(11)", "OrigClOrdID(41)", "ClOrdID(11) to broker", "OrderQty(38)>", "Price(44)>",
        "StopPx(99)>", "state", "row>",
    )  # fmt: skip
    rows = [
        (
            f"{words.REQUEST.get(one.kind, '')} ({one.kind})",
            one.cl_ord_id,
            one.orig_cl_ord_id,
            one.broker_cl_ord_id,
            number(one.order_qty),
            number(one.price),
            number(one.stop_px),
            one.state,
            one.seq,
        )
        for one in requests
    ]
    return table("Requests", columns, rows) if rows else None


def witnesses_text(said: Sequence[Confirmation]) -> str:
    """``order session, drop copy`` who tells a fill; one that differs with its own figures."""
    return ", ".join(
        one.witness if one.agrees else f"{one.witness} tells {number(one.quantity)} at {number(one.price)}"
        for one in said
    )


def _kind(fill: Fill) -> str:
    """``trade``, ``bust of E7``, ``correct of E7 by hand``."""
    hand = " by hand" if fill.origin == "manual" else ""
    return fill.kind + (f" of {fill.exec_ref_id}" if fill.exec_ref_id else "") + hand


def fills_table(fills: Sequence[Fill], witnesses: Mapping[str, Sequence[Confirmation]]) -> Table | None:
    """Fills with who tells them, None where there are none."""
    moments = [moment for one in fills for moment in (one.transact_time, one.received_at)]
    when = times(moments)
    rows = [
        (
            when(one.transact_time),
            one.order_id or "none of ours",
            _kind(one),
            f"{words.side(one.side)} {number(one.last_qty)} {one.symbol} at {number(one.last_px)}",
            one.account,
            one.broker,
            one.exec_id,
            one.client_exec_id,
            when(one.received_at),
            witnesses_text(witnesses.get(one.client_exec_id, ())),
        )
        for one in fills
    ]
    return table(f"Fills{of_day(moments)}", FILL_COLUMNS, rows) if rows else None


def fills_json(fills: Sequence[Fill], witnesses: Mapping[str, Sequence[Confirmation]]) -> list[dict[str, Any]]:
    """Fills as objects, each with its witnesses."""
    return [asdict(one) | {"witnesses": witnesses.get(one.client_exec_id, [])} for one in fills]


def items_table(items: Sequence[ExceptionItem], title: str = "Exception items") -> Table | None:
    """Exception items, None where there are none; resolved ones say how."""
    opened = [one.opened_at for one in items]
    when = times([*opened, *(one.resolved_at for one in items)])
    rows = [
        (
            when(one.opened_at),
            one.severity,
            one.kind,
            one.session,
            one.order_id or "",
            one.text + (f"; resolved {when(one.resolved_at)}: {one.resolution}" if one.state == "resolved" else ""),
            one.owner,
            one.item_id,
            one.seq,
        )
        for one in items
    ]
    return table(f"{title}{of_day(opened)}", ITEM_COLUMNS, rows) if rows else None
