"""Orders back from the ledger into memory: live ones at start-up, finished ones when late news names them.

What comes back is the order as the core had it, less what only mattered to the running process (messages kept
for a re-route, status requests under way). Reads only; the caller sees to it that all batches are committed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import dict_row

from oms.core.book import Book, MassCancel, SessionState
from oms.core.copies import Recalled
from oms.core.messages import ReplaceRequest
from oms.core.order import OPEN_REQUEST, Child, Order, Request
from oms.core.reconcile import UNANSWERED
from oms.fix.decode import decode_guarded
from oms.fix.rules import as_read
from oms.ledger import witnesses
from oms.ledger.database import gateway_connection
from oms.ledger.rebuild import link_children, take_reports
from oms.ledger.rows import CHILD_COLUMNS, ORDER_COLUMNS, REQUEST_COLUMNS

Rows = list[dict[str, Any]]

# Whatever the planner believes of tables that have grown or were never analysed: a few rows by their keys, never a
# whole table, which would make a start the longer the more history there is.
_SETTINGS = "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off"
# Of the journal: what brokers reported on some orders, what operators did, status requests of clients. Once for all,
# and in the days that they can be in, because every partition that is looked into costs as much as rows found there.
_OF_ORDERS = (
    "SELECT seq, kind, msg_type, journal.order_id, session, raw, detail"
    " FROM unnest(%s::text[], %s::date[]) AS wanted(order_id, day) JOIN journal"
    " ON journal.order_id = wanted.order_id AND journal.trade_date >= wanted.day AND journal.trade_date <= %s"
    " WHERE (kind = 'in' AND msg_type = '8') OR kind = 'operator'"
    " OR (kind <> 'out' AND detail::text LIKE '%%\"status_a%%') ORDER BY seq"
)
_ORDER_COLUMNS = ", ".join(name for name in ORDER_COLUMNS if name in Order.__dataclass_fields__)
_CHILD_COLUMNS = ", ".join(name for name in CHILD_COLUMNS if name in Child.__dataclass_fields__)
_FILL_KEY_DAYS = 1  # before today
MOST_IDS = 3_000_000  # some 600 ns and four bytes each
_CLIENT_IDS = (
    "SELECT trade_date AS day, original_cl_ord_id AS id FROM client_orders WHERE client = %s AND trade_date = %s"
    " UNION ALL SELECT trade_date, cl_ord_id FROM requests WHERE client = %s AND trade_date = %s"
)
# Beyond the row up to which a session is settled there may be messages that left: a broker whose messages are paced
# does not get them in the order of the journal. A message is sent after it was decided; a day's slack is for clocks.
# Asked row by row, by the key: whatever the planner believes, it cannot make a join over whole tables of it.
UNSETTLED = (
    "(SELECT sends.seq FROM sends WHERE sends.seq = journal.seq"
    " AND sends.sent_at >= journal.received_at - interval '1 day' LIMIT 1) IS NULL"
)
_FILL_IDS = "SELECT trade_date AS day, exec_id AS id FROM fills WHERE broker = %s AND trade_date >= %s"


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
        return self._rows(text, values)

    def named_rows(self, text: str, values: Mapping[str, object]) -> Rows:
        """The same, of a statement with named values."""
        return self._rows(text, values)

    def _rows(self, text: str, values: Sequence[object] | Mapping[str, object]) -> Rows:
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
        with self._connection.transaction():
            self._connection.execute(_SETTINGS)
            return self._orders("NOT finished", None)

    def order_by_id(self, order_ids: tuple[str, ...]) -> list[Order]:
        """Orders by OrderID(37), ours."""
        return self._orders("order_id = ANY(%s)", list(order_ids))

    def order_by_client_id(self, client: str, cl_ord_ids: tuple[str, ...]) -> list[Order]:
        """The order for which a client used one of these ClOrdIDs(11) last."""
        found = self.rows(
            "SELECT order_id, new_seq AS used FROM client_orders WHERE client = %s AND original_cl_ord_id = ANY(%s)"
            " UNION ALL SELECT order_id, seq FROM requests"
            " WHERE client = %s AND cl_ord_id = ANY(%s) AND orig_cl_ord_id <> ''"  # not those of mass cancels
            " ORDER BY used DESC LIMIT 1",
            client,
            list(cl_ord_ids),
            client,
            list(cl_ord_ids),
        )
        return self._orders("order_id = ANY(%s)", [row["order_id"] for row in found])

    def order_by_broker_id(self, broker: str, cl_ord_ids: tuple[str, ...], broker_order_id: str) -> list[Order]:
        """Orders that have one of these ClOrdIDs(11) at this broker, and the newest with its OrderID(37)."""
        found = self.rows(
            "SELECT order_id FROM child_orders WHERE broker = %s AND child_id = ANY(%s) UNION"
            " SELECT order_id FROM requests WHERE broker_cl_ord_id = ANY(%s)",
            broker,
            list(cl_ord_ids),
            list(cl_ord_ids),
        )
        if broker_order_id:
            found += self.rows(
                "SELECT order_id FROM child_orders WHERE broker = %s AND broker_order_id = %s"
                " AND broker_order_id <> '' ORDER BY order_id DESC LIMIT 1",
                broker,
                broker_order_id,
            )
        return self._orders("order_id = ANY(%s)", [row["order_id"] for row in found])

    def _orders(self, condition: str, values: list[str] | None) -> list[Order]:
        if values == []:  # as for every id that nobody used
            return []
        parameters = () if values is None else (values,)
        orders = {
            row["order_id"]: Order(**row)
            for row in self.rows(
                f"SELECT {_ORDER_COLUMNS} FROM client_orders WHERE {condition} ORDER BY order_id", *parameters
            )
        }
        ids = list(orders)
        children = f"SELECT {_CHILD_COLUMNS} FROM child_orders WHERE order_id = ANY(%s) ORDER BY sent_seq"
        for row in self.rows(children, ids):
            orders[row["order_id"]].children.append(Child(**row))
        for row in self.rows("SELECT * FROM requests WHERE order_id = ANY(%s) ORDER BY seq", ids):
            order = orders[row["order_id"]]
            order.take(Request(**row))
        for order in orders.values():
            link_children(order)
        self._replace_bodies(orders)
        self._reported(orders, ids)
        for row in self.rows(
            "SELECT order_id, kind, item_id FROM exception_items WHERE state = 'open' AND order_id = ANY(%s)", ids
        ):
            orders[row["order_id"]].open_items[row["kind"]] = row["item_id"]
        return list(orders.values())

    def _replace_bodies(self, orders: dict[str, Order]) -> None:
        """What open replaces asked for: a broker without replace gets it as a new order (`oms.core.cancel_new`)."""
        waiting = {
            request.seq: request
            for order in orders.values()
            for request in order.requests
            if request.kind == "G" and request.state in OPEN_REQUEST
        }
        texts = "SELECT seq, raw, detail FROM journal WHERE seq = ANY(%s)"
        for row in self.rows(texts, list(waiting)) if waiting else ():
            request = waiting[row["seq"]]
            text = as_read(bytes(row["raw"]), row["detail"] or {})
            body, _ = decode_guarded(text, request.trade_date, from_broker=False, fix42=False)
            if isinstance(body, ReplaceRequest):
                request.body = body.body

    def _reported(self, orders: dict[str, Order], ids: list[str]) -> None:
        """What the journal has of these orders beside what stands in other tables."""
        since = [order.trade_date - timedelta(days=1) for order in orders.values()]  # a clock may have gone back
        found = self.rows(_OF_ORDERS, ids, since, datetime.now(UTC).date() + timedelta(days=1))
        take_reports(
            [child for order in orders.values() for child in order.children],
            self.rows("SELECT * FROM fills WHERE order_id = ANY(%s) ORDER BY seq", ids),
            [row for row in found if row["kind"] == "operator" or (row["kind"], row["msg_type"]) == ("in", "8")],
        )
        _status_requests(orders, found)

    # -- the rest of memory --------------------------------------------------------------------------------

    def sessions(self, book: Book) -> dict[str, dict[str, Any]]:
        """Note every session's committed position in the book; returns the rows by session."""
        rows = {row["session"]: row for row in self.rows("SELECT * FROM session_positions")}
        for name, row in rows.items():
            book.sessions[name] = SessionState(
                name, row["role"], row["epoch"], row["in_msg_seq_num"], False, row["changed_at"]
            )
        return rows

    def mass_cancels(self, book: Book) -> None:
        """What went to brokers as one mass cancel and has no answer; the decision has the orders of each."""
        names = ", ".join(f"requests.{name}" for name in REQUEST_COLUMNS)
        for row in self.rows(
            f"SELECT {names}, out.session AS broker, asked.detail FROM requests JOIN journal AS out USING (seq)"
            " JOIN journal AS asked ON asked.seq = out.cause"
            " WHERE requests.order_id = '' AND requests.kind = 'q' AND requests.state = 'sent'"
        ):
            broker, order_ids = row.pop("broker"), row.pop("detail")["mass"]["as_one"]
            request = Request(**row)
            book.mass_cancels[request.broker_cl_ord_id] = MassCancel(request, broker, frozenset(order_ids[broker]))

    def open_items(self, limit: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """The oldest exception items that are open, and how many of each kind there are."""
        oldest = self.rows(
            "SELECT item_id, kind, severity, opened_at FROM exception_items WHERE state = 'open'"
            " ORDER BY opened_at LIMIT %s",
            limit,
        )
        counted = "SELECT kind, count(*) AS number FROM exception_items WHERE state = 'open' GROUP BY kind"
        return oldest, self.rows(counted)

    def unanswered(self, book: Book) -> None:
        """The open item of each broker that did not answer for all its orders; the oldest, if there are several."""
        for row in self.rows(
            "SELECT session, item_id FROM exception_items WHERE state = 'open' AND kind = %s ORDER BY opened_at DESC",
            UNANSWERED,
        ):
            book.unanswered[row["session"]] = row["item_id"]

    def keys(self, book: Book, today: date) -> dict[str, object]:
        """Today's ClOrdIDs(11) of clients, the fills' ExecIDs(17) from yesterday on; of others the ledger is asked.

        Not more than `MOST_IDS`, clients first: of a session that has too many the ledger is asked as well, so that a
        start is bounded however much was traded today. Returns how many were loaded, and those sessions.
        """
        book.client_keys_from = today
        book.keys_from = today - timedelta(days=_FILL_KEY_DAYS)
        room, asked, loaded = MOST_IDS, list[str](), {"client_ids": 0, "fill_ids": 0}
        for name in [one.name for one in book.sessions.values() if one.role == "client"]:
            by_day = self._ids(_CLIENT_IDS, (name, today) * 2, room)
            ids = None if by_day is None else [one for some in by_day.values() for one in some]
            book.load_client_keys(name, today, ids)
            if ids is None:
                asked.append(name)
            else:
                room -= len(ids)
                loaded["client_ids"] += len(ids)
        for name in [one.name for one in book.sessions.values() if one.role == "broker"]:
            by_day = self._ids(_FILL_IDS, (name, book.keys_from), room)
            if by_day is None:
                asked.append(name)
                book.fill_keys_from[name] = today + timedelta(days=1)
                continue
            for day, ids in sorted(by_day.items()):
                book.load_fill_keys(name, day, ids)
                room -= len(ids)
                loaded["fill_ids"] += len(ids)
        return {**loaded, "asked_each_time": asked}

    def _ids(self, query: str, values: tuple[object, ...], room: int) -> dict[date, list[str]] | None:
        """Ids by trade date, None where there are more than `room`. One text for a day: much faster than rows."""
        counted = self.rows(f"SELECT count(*) AS number FROM ({query} LIMIT %s) AS found", *values, room + 1)
        if counted[0]["number"] > room:
            return None
        found = self.rows(
            f"SELECT day, string_agg(id, E'\\x1f') AS ids FROM ({query}) AS found GROUP BY day", *values
        )
        return {row["day"]: row["ids"].split("\x1f") for row in found}

    def client_key_used(self, client: str, day: date, cl_ord_id: str) -> bool:
        """Whether a client used this ClOrdID(11) on this trading day, as far as it is committed."""
        return bool(
            self.rows(
                "SELECT 1 FROM client_orders WHERE client = %s AND trade_date = %s AND original_cl_ord_id = %s"
                " UNION ALL SELECT 1 FROM requests WHERE client = %s AND trade_date = %s AND cl_ord_id = %s LIMIT 1",
                *(client, day, cl_ord_id) * 2,
            )
        )

    def fill_key_used(self, broker: str, day: date, exec_id: str) -> bool:
        """Whether a fill with this ExecID(17) and trade date is booked, as far as it is committed."""
        query = "SELECT 1 FROM fills WHERE broker = %s AND trade_date = %s AND exec_id = %s"
        return bool(self.rows(query, broker, day, exec_id))

    def copy_told(self, broker: str, day: date, exec_id: str) -> bool:
        """Whether the drop copy has told this execution, as far as it is committed."""
        return witnesses.copy_told(self.rows, broker, day, exec_id)

    def recall(self, broker: str, day: date, exec_id: str) -> Recalled:
        """An execution as both witnesses of a broker told it, as far as it is committed."""
        return witnesses.recall(self.rows, broker, day, exec_id)

    # -- what went out -------------------------------------------------------------------------------------

    def outgoing(self, session: str, after: int, limit: int) -> Rows:
        """Outgoing messages of a session after a journal row that are not settled, in order.

        Each has seq, msg_type, order_id, received_at, raw.
        """
        return self.rows(
            "SELECT seq, msg_type, order_id, received_at, raw FROM journal WHERE session = %s AND kind = 'out'"
            f" AND seq > %s AND {UNSETTLED} ORDER BY seq LIMIT %s",
            session,
            after,
            limit,
        )

    def count_outgoing(self, session: str, after: int) -> int:
        """How many messages of a session wait after a journal row."""
        query = (
            f"SELECT count(*) AS number FROM journal WHERE session = %s AND kind = 'out' AND seq > %s AND {UNSETTLED}"
        )
        return int(self.rows(query, session, after)[0]["number"])

    def sent_message(self, session: str, msg_seq_num: int) -> Rows:
        """What we sent a session under a MsgSeqNum(34), the last time that number was used."""
        return self.rows(
            "SELECT journal.msg_type, journal.raw FROM sends JOIN journal USING (seq) WHERE sends.session = %s"
            " AND sends.msg_seq_num = %s ORDER BY sends.seq DESC LIMIT 1",
            session,
            msg_seq_num,
        )


def _status_requests(orders: dict[str, Order], found: Rows) -> None:
    """The OrderStatusRequests(H) of clients that went to a broker and have no answer, oldest first."""
    children = {child.child_id: child for order in orders.values() for child in order.children}
    for row in found:
        detail = row["detail"] or {}
        asked = detail.get("status_asked")
        child_id, cl_ord_id = asked or detail.get("status_answered") or ("", "")
        child = children.get(child_id)
        if child is None:
            continue
        if asked:
            child.status_requests.append(cl_ord_id)
        elif cl_ord_id in child.status_requests:
            child.status_requests.remove(cl_ord_id)
