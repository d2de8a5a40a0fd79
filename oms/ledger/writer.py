"""The writer: one transaction per batch, and nobody else writes.

Invariants: batches are committed in order and whole (I1, I6). Each carries a hash chained to the one before.
A commit whose outcome is uncertain (connection lost) is read back by its number, never blindly repeated: the
same rows are written again only if the database does not have them. A row the database refuses is a
contradiction within the gateway: JournalFailure, and the house stops.

Owned by the writer thread, except `connect`, `head` and `close`.
"""

from __future__ import annotations

import json
from dataclasses import astuple
from datetime import UTC, datetime
from typing import Any

import psycopg

# What tells that the database went away, so that the outcome of a commit is not known.
from psycopg import sql

from oms.errors import JournalFailure, OperatorError
from oms.ledger import schema
from oms.ledger.batch import Batch
from oms.ledger.chain import GENESIS, batch_hash
from oms.ledger.database import gateway_connection

# What tells that the database went away, so that the outcome of a commit is not known.
CONNECTION_LOST = (psycopg.OperationalError, psycopg.InterfaceError)

# One gateway per ledger: held by the writer's connection as long as it lives.
_LOCK = 0x6F6D7331
_JOURNAL = """COPY journal (batch, seq, kind, session, msg_type, msg_seq_num, order_id, cause, sending_time,
 received_at, trade_date, raw, detail) FROM STDIN"""
_SENDS = "COPY sends (seq, session, outcome, msg_seq_num, sent_at, reason) FROM STDIN"
_FILLS = """COPY fills (client_exec_id, broker, trade_date, exec_id, exec_ref_id, kind, order_id, child_id, account,
 symbol, side, last_qty, last_px, transact_time, received_at, seq, sending_time) FROM STDIN"""


def _columns(table: Any) -> list[str]:
    return [column.name for column in table.columns]


def _insert(table: Any, *, conflict: str = "") -> bytes:
    """INSERT of rows given as one JSON array; with `conflict`, rows already there are updated."""
    names = sql.SQL(", ").join(map(sql.Identifier, _columns(table)))
    text = sql.SQL(
        "INSERT INTO {table} ({names}) SELECT {names} FROM json_populate_recordset(null::{table}, %s)"
    ).format(table=sql.Identifier(table.name), names=names)
    if conflict:
        sets = sql.SQL(", ").join(
            sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in _columns(table) if name != conflict
        )
        text += sql.SQL(" ON CONFLICT ({key}) DO UPDATE SET {sets}").format(key=sql.Identifier(conflict), sets=sets)
    return text.as_bytes()


def _update(table: Any, key: str, names: tuple[str, ...]) -> bytes:
    """UPDATE of some columns from rows given as one JSON array."""
    sets = sql.SQL(", ").join(sql.SQL("{0} = given.{0}").format(sql.Identifier(name)) for name in names)
    return (
        sql.SQL(
            "UPDATE {table} SET {sets} FROM json_populate_recordset(null::{table}, %s) AS given"
            " WHERE {table}.{key} = given.{key}"
        )
        .format(table=sql.Identifier(table.name), sets=sets, key=sql.Identifier(key))
        .as_bytes()
    )


_ORDER_CHANGES = (
    "cl_ord_id", "order_qty", "price", "stop_px", "cum_qty", "leaves_qty", "avg_px", "notional", "life",
    "ord_status", "finished", "reason", "last_seq",
)  # fmt: skip
_CHILD_CHANGES = (
    "cl_ord_id", "broker_order_id", "order_qty", "price", "stop_px", "cum_qty", "life", "finished", "last_seq",
)  # fmt: skip


class Writer:
    """Commits batches on a connection of its own, as the gateway's role.

    `url` is a libpq URL.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.Connection[Any] | None = None
        self._prev_hash = GENESIS
        self._last_batch = 0
        self._insert_orders = _insert(schema.client_orders)
        self._update_orders = _update(schema.client_orders, "order_id", _ORDER_CHANGES)
        self._insert_children = _insert(schema.child_orders)
        self._update_children = _update(schema.child_orders, "child_id", _CHILD_CHANGES)
        self._requests = _insert(schema.requests, conflict="seq")
        self._positions = _insert(schema.session_positions, conflict="session")

    def connect(self) -> None:
        """Connect, take the ledger's lock and find the end of the chain.

        Raises OperatorError where another gateway holds the ledger.
        """
        connection = gateway_connection(self._url, autocommit=True, application_name="oms writer")
        connection.execute("SET synchronous_commit = on")
        locked = connection.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,)).fetchone()
        if not locked or not locked[0]:
            connection.close()
            raise OperatorError(
                "another gateway is running on this ledger; stop it first (`oms sessions list` shows its sessions)"
            )
        self._connection = connection

    def read_head(self) -> tuple[int, int]:
        """Number of the last batch and of the last journal row; takes up the hash chain there."""
        head = self._open.execute("SELECT batch, hash, last_seq FROM batches ORDER BY batch DESC LIMIT 1").fetchone()
        if head is None:
            return 0, 0
        self._last_batch, self._prev_hash = head[0], bytes(head[1])
        return head[0], head[2]

    @property
    def _open(self) -> psycopg.Connection[Any]:
        if self._connection is None:
            raise JournalFailure("the ledger is not connected")
        return self._connection

    def commit(self, batch: Batch) -> datetime:
        """Write one batch and commit it; returns the commit time that the ledger has for it.

        Raises psycopg.OperationalError where the connection was lost (outcome uncertain, see `settle`),
        JournalFailure where the database refuses the rows.
        """
        if batch.number != self._last_batch + 1:
            raise JournalFailure(f"batch {batch.number} does not follow batch {self._last_batch}")
        committed_at = datetime.now(UTC)
        digest = batch_hash(self._prev_hash, batch.number, committed_at, batch.journal)
        try:
            with self._open.transaction(), self._open.cursor() as cursor:
                self._write(cursor, batch)
                last_seq = batch.journal[-1].seq if batch.journal else None
                cursor.execute(
                    "INSERT INTO batches (batch, first_seq, last_seq, prev_hash, hash, committed_at) SELECT %s,"
                    " coalesce(%s, last.seq + 1), coalesce(%s, last.seq), %s, %s, %s FROM"
                    " (SELECT coalesce(max(last_seq), 0) AS seq FROM batches WHERE batch = %s) AS last",
                    (
                        batch.number,
                        batch.journal[0].seq if batch.journal else None,
                        last_seq,
                        self._prev_hash,
                        digest,
                        committed_at,
                        batch.number - 1,
                    ),
                )
        except (psycopg.IntegrityError, psycopg.DataError, psycopg.ProgrammingError) as error:
            raise JournalFailure(f"the ledger refuses batch {batch.number}: {error}") from error
        self._last_batch, self._prev_hash = batch.number, digest
        return committed_at

    def _write(self, cursor: psycopg.Cursor[Any], batch: Batch) -> None:
        if batch.journal:
            with cursor.copy(_JOURNAL) as copy:
                for row in batch.journal:
                    copy.write_row((batch.number, *row))
        if batch.sends:
            with cursor.copy(_SENDS) as copy:
                for send in batch.sends:
                    copy.write_row(send)
        if batch.fills:
            with cursor.copy(_FILLS) as copy:
                for fill, sending_time in batch.fills:
                    copy.write_row((*fill, sending_time))
        for statement, rows in (
            (self._insert_orders, batch.new_orders),
            (self._update_orders, batch.changed_orders),
            (self._insert_children, batch.new_children),
            (self._update_children, batch.changed_children),
            (self._requests, batch.requests),
        ):
            if rows:
                cursor.execute(statement, (json.dumps(rows),), prepare=True)
        if batch.positions:
            rows = [position._asdict() | {"changed_at": str(position.changed_at)} for position in batch.positions]
            cursor.execute(self._positions, (json.dumps(rows),), prepare=True)
        for item in batch.items:
            if item.state == "open":
                cursor.execute(
                    "INSERT INTO exception_items (item_id, opened_at, kind, severity, owner, session, order_id, seq,"
                    " text, state, resolution, resolved_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
                    astuple(item),
                )
            else:
                cursor.execute(
                    "UPDATE exception_items SET state = %s, resolution = %s, resolved_at = %s WHERE item_id = %s",
                    (item.state, item.resolution, item.resolved_at, item.item_id),
                )

    def settle(self, batch: Batch) -> datetime:
        """After a lost connection: reconnect, see whether the batch is there, write it only if it is not."""
        self.close()
        self.connect()
        row = self._open.execute(
            "SELECT hash, committed_at FROM batches WHERE batch = %s", (batch.number,)
        ).fetchone()
        if row is None:
            return self.commit(batch)
        self._last_batch, self._prev_hash = batch.number, bytes(row[0])
        committed_at: datetime = row[1]
        return committed_at

    def close(self) -> None:
        """Close the connection; the ledger's lock goes with it."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
