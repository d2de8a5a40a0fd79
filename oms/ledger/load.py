"""Orders back from the ledger into memory: live ones at start-up, finished ones when late news names them.

What comes back is the order as the core had it, less what only mattered to the running process (messages kept
for a re-route, status requests under way). Reads only; the caller sees to it that all batches are committed.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta
from typing import Any

import psycopg
from psycopg.rows import dict_row

from oms.core.book import Book, SessionState
from oms.core.order import Child, Execution, Order, Request
from oms.ledger.database import gateway_connection

Rows = list[dict[str, Any]]
_FILL_KEY_DAYS = 5


class Reader:
    """A read connection for start-up and for the rare look-ups of the flow. Owned by one thread at a time."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection = self._connect()

    def _connect(self) -> psycopg.Connection[dict[str, Any]]:
        return gateway_connection(self._url, autocommit=True, row_factory=dict_row, application_name="oms reader")

    def rows(self, text: str, *values: object) -> Rows:
        """The rows of one statement; a connection that was lost is made anew once.

        Raises psycopg.OperationalError where the ledger is gone.
        """
        try:
            return self._connection.execute(text.encode(), values).fetchall()
        except (psycopg.OperationalError, psycopg.InterfaceError):
            if not self._connection.closed:
                raise
        self._connection = self._connect()
        return self._connection.execute(text.encode(), values).fetchall()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    # -- orders --------------------------------------------------------------------------------------------

    def live_orders(self) -> list[Order]:
        """All orders that have not finished, in order of creation."""
        return self._orders("NOT finished", None)

    def order_by_client_id(self, client: str, cl_ord_ids: tuple[str, ...]) -> list[Order]:
        """The newest order of a client that has one of these ClOrdIDs(11) in its chain."""
        found = self.rows(
            "SELECT order_id FROM client_orders WHERE client = %s AND original_cl_ord_id = ANY(%s) UNION"
            " SELECT order_id FROM requests WHERE client = %s AND cl_ord_id = ANY(%s)"
            " ORDER BY order_id DESC LIMIT 1",
            client,
            list(cl_ord_ids),
            client,
            list(cl_ord_ids),
        )
        return self._orders("order_id = ANY(%s)", [row["order_id"] for row in found])

    def order_by_broker_id(self, broker: str, cl_ord_ids: tuple[str, ...], broker_order_id: str) -> list[Order]:
        """The order one of whose children has one of these ClOrdIDs(11), or this OrderID(37), at this broker."""
        found = self.rows(
            "SELECT order_id FROM child_orders WHERE broker = %s AND child_id = ANY(%s) UNION"
            " SELECT order_id FROM requests WHERE broker_cl_ord_id = ANY(%s) UNION"
            " SELECT order_id FROM child_orders WHERE broker = %s AND broker_order_id = %s AND broker_order_id <> ''"
            " ORDER BY order_id DESC LIMIT 1",
            broker,
            list(cl_ord_ids),
            list(cl_ord_ids),
            broker,
            broker_order_id,
        )
        return self._orders("order_id = ANY(%s)", [row["order_id"] for row in found])

    def _orders(self, condition: str, values: list[str] | None) -> list[Order]:
        parameters = () if values is None else (values,)
        orders = {
            row["order_id"]: _order(row)
            for row in self.rows(f"SELECT * FROM client_orders WHERE {condition} ORDER BY order_id", *parameters)
        }
        ids = list(orders)
        for row in self.rows("SELECT * FROM child_orders WHERE order_id = ANY(%s) ORDER BY sent_seq", ids):
            orders[row["order_id"]].children.append(_child(row))
        for order in orders.values():
            if order.child is not None:
                order.link(order.original_cl_ord_id, order.child.child_id)
        for row in self.rows("SELECT * FROM requests WHERE order_id = ANY(%s) ORDER BY seq", ids):
            order = orders[row["order_id"]]
            order.requests.append(Request(**row))
            order.link(row["cl_ord_id"], row["broker_cl_ord_id"])
        self._executions(orders, ids)
        for row in self.rows(
            "SELECT order_id, kind, item_id FROM exception_items WHERE state = 'open' AND order_id = ANY(%s)", ids
        ):
            orders[row["order_id"]].open_items[row["kind"]] = row["item_id"]
        return list(orders.values())

    def _executions(self, orders: dict[str, Order], ids: list[str]) -> None:
        children = {child.child_id: child for order in orders.values() for child in order.children}
        for row in self.rows("SELECT * FROM fills WHERE order_id = ANY(%s) ORDER BY seq", ids):
            child = children.get(row["child_id"])
            if child is not None:
                _take_fill(child, row)
        by_order: dict[str, dict[str, Child]] = defaultdict(dict)
        for child in children.values():
            by_order[child.order_id][child.broker] = child
        for row in self.rows(
            "SELECT order_id, session, raw FROM journal WHERE order_id = ANY(%s) AND kind = 'in' AND msg_type = '8'",
            ids,
        ):
            child = by_order[row["order_id"]].get(row["session"])
            if child is not None:
                child.exec_ids.add(_exec_id(bytes(row["raw"])))
        for child in children.values():
            child.exec_ids -= {"", "0"}

    # -- the rest of memory --------------------------------------------------------------------------------

    def sessions(self, book: Book) -> dict[str, dict[str, Any]]:
        """Note every session's committed position in the book; returns the rows by session."""
        rows = {row["session"]: row for row in self.rows("SELECT * FROM session_positions")}
        for name, row in rows.items():
            book.sessions[name] = SessionState(
                name, row["role"], row["epoch"], row["in_msg_seq_num"], False, row["changed_at"]
            )
        return rows

    def keys(self, book: Book, today: date) -> None:
        """Today's ClOrdIDs of clients, and the fills' ExecIDs of the last days."""
        for row in self.rows(
            "SELECT client, original_cl_ord_id AS id FROM client_orders WHERE trade_date = %s UNION ALL"
            " SELECT client, cl_ord_id FROM requests WHERE trade_date = %s",
            today,
            today,
        ):
            book.note_client_key(row["client"], today, row["id"])
        since = today - timedelta(days=_FILL_KEY_DAYS)
        for row in self.rows(
            "SELECT broker, trade_date, exec_id FROM fills WHERE trade_date >= %s ORDER BY trade_date", since
        ):
            book.note_fill_key(row["broker"], row["trade_date"], row["exec_id"])

    # -- what went out -------------------------------------------------------------------------------------

    def outgoing(self, session: str, after: int, limit: int) -> Rows:
        """Outgoing messages of a session after a journal row, in order: seq, msg_type, received_at, raw."""
        return self.rows(
            "SELECT seq, msg_type, received_at, raw FROM journal WHERE session = %s AND kind = 'out' AND seq > %s"
            " ORDER BY seq LIMIT %s",
            session,
            after,
            limit,
        )

    def sent_message(self, session: str, msg_seq_num: int) -> Rows:
        """What we sent a session under a MsgSeqNum(34), the last time that number was used."""
        return self.rows(
            "SELECT journal.msg_type, journal.raw FROM sends JOIN journal USING (seq) WHERE sends.session = %s"
            " AND sends.msg_seq_num = %s ORDER BY sends.seq DESC LIMIT 1",
            session,
            msg_seq_num,
        )


def _order(row: dict[str, Any]) -> Order:
    names = set(Order.__dataclass_fields__) & set(row)
    return Order(**{name: row[name] for name in names})


def _child(row: dict[str, Any]) -> Child:
    names = set(Child.__dataclass_fields__) & set(row)
    return Child(**{name: row[name] for name in names})


def _take_fill(child: Child, row: dict[str, Any]) -> None:
    """One fill into the child's executions; its quantities are in the child's row already."""
    if row["kind"] == "trade":
        child.executions[row["exec_id"]] = Execution(row["client_exec_id"], row["last_qty"], row["last_px"])
        return
    ref = child.executions.get(row["exec_ref_id"])
    if ref is None or not ref.live:
        return
    ref.live = False
    if row["kind"] == "correct":
        child.executions[row["exec_id"]] = Execution(row["client_exec_id"], row["last_qty"], row["last_px"])


def _exec_id(raw: bytes) -> str:
    start = raw.find(b"\x0117=")
    return raw[start + 4 : raw.find(b"\x01", start + 4)].decode("utf-8", "surrogateescape") if start >= 0 else ""
