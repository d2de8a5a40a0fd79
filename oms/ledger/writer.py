"""The writer: one transaction per batch, and nobody else writes.

Invariants: batches are committed in order and whole (I1, I6). Each carries a hash chained to the one before.
A commit whose outcome is uncertain (connection lost) is read back by its number, never blindly repeated: the
same rows are written again only if the database does not have them. A row the database refuses is a
contradiction within the gateway: JournalFailure, and the house stops. Every commit names the token of the
gateway's lease, which the database compares within the commit's own transaction: LeaseLost where another took it.

Owned by the writer thread, except `connect`, `head` and `close`.
"""

from __future__ import annotations

import select
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus
from psycopg.pq.abc import PGconn, PGresult
from sqlalchemy import Table, Text
from sqlalchemy.dialects import postgresql

from oms.core.effects import Item, Price
from oms.errors import JournalFailure, LeaseLost, OperatorError
from oms.ledger import rows, schema
from oms.ledger.batch import Batch, Position, Send
from oms.ledger.chain import GENESIS, JournalRow, text_hash
from oms.ledger.database import GATEWAY_LOCK, gateway_connection
from oms.ledger.lease import PATIENCE, end_writers, look
from oms.ledger.texts import ITEM_CHANGES, TABLES, batch_texts

# What tells that the database went away, so that the outcome of a commit is not known.
# After a failover the server may be a standby for a while, which is the same to us.
CONNECTION_LOST = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.ReadOnlySqlTransaction)

_LOCK_WAIT = "1s"
_DIALECT = postgresql.dialect()
_JOURNAL_COLUMNS = JournalRow._fields


def _given(table: Table, columns: tuple[str, ...], parameter: str) -> tuple[str, str]:
    """Rows that travel as one text (fields and lines set apart by control characters), as typed columns."""
    typed = []
    for number, name in enumerate(columns, 1):
        kind = table.c[name].type.compile(_DIALECT)
        value = f"decode(a[{number}], 'hex')" if kind == "BYTEA" else f"a[{number}]::{kind}"
        typed.append(f"{value} AS {name}")
    lines = f"string_to_table({parameter}, E'\\x1e') AS line"
    # OFFSET 0 keeps the planner from splitting the line anew for every column.
    arrays = f"(SELECT string_to_array(line, E'\\x1f', E'\\x1d') AS a FROM {lines} OFFSET 0) AS arrays"
    return ", ".join(columns), f"SELECT {', '.join(typed)} FROM {arrays}"


def _insert(table: Table, columns: tuple[str, ...], parameter: str, conflict: str = "") -> str:
    """INSERT of the rows of a parameter; with `conflict`, rows already there are updated."""
    names, given = _given(table, columns, parameter)
    statement = f"INSERT INTO {table.name} ({names}) {given}"
    if conflict:
        sets = ", ".join(f"{name} = excluded.{name}" for name in columns if name != conflict)
        statement += f" ON CONFLICT ({conflict}) DO UPDATE SET {sets}"
    return statement


def _update(table: Table, columns: tuple[str, ...], parameter: str, *, keep: bool = False) -> str:
    """UPDATE of some columns; the first one is the key. With `keep`, '' and NULL leave a column as it is."""
    key = columns[0]
    values = {name: f"given.{name}" for name in columns[1:]}
    if keep:
        for name, value in values.items():
            given = f"NULLIF({value}, '')" if isinstance(table.c[name].type, Text) else value
            values[name] = f"COALESCE({given}, {table.name}.{name})"
    sets = ", ".join(f"{name} = {value}" for name, value in values.items())
    _, given = _given(table, columns, parameter)
    return f"UPDATE {table.name} SET {sets} FROM ({given}) AS given WHERE {table.name}.{key} = given.{key}"


# The statement's parameters, in order: one text of rows per table, then the batch's own columns.
_PARAMETERS = (*TABLES, "batch", "first_seq", "last_seq", "prev_hash", "hash", "committed_at", "lease")
_NAME = b"oms_commit"


def _commit_statement() -> bytes:
    """One statement for the whole batch.

    A transaction of one statement costs one exchange with the server; while it runs the process's other
    threads work, and every further exchange would have to wait for its turn at the interpreter again.
    """
    at = {name: f"${number}::text" for number, name in enumerate(_PARAMETERS, 1)}
    batch = f"{at['batch']}::bigint"
    names, given = _given(schema.journal, _JOURNAL_COLUMNS, at["journal"])
    parts = {
        "journal_rows": f"INSERT INTO journal (batch, {names}) SELECT {batch}, {names} FROM ({given}) AS given",
        "sends_rows": _insert(schema.sends, Send._fields, at["sends"]),
        "fills_rows": _insert(schema.fills, rows.FILL_COLUMNS, at["fills"]),
        "witnesses_rows": _insert(schema.witnesses, rows.WITNESS_COLUMNS, at["witnesses"])
        + " ON CONFLICT DO NOTHING",
        "orders_new": _insert(schema.client_orders, rows.ORDER_COLUMNS, at["new_orders"]),
        "orders_changed": _update(schema.client_orders, rows.ORDER_CHANGES, at["changed_orders"]),
        "children_new": _insert(schema.child_orders, rows.CHILD_COLUMNS, at["new_children"]),
        "children_changed": _update(schema.child_orders, rows.CHILD_CHANGES, at["changed_children"]),
        "requests_rows": _insert(schema.requests, rows.REQUEST_COLUMNS, at["requests"], "seq"),
        "positions_rows": _insert(schema.session_positions, Position._fields, at["positions"], "session"),
        "prices_rows": _insert(schema.reference_prices, Price._fields, at["prices"], "symbol"),
        "items_opened": _insert(schema.exception_items, Item.FIELDS, at["opened"]),
        "items_changed": _update(schema.exception_items, ITEM_CHANGES, at["changed"], keep=True),
    }
    # Who takes the lease changes its key and so waits for us, or we for him; then there is no such row for us, the
    # column `lease` would be NULL, and the whole statement is refused. A renewal changes no key and waits for nobody.
    parts["held"] = f"SELECT token FROM leases WHERE name = 'gateway' AND token = {at['lease']}::bigint FOR KEY SHARE"
    ctes = ", ".join(f"{name} AS ({part})" for name, part in parts.items())
    return (
        f"WITH {ctes} INSERT INTO batches (batch, first_seq, last_seq, prev_hash, hash, committed_at, lease)"
        f" VALUES ({batch}, {at['first_seq']}::bigint, {at['last_seq']}::bigint, decode({at['prev_hash']}, 'hex'),"
        f" decode({at['hash']}, 'hex'), {at['committed_at']}::timestamptz, (SELECT token FROM held))"
    ).encode()


# The plan is made once, over empty tables; it must stay right when they hold millions of rows, so the planner
# is left no way to reach an order but by its key.
_SETTINGS = (
    "synchronous_commit = on",
    "plan_cache_mode = force_generic_plan",
    "enable_hashjoin = off",
    "enable_mergejoin = off",
    "enable_seqscan = off",
    # The server notices within seconds, not hours, that nobody is at the other end, and lets go of our locks.
    "tcp_keepalives_idle = 5",
    "tcp_keepalives_interval = 2",
    "tcp_keepalives_count = 3",
)


def _require_ok(connection: PGconn, result: PGresult) -> None:
    """Raise what the server said; what it did not say itself, with a code, is said of a connection that is gone."""
    if result.status == ExecStatus.COMMAND_OK:
        return
    if connection.status != ConnStatus.OK or not result.error_field(DiagnosticField.SQLSTATE):
        raise psycopg.OperationalError(connection.error_message.decode("utf-8", "replace"))
    raise error_from_result(result)


class Writer:
    """Commits batches on a connection of its own, as the gateway's role.

    `url` is a libpq URL, `token` that of the lease; 0 is that of a ledger which no gateway ever had.
    """

    def __init__(self, url: str, token: int = 0) -> None:
        self._url = url
        self._token = token
        self._connection: psycopg.Connection[Any] | None = None
        self._prev_hash = GENESIS
        self._last_batch = 0
        self._last_seq = 0
        self._statement = _commit_statement()

    def connect(self) -> None:
        """Connect and take the writers' lock: whatever was written before is by then committed or gone.

        Raises LeaseLost where the lease is another's, OperatorError where an earlier connection cannot be ended.
        """
        with ExitStack() as unless_ready:
            connection = gateway_connection(self._url, autocommit=True, application_name="oms writer", **PATIENCE)
            unless_ready.callback(connection.close)
            for setting in _SETTINGS:
                connection.execute(f"SET {setting}".encode())
            self._require_lease(connection)
            self._lock(connection)
            # Prepared and run through libpq itself: one call per commit, without a look at the statement's text.
            prepared = connection.pgconn.prepare(_NAME, self._statement)
            _require_ok(connection.pgconn, prepared)
            self._connection = connection
            unless_ready.pop_all()

    def _require_lease(self, connection: psycopg.Connection[Any]) -> None:
        standing = look(connection)
        if standing.token != self._token:
            raise LeaseLost(f"another gateway has taken the ledger over: {standing.who}")

    def _lock(self, connection: psycopg.Connection[Any]) -> None:
        """Only one connection writes. One that has just ended, of ours or of who was before, holds it a moment."""
        for last_try in (False, True):
            connection.execute(f"SET lock_timeout = '{_LOCK_WAIT}'".encode())
            try:
                connection.execute("SELECT pg_advisory_lock(%s)", (GATEWAY_LOCK,))
            except psycopg.errors.LockNotAvailable as error:
                if last_try:
                    raise OperatorError(
                        "a connection of the gateway before still writes to this ledger and does not end; end it with"
                        " pg_terminate_backend as the user it belongs to (`application_name` is `oms writer`)"
                    ) from error
                with suppress(psycopg.errors.InsufficientPrivilege):
                    end_writers(self._url, GATEWAY_LOCK, self._token)
                continue
            connection.execute("SET lock_timeout = 0")
            return

    def read_head(self) -> tuple[int, int]:
        """Number of the last batch and of the last journal row; takes up the hash chain there."""
        text = "SELECT batch, hash, last_seq FROM batches ORDER BY batch DESC LIMIT 1"
        head = self._open.execute(text).fetchone()
        if head is not None:
            self._last_batch, self._prev_hash, self._last_seq = head[0], bytes(head[1]), head[2]
        return self._last_batch, self._last_seq

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
        texts = batch.texts or batch_texts(batch)
        committed_at = datetime.now(UTC)
        digest = text_hash(self._prev_hash, batch.number, committed_at, texts[0])
        first_seq = batch.journal[0].seq if batch.journal else self._last_seq + 1
        last_seq = batch.journal[-1].seq if batch.journal else self._last_seq
        own = (batch.number, first_seq, last_seq, self._prev_hash.hex(), digest.hex(), committed_at, self._token)
        try:
            self._execute([*texts, *(str(one).encode() for one in own)])
        except psycopg.errors.NotNullViolation as error:
            if (error.diag.table_name, error.diag.column_name) != ("batches", "lease"):
                raise JournalFailure(f"the ledger refuses batch {batch.number}: {error}") from error
            raise LeaseLost(f"batch {batch.number} was refused: another gateway has taken the ledger over") from error
        except psycopg.Error as error:
            lost = isinstance(error, CONNECTION_LOST) and not isinstance(error, psycopg.errors.ProgramLimitExceeded)
            if lost:
                raise
            raise JournalFailure(f"the ledger refuses batch {batch.number}: {error}") from error
        self._last_batch, self._prev_hash, self._last_seq = batch.number, digest, last_seq
        return committed_at

    def _execute(self, values: list[bytes]) -> None:
        connection = self._open.pgconn
        _require_ok(connection, connection.exec_prepared(_NAME, values))

    def is_lost(self) -> bool:
        """Whether the connection has ended by itself, as far as this side was told. Asks nobody and never waits."""
        connection = self._open.pgconn
        try:
            told = select.poll()
            told.register(connection.socket, select.POLLIN)
            if told.poll(0):
                connection.consume_input()
        except psycopg.OperationalError:
            return True
        return connection.status != ConnStatus.OK

    def resume(self) -> None:
        """After a connection that was lost between two batches: reconnect. JournalFailure as for `settle`."""
        self.close()
        self.connect()
        head, found, _ = self._end()
        if (head, found) != (self._last_batch, self._prev_hash):
            raise self._another(head, self._last_batch)

    def _end(self) -> tuple[int, bytes, Any]:
        """Number, hash and time of the ledger's last batch."""
        text = "SELECT batch, hash, committed_at FROM batches ORDER BY batch DESC LIMIT 1"
        head, found, committed_at = self._open.execute(text).fetchone() or (0, GENESIS, None)
        return head, bytes(found), committed_at

    @staticmethod
    def _another(head: int, committed: int) -> JournalFailure:
        return JournalFailure(
            f"the ledger came back with batch {head} as its last, but {committed} was committed: it is not"
            " the ledger that went away; restore that one before you start again"
        )

    def settle(self, batch: Batch) -> datetime:
        """After a lost connection: reconnect, see whether the batch is there, write it only if it is not.

        JournalFailure where the ledger's end is neither this batch nor the one before: a server that came back
        without what it had committed (a standby that lagged), or another writer.
        """
        self.close()
        self.connect()
        head, found, committed_at = self._end()
        if (head, found) == (batch.number - 1, self._prev_hash):
            return self.commit(batch)
        journal = (batch.texts or batch_texts(batch))[0]
        ours = committed_at and text_hash(self._prev_hash, batch.number, committed_at, journal)
        if head != batch.number or found != ours:
            raise self._another(head, batch.number - 1)
        self._last_batch, self._prev_hash = batch.number, found
        self._last_seq = batch.journal[-1].seq if batch.journal else self._last_seq
        settled: datetime = committed_at
        return settled

    def close(self) -> None:
        """Close the connection; the writers' lock goes with it."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
