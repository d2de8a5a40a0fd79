"""One moment of the ledger, read in order and in bounded memory, however long it takes.

All that a proof reads comes from one transaction (REPEATABLE READ), so a running gateway neither disturbs it nor is
disturbed. Rows are streamed by cursors on the server. A transaction of this kind keeps the server from cleaning up
after updates for as long as it lasts: minutes, not days.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import RowFactory, tuple_row
from sqlalchemy import Engine

from oms.ledger.records import OrderStory

CHUNK = 5000

Snapshot = psycopg.Connection[Any]
_names = itertools.count(1)


@contextmanager
def snapshot(engine: Engine) -> Iterator[Snapshot]:
    """A connection on which every statement sees the same moment. Raises the database's own errors."""
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        raw: Any = connection.connection.driver_connection
        # Rows come in order of their number by the indexes of the partitions, never by sorting all of them first.
        raw.execute("SET LOCAL enable_sort = off")
        raw.execute("SET LOCAL jit = off")
        yield raw


def stream(
    connection: Snapshot, query: str, *values: object, row_factory: RowFactory[Any] = tuple_row, chunk: int = 0
) -> Iterator[Any]:
    """The rows of a query, a few thousand at a time."""
    with connection.cursor(name=f"oms_{next(_names)}", row_factory=row_factory) as cursor:
        cursor.itersize = chunk or CHUNK
        cursor.execute(query.encode(), values or None)
        yield from cursor


class Archived(NamedTuple):
    """A day that is in a file: what the ledger keeps of it (table `archives`)."""

    day: date
    first_batch: int
    last_batch: int
    first_seq: int
    last_seq: int
    prev_hash: bytes
    hash: bytes
    rows: int
    file: str
    size: int
    sha256: bytes
    kept_rows: int
    kept_hash: bytes
    archived_at: Any
    archived_by: str
    restored_at: Any
    restored_by: str | None

    @property
    def is_away(self) -> bool:
        """Whether its rows are in the file only."""
        return self.restored_at is None


def archived_days(connection: Snapshot) -> list[Archived]:
    """The days that were archived, the oldest first, also those that were restored since."""
    names = ", ".join(Archived._fields)
    found = connection.execute(f"SELECT {names} FROM archives ORDER BY day".encode()).fetchall()
    return [Archived(*row) for row in found]


def days_away(engine: Engine, story: OrderStory) -> list[Archived]:
    """The archived days that have messages of an order; none where the order was kept, or its days were restored."""
    order = story.order
    if any(entry.seq == order.new_seq for entry in story.entries):
        return []
    with engine.connect() as connection:
        days = archived_days(connection.connection.driver_connection)  # type: ignore[arg-type]
    last = max(order.last_seq, order.new_seq)
    return [one for one in days if one.is_away and one.last_seq >= order.new_seq and one.first_seq <= last]


class Span(NamedTuple):
    """Consecutive batches and their journal rows; of an empty one the last is before the first."""

    first_batch: int
    last_batch: int
    first_seq: int
    last_seq: int

    @property
    def rows(self) -> int:
        """How many journal rows it has."""
        return self.last_seq - self.first_seq + 1


def whole_span(connection: Snapshot) -> Span:
    """From the first batch to the last."""
    found = connection.execute(
        "SELECT coalesce(max(batch), 0), coalesce(max(last_seq), 0) FROM"
        " (SELECT batch, last_seq FROM batches ORDER BY batch DESC LIMIT 1) AS last"
    ).fetchone()
    assert found is not None
    return Span(1, found[0], 1, found[1])


def span_of_days(connection: Snapshot, first: date | None, last: date | None) -> Span:
    """The batches that have a row of these trade dates, and those between; everything where both are None."""
    whole = whole_span(connection)
    if first is None and last is None:
        return whole
    low, high = first or date.min, last or date.max
    found = connection.execute(
        "SELECT min(seq), max(seq) FROM journal WHERE trade_date BETWEEN %s AND %s", [low, high]
    ).fetchone()
    if found is None or found[0] is None:
        return Span(1, 0, 1, 0)
    ends = []
    for seq in found:
        row = connection.execute(
            "SELECT batch, first_seq, last_seq FROM batches WHERE batch = (SELECT batch FROM journal WHERE seq = %s)",
            [seq],
        ).fetchone()
        if row is None:
            return whole  # a journal whose batches are not there: the chain will say so
        ends.append(row)
    return Span(ends[0][0], ends[1][0], ends[0][1], ends[1][2])


def spans_here(connection: Snapshot, wanted: Span) -> list[Span]:
    """The parts of a span whose rows are all in the ledger: what is not archived, or was restored."""
    parts: list[Span] = []
    batch, seq = wanted.first_batch, wanted.first_seq
    for one in archived_days(connection):
        if not one.is_away or one.last_batch < wanted.first_batch or one.first_batch > wanted.last_batch:
            continue
        if one.first_batch > batch:
            parts.append(Span(batch, one.first_batch - 1, seq, one.first_seq - 1))
        batch, seq = one.last_batch + 1, one.last_seq + 1
    if batch <= wanted.last_batch:
        parts.append(Span(batch, wanted.last_batch, seq, wanted.last_seq))
    return parts
