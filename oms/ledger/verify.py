"""Proves the journal offline: every batch's hash is computed again, and must chain to the one before.

What shows: a journal row or batch that was changed, added, dropped or moved, and an end that was cut off while
another table still knows of it. What cannot show here: a chain that was computed anew as a whole; for that, keep
the hash of the head outside (`oms verify` prints it). Reads one snapshot, in order and in bounded memory, so a
running gateway does not disturb it. Stops at the first thing wrong: nothing after it proves anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, String, cast, func, select, text

from oms.ledger.chain import GENESIS, JournalRow, batch_hash
from oms.ledger.schema import batches, journal

Progress = Callable[[int, int], None]  # rows done, rows in all
CHUNK = 5000

# Columns that name a journal row; the largest of each must be in the journal.
_KNOWS_ROW = {
    "sends": "seq",
    "fills": "seq",
    "requests": "seq",
    "client_orders": "last_seq",
    "child_orders": "greatest(last_seq, sent_seq)",
    "session_positions": "out_seq",
    "exception_items": "seq",
}


@dataclass(frozen=True, slots=True)
class ChainProblem:
    """The first thing wrong: in which batch, at which journal row (None where it cannot be told), and what."""

    batch: int
    seq: int | None
    text: str


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What was read, up to the first problem: batches and rows that hold, and the hash of the last of them."""

    batches: int
    rows: int
    head: str
    problem: ChainProblem | None

    @property
    def ok(self) -> bool:
        """Whether the whole chain holds."""
        return self.problem is None


class _Broken(Exception):
    def __init__(self, batch: int, seq: int | None, what: str) -> None:
        self.problem = ChainProblem(batch, seq, what)


@dataclass(slots=True)
class _State:
    """How far the chain has been followed."""

    batch: int = 0
    seq: int = 0
    rows: int = 0
    hash: bytes = GENESIS


def verify_chain(engine: Engine, progress: Progress | None = None) -> ChainReport:
    """Follows the chain from its first batch to its last. ``progress`` is called every few thousand rows."""
    state = _State()
    problem = None
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        try:
            _follow(connection, state, progress or _silent)
        except _Broken as broken:
            problem = broken.problem
    return ChainReport(state.batch, state.rows, state.hash.hex(), problem)


def _silent(done: int, total: int) -> None:
    """No progress is wanted."""


def _follow(connection: Connection, state: _State, progress: Progress) -> None:
    total = connection.scalar(select(func.count()).select_from(journal)) or 0
    rows = _journal_rows(connection)
    ahead = next(rows, None)
    shown = 0
    for batch in _stream(connection, select(batches).order_by(batches.c.batch)):
        _check_links(batch, state)
        taken: list[JournalRow] = []
        while ahead is not None and (ahead[0] == batch.batch or ahead[1].seq <= batch.last_seq):
            _check_row(*ahead, batch, state.seq + len(taken) + 1)
            taken.append(ahead[1])
            ahead = next(rows, None)
        end = state.seq + len(taken)
        if end != batch.last_seq:
            raise _Broken(batch.batch, end + 1, _missing("journal row", end + 1, batch.last_seq))
        if batch_hash(state.hash, batch.batch, batch.committed_at, taken) != bytes(batch.hash):
            raise _Broken(batch.batch, None, f"hash differs: {_what_was_changed(taken)}")
        state.batch, state.seq, state.hash = batch.batch, end, bytes(batch.hash)
        state.rows += len(taken)
        if state.rows - shown >= CHUNK:
            shown = state.rows
            progress(state.rows, total)
    if ahead is not None:
        raise _Broken(ahead[0], ahead[1].seq, f"journal row {ahead[1].seq} belongs to no batch")
    _check_end(connection, state)
    progress(state.rows, total)


def _missing(what: str, first: int, last: int) -> str:
    if first == last:
        return f"{what} {first} is missing"
    return f"{what.replace('batch', 'batche')}s {first} to {last} are missing"


def _what_was_changed(rows: list[JournalRow]) -> str:
    its_time = "the batch's commit time or hash"
    if not rows:
        return f"{its_time} was changed"
    which = f"journal row {rows[0].seq}" if len(rows) == 1 else f"a journal row from {rows[0].seq} to {rows[-1].seq}"
    return f"{which}, or {its_time}, was changed"


def _check_links(batch: Any, state: _State) -> None:
    if batch.batch != state.batch + 1:
        raise _Broken(batch.batch, None, _missing("batch", state.batch + 1, batch.batch - 1) + " before it")
    if bytes(batch.prev_hash) != state.hash:
        raise _Broken(batch.batch, None, f"does not chain to batch {state.batch}: its prev_hash is another")
    if batch.first_seq != state.seq + 1:
        said = f"begins with journal row {batch.first_seq}, batch {state.batch} ends with {state.seq}"
        raise _Broken(batch.batch, min(batch.first_seq, state.seq + 1), said)


def _check_row(number: int, row: JournalRow, batch: Any, expected: int) -> None:
    if row.seq != expected:
        raise _Broken(batch.batch, expected, _missing("journal row", expected, row.seq - 1))
    if number != batch.batch:
        raise _Broken(batch.batch, row.seq, f"journal row {row.seq} says it is of batch {number}")
    if row.seq > batch.last_seq:
        said = f"journal row {row.seq} is beyond the batch's last row {batch.last_seq}"
        raise _Broken(batch.batch, row.seq, said)


def _check_end(connection: Connection, state: _State) -> None:
    for table, column in _KNOWS_ROW.items():
        known = connection.scalar(text(f"SELECT max({column}) FROM {table}"))
        if known is not None and known > state.seq:
            said = f"{table} knows journal row {known}, the journal ends with {state.seq}: its end was cut off"
            raise _Broken(state.batch, state.seq + 1, said)


def _journal_rows(connection: Connection) -> Iterator[tuple[int, JournalRow]]:
    """(batch, row) in order of seq; ``detail`` as the very text that was hashed."""
    columns = [cast(journal.c.detail, String) if name == "detail" else journal.c[name] for name in JournalRow._fields]
    for row in _stream(connection, select(journal.c.batch, *columns).order_by(journal.c.seq)):
        number, *values = row
        values[JournalRow._fields.index("raw")] = bytes(values[JournalRow._fields.index("raw")])
        yield number, JournalRow(*values)


def _stream(connection: Connection, query: Any) -> Iterator[Any]:
    """Rows by a cursor on the server: memory does not grow with the journal."""
    return iter(connection.execution_options(yield_per=CHUNK).execute(query))
