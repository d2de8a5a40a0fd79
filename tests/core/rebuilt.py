"""The book of a driver made again from what the ledger has of it, as start-up does, without a database.

Only columns of the ledger's tables, the fills and the text of the broker's reports go in. What comes out must be
the book that was, less what only matters to a running process (`restart`).
"""

from __future__ import annotations

from copy import copy
from typing import Any

from oms.core import messages as m
from oms.core.book import Book
from oms.core.order import Child, Order, Request, request_id_of
from oms.ledger import rows
from oms.ledger.rebuild import link_children, take_reports
from tests.core.driver import BROKER, Driver

SOH = "\x01"


def restart(driver: Driver) -> None:
    """Give the driver's core a book made from rows; it must be equal to the one it had."""
    before = driver.book
    book = Book(next_seq=before.next_seq, sessions={name: copy(one) for name, one in before.sessions.items()})
    for name, keys in before.client_keys.items():
        for key in keys:
            book.note_client_key(name, before.client_keys_day[name], key)
    for fill in driver.fills:
        book.note_fill_key(fill.broker, fill.trade_date, fill.exec_id)
    for order in before.orders.values():
        made = order_again(driver, order)
        for child in order.children:
            child.body = ()
        assert made == order
        book.add(made)
    driver.book = driver.core.book = driver.core._context.book = book


def order_again(driver: Driver, order: Order) -> Order:
    """One order, from its rows."""
    made = Order(**columns(order, rows.ORDER_COLUMNS))
    made.children = [Child(**columns(child, rows.CHILD_COLUMNS)) for child in order.children]
    for request in order.requests:
        made.take(Request(**columns(request, rows.REQUEST_COLUMNS), body=request.body))  # from the journal, if open
    link_children(made)
    fills = [fill._asdict() for fill in driver.fills if fill.order_id == order.order_id]
    take_reports(made.children, fills, reports(driver, order))
    still: dict[str, str] = {}
    for item in driver.items:
        if item.order_id == order.order_id and item.state == "open":
            still[item.kind] = item.item_id
        elif item.order_id == order.order_id and still.get(item.kind) == item.item_id:
            del still[item.kind]
    made.open_items = still
    return made


def columns(one: object, names: tuple[str, ...]) -> dict[str, Any]:
    """The values of a row that are fields of the object as well."""
    known = type(one).__dataclass_fields__  # type: ignore[attr-defined]
    return {name: getattr(one, name) for name in names if name in known}


def reports(driver: Driver, order: Order) -> list[dict[str, Any]]:
    """The ExecutionReports(8) and operators' commands of the journal that are about an order."""
    ids = set(order.to_client) | {child.cl_ord_id for child in order.children}
    found = []
    for seq, event, detail in driver.events:
        body = event.body
        child_id = detail.get("manual", {}).get("child_id")
        if isinstance(body, m.Command) and any(child.child_id == child_id for child in order.children):
            found.append({"seq": seq, "kind": "operator", "order_id": order.order_id, "detail": detail})
        if event.session == BROKER and isinstance(body, m.ExecutionReport) and request_id_of(body.cl_ord_id) in ids:
            fields = {
                "35": "8", "11": body.cl_ord_id, "17": body.exec_id, "150": body.exec_type, "14": body.cum_qty,
                "32": body.last_qty, "31": body.last_px,
            }  # fmt: skip
            text = SOH.join(f"{tag}={value}" for tag, value in fields.items() if value is not None) + SOH
            found.append(
                {
                    "seq": seq,
                    "order_id": order.order_id,
                    "session": event.session,
                    "raw": text.encode(),
                    "detail": detail,
                }
            )
    return found
