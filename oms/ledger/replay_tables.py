"""Replays a part of the journal through the core, in bounded memory, and hands over what it makes.

From the first row on, the core begins empty. From a later one on, the orders that are still news there are brought to
where they were: their own rows before are replayed alone, with what concerns all orders (sessions, operators, mass
cancels). An order whose rows are in an archive is passed over, and counted.
Invariant: everything is read in one snapshot; memory holds live orders, the newest finished ones, and three bytes per
id, as a gateway's does (`oms.ledger.evicted` has the rest on disk).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

from psycopg.rows import namedtuple_row
from sqlalchemy import Engine

from oms.core.book import number_id
from oms.core.order import Order, Request
from oms.ledger import rows
from oms.ledger.compare import ALL, CHILDREN, FILLS, ORDERS, REQUESTS, SHOWN, WITNESSES, Comparison, Difference
from oms.ledger.evicted import Evicted, number_of
from oms.ledger.moment import Snapshot, Span, snapshot, span_of_days, spans_here, stream, whole_span
from oms.ledger.replay import Replay, TablesReport

STEP = 2000  # events between two looks at what has finished
KEEP = 1000  # finished orders in memory
_COLUMNS = "seq, kind, session, msg_type, msg_seq_num, order_id, sending_time, received_at, trade_date, raw, detail"
# What concerns more than one order, or none.
_COMMON = (
    "kind IN ('config', 'session', 'operator') OR ((order_id IS NULL OR order_id NOT LIKE 'O%%')"
    " AND kind <> 'refused' AND (kind <> 'in' OR order_id IS NOT NULL OR msg_type IN ('q', 'r')))"
)

Progress = Callable[[int, int], None]


class Player:
    """One replay of a span. `comparison` hears what it made."""

    def __init__(self, connection: Snapshot, span: Span, comparison: Comparison) -> None:
        self._connection = connection
        self._span = span
        self._comparison = comparison
        self._evicted = Evicted(connection)
        self._replay = Replay(self._evicted)
        self._uncertain: set[int] = set()  # finished orders that differ until now; late news may be to come
        self._known: frozenset[str] = frozenset()
        self._is_last = whole_span(connection).last_seq <= span.last_seq
        self.passed_over: set[str] = set()  # orders whose rows are in an archive
        self.later = 0  # orders that were changed after the span
        self.events = 0

    def run(self, progress: Progress) -> None:
        """Play it all, and compare it."""
        span, total = self._span, self._span.rows
        try:
            if span.first_seq > 1:
                self._carry_over()
            query = f"SELECT {_COLUMNS} FROM journal WHERE seq BETWEEN %s AND %s AND kind <> 'out' ORDER BY seq"
            for row in self._rows(query, span.first_seq, span.last_seq):
                if self._is_elsewhere(row.order_id):
                    self.passed_over.add(row.order_id)
                    continue
                self._replay.take(row)
                self.events += 1
                if self.events % STEP == 0:
                    self._look()
                    progress(row.seq - span.first_seq + 1, total)
            self._end()
            progress(total, total)
        finally:
            self._evicted.spool.close()

    def _rows(self, query: str, *values: object) -> Iterator[Any]:
        return stream(self._connection, query, *values, row_factory=namedtuple_row, chunk=STEP)

    def _is_elsewhere(self, order_id: str | None) -> bool:
        """Whether a row is about an order that began before the span and could not be carried over."""
        if order_id is None or self._span.first_seq == 1 or not order_id.startswith("O") or order_id in self._known:
            return False
        number = number_of(order_id)
        return number is not None and number < self._span.first_seq

    # -- orders that began before -------------------------------------------------------------------------

    def _carry_over(self) -> None:
        """Bring the orders that are still news to where they were, and keep nothing else of what that makes."""
        first = self._span.first_seq
        self._known = frozenset(self._carried())
        numbers = [number for order_id in self._known if (number := number_of(order_id)) is not None]
        low = min(numbers, default=first)
        start = "SELECT max(seq) FROM journal WHERE kind = 'config' AND seq < %s"
        found = self._connection.execute(start.encode(), [low]).fetchone()
        config = found[0] if found and found[0] is not None else 0
        query = (
            f"SELECT {_COLUMNS} FROM journal WHERE seq < %s AND kind <> 'out' AND (seq = %s OR (seq >= %s AND"
            f" (order_id = ANY(%s) OR {_COMMON}))) ORDER BY seq"
        )
        for row in self._rows(query, first, config, low, list(self._known)):
            if row.order_id is None or not row.order_id.startswith("O") or row.order_id in self._known:
                self._replay.take(row)
        self._replay.fills.clear()
        self._replay.witnesses.clear()
        self._replay.requests = {
            seq: one for seq, one in self._replay.requests.items() if not one.order_id or one.order_id in self._known
        }
        self._load_keys()

    def _carried(self) -> list[str]:
        """Orders from before with rows in the span, or alive, all of whose rows are here."""
        first, last = self._span.first_seq, self._span.last_seq
        found = self._connection.execute(
            "SELECT order_id FROM client_orders WHERE NOT finished AND new_seq < %s UNION"
            " SELECT order_id FROM journal WHERE seq BETWEEN %s AND %s AND order_id LIKE 'O%%'"
            ' AND order_id COLLATE "C" < %s',
            [first, first, last, number_id("O", first)],
        ).fetchall()
        here = self._connection.execute(
            "SELECT order_id FROM unnest(%s::text[]) AS wanted(order_id) JOIN client_orders USING (order_id)"
            " WHERE EXISTS (SELECT FROM journal WHERE seq = new_seq)",
            [[row[0] for row in found]],
        )
        return [row[0] for row in here]

    def _load_keys(self) -> None:
        """From the first day of the span on every id that was used is asked for."""
        found = self._connection.execute(
            "SELECT max(trade_date) FROM journal WHERE seq BETWEEN %s AND %s",
            [self._span.first_seq, self._span.last_seq],
        ).fetchone()
        if found is not None and found[0] is not None:
            self._replay.book.client_keys_from = self._replay.book.keys_from = found[0]

    # -- what is done with --------------------------------------------------------------------------------

    def _look(self) -> None:
        """Compare and let go what has finished; facts at once."""
        replay, compare = self._replay, self._comparison
        for one, made in (
            (FILLS, [rows.fill_row(fill, sent) for fill, sent in replay.fills]),
            (WITNESSES, [rows.witness_row(witness) for witness in replay.witnesses]),
        ):
            compare.count(one, made)
            for found in compare.differ(one, made).values():
                compare.note(found)
        replay.fills.clear()
        replay.witnesses.clear()
        replay.book.evict(KEEP)
        gone = [order for order_id, order in replay.orders.items() if order_id not in replay.book.orders]
        for order in gone:
            del replay.orders[order.order_id]
            self._evicted.spool.put(order)
            self._uncertain.discard(order.new_seq)
        self._uncertain |= set(self._compare(gone))

    def _compare(self, orders: list[Order]) -> dict[int, list[Difference]]:
        """What is different of these orders and what belongs to them, by the order's number."""
        owner: dict[str, int] = {}
        requests: list[Request] = []
        asked = self._requests_by_order()
        for order in orders:
            own = {request.seq: request for request in (*order.requests, *asked.pop(order.order_id, ()))}
            requests += own.values()
            owner |= {str(seq): order.new_seq for seq in own} | {order.order_id: order.new_seq}
            owner |= {child.child_id: order.new_seq for child in order.children}
            for seq in own:
                self._replay.requests.pop(seq, None)
        found: dict[int, list[Difference]] = {}
        for one, made in (
            (ORDERS, [rows.order_row(order) for order in orders]),
            (CHILDREN, [rows.child_row(child) for order in orders for child in order.children]),
            (REQUESTS, [rows.request_row(request) for request in requests]),
        ):
            self._comparison.count(one, made, again=True)
            for key, apart in self._comparison.differ(one, made).items():
                found.setdefault(owner[key], []).extend(apart)
        return found

    def _requests_by_order(self) -> dict[str, list[Request]]:
        made: dict[str, list[Request]] = {}
        for request in self._replay.requests.values():
            made.setdefault(request.order_id, []).append(request)
        return made

    def _end(self) -> None:
        """Whatever is left: alive, newly finished, or different when it was last looked at."""
        self._look()
        in_memory = list(self._replay.orders.values())
        found = self._compare(in_memory)
        uncertain = sorted(self._uncertain - {order.new_seq for order in in_memory})
        for place in range(0, len(uncertain), STEP):
            orders = [self._evicted.spool.get(number) for number in uncertain[place : place + STEP]]
            found |= self._compare([order for order in orders if order is not None])
        later = self._changed_later(list(found))
        self.later = len(later)
        for number in sorted(set(found) - later):
            self._comparison.note(found[number])
        loose = [rows.request_row(request) for request in self._replay.requests.values()]  # mass cancels: of no order
        self._comparison.count(REQUESTS, loose, again=True)
        if self._is_last:
            for apart in self._comparison.differ(REQUESTS, loose).values():
                self._comparison.note(apart)
        self._comparison.beyond(sorted(self.passed_over))

    def _changed_later(self, numbers: list[int]) -> set[int]:
        """Those of some orders that rows after the span have changed: the ledger has another moment of them."""
        if self._is_last or not numbers:
            return set()
        found = self._connection.execute(
            "SELECT new_seq FROM client_orders AS one WHERE new_seq = ANY(%s) AND (last_seq > %s OR EXISTS"
            " (SELECT FROM child_orders WHERE order_id = one.order_id AND last_seq > %s))",
            [numbers, self._span.last_seq, self._span.last_seq],
        )
        return {row[0] for row in found}


def by_keys(connection: Snapshot) -> None:
    """Find a few rows by their keys, whatever the planner believes of tables that have grown."""
    for setting in ("enable_seqscan", "enable_hashjoin", "enable_mergejoin"):
        connection.execute(f"SET LOCAL {setting} = off".encode())


def compare_days(engine: Engine, progress: Progress, first: date | None, last: date | None) -> TablesReport:
    """Replay the trade dates from one to another as far as their rows are here, and compare; None: no bound."""
    events = differing = later = passed_over = done = 0
    compared = {one.table.name: 0 for one in ALL}
    differences: list[Difference] = []
    with snapshot(engine) as connection:
        by_keys(connection)
        parts = spans_here(connection, span_of_days(connection, first, last))
        total = sum(part.rows for part in parts)
        for part in parts:
            comparison = Comparison(connection, part)
            player = Player(connection, part, comparison)
            player.run(lambda ready, _, before=done: progress(before + ready, total))  # type: ignore[misc]
            done += part.rows
            events += player.events
            later += player.later
            passed_over += len(player.passed_over)
            differing += comparison.differing
            differences += comparison.differences[: max(SHOWN - len(differences), 0)]
            compared = {name: compared[name] + made for name, made in comparison.compared.items()}
    return TablesReport(events, compared, differing, differences, later, passed_over)
