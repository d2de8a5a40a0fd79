"""Fills a ledger with orders by COPY, in the form in which the gateway writes it, and the message stores beside it.

Journal rows in batches with a right hash chain, orders, children, requests, fills, sends, session positions; the
messages of the last `Wanted.unsettled` orders are in the stores and not in `sends`, as a kill leaves them. The orders
are spread evenly over the days up to the last one; half of the live ones lie among the finished ones of all days, the
other half are the newest. Afterwards `oms verify` holds, hash chain and replay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

import psycopg

from oms.config.load import Config
from oms.core.book import Book
from oms.ledger import rows
from oms.ledger.batch import Batch, Position
from oms.ledger.chain import FIELD, GENESIS, LINE, NULL, JournalRow, text_hash
from oms.ledger.database import connect
from oms.ledger.partitions import make_days
from oms.ledger.texts import batch_texts
from oms.startup import config_row
from oms.terms import core_terms_of
from startlib.recorded import FINISHED, LIVE, PAIRS, Pair, in_turn, record
from startlib.stamp import Stamp, copy_row
from startlib.stores import Store

ORDERS_PER_BATCH = 25
BATCHES_PER_COPY = 80
HURRY = {"fsync": "off", "full_page_writes": "off", "max_wal_size": "'16GB'", "autovacuum": "off"}
COPIED = {
    "journal": ("batch", *JournalRow._fields),
    "batches": ("batch", "first_seq", "last_seq", "prev_hash", "hash", "committed_at"),
    "sends": ("seq", "session", "outcome", "msg_seq_num", "sent_at", "reason"),
    "client_orders": rows.ORDER_COLUMNS,
    "child_orders": rows.CHILD_COLUMNS,
    "requests": rows.REQUEST_COLUMNS,
    "fills": rows.FILL_COLUMNS,
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """How many orders, over how many days; of the last `unsettled` ones the ledger has no word of what was sent."""

    finished: int
    live: int
    days: int = 10
    unsettled: int = 20


@dataclass(slots=True)
class _Line:
    """One session while the ledger is filled: the last MsgSeqNum(34) either way, the last row settled."""

    incoming: int = 0
    outgoing: int = 0
    out_seq: int = 0
    out_number: int = 0


@dataclass(slots=True)
class Filler:
    """One run over all orders."""

    config: Config
    url: str
    wanted: Wanted
    today: date
    told: Callable[[int], None]
    seq: int = 1
    batch: int = 0
    head: bytes = GENESIS
    lines: dict[str, _Line] = field(default_factory=dict)
    stores: dict[str, Store] = field(default_factory=dict)
    stamps: dict[tuple[str, str, date], Stamp] = field(default_factory=dict)

    def run(self) -> None:
        """Fill it. The ledger must be migrated and empty."""
        self.lines = {name: _Line() for name in self.config.sessions}
        self.stores = {name: Store(spec) for name, spec in self.config.sessions.items()}
        with connect(self.url, autocommit=True) as connection:
            make_days(connection, self._days())
            self._begin(connection)
            self._orders(connection)
            self._positions(connection)
        for name, store in self.stores.items():
            store.close(self.lines[name].incoming + 1)

    # -- what is written ----------------------------------------------------------------------------------

    def _begin(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        """The first start, and every session logged on."""
        at = self._time(self._days()[0])
        batch = Batch(1)
        batch.journal.append(config_row(Book(), self.config, at, at.date()))
        for number, name in enumerate(self.config.sessions, 2):
            row = JournalRow(
                number, "session", name, "SessionUp", None, None, None, None, at, at.date(), b"", '{"matter":[1,1]}'
            )
            batch.journal.append(row)
        self.seq = len(batch.journal) + 1
        lines = batch_texts(batch)[0].decode()
        copied = [line.split(FIELD) for line in lines.split(LINE)]
        text = "".join(
            copy_row(["1", *[None if one == NULL else one for one in line[:-2]], f"\\x{line[-2]}", line[-1]])
            for line in copied
        )
        with connection.transaction():
            _copy(connection, "journal", text)
            _copy(connection, "batches", self._chain(lines, 1, self.seq - 1, at))

    def _orders(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        plan = self._plan()
        total = self.wanted.finished + self.wanted.live
        settled_until = total - self.wanted.unsettled
        done = 0
        while done < total:
            texts: dict[str, list[str]] = {name: [] for name in COPIED}
            for _ in range(BATCHES_PER_COPY):
                journal: list[str] = []
                first = self.seq
                at = None
                for _ in range(min(ORDERS_PER_BATCH, total - done)):
                    kind, pair, day = next(plan)
                    at = at or self._time(day)
                    done += 1
                    journal.append(self._order(texts, kind, pair, day, done, settled=done <= settled_until))
                if at is not None:
                    texts["batches"].append(self._chain(LINE.join(journal), first, self.seq - 1, at))
            with connection.transaction():
                for name, lines in texts.items():
                    _copy(connection, name, "".join(lines))
            self.told(done)

    def _order(
        self, texts: dict[str, list[str]], kind: str, pair: Pair, day: date, number: int, *, settled: bool
    ) -> str:
        """Add one order's rows; returns those of the journal as they are hashed."""
        stamp = self._stamp(kind, pair, day)
        client, broker = self.lines[pair.client], self.lines[pair.broker]
        values = stamp.values(number, self.batch + 1, self.seq, client.incoming + 1, broker.incoming + 1)
        client.incoming += stamp.from_client
        broker.incoming += stamp.from_broker
        texts["journal"].append(stamp.journal_copy(values))
        texts["client_orders"].append(stamp.order(values))
        texts["child_orders"].append(stamp.child(values))
        texts["requests"].append(stamp.requests(values))
        texts["fills"].append(stamp.fills(values))
        for place in stamp.out:
            session = pair.client if place in stamp.to_client else pair.broker
            line = self.lines[session]
            line.outgoing += 1
            self.stores[session].add(line.outgoing, "" if settled else stamp.message(place, values))
            if settled:
                line.out_seq, line.out_number = self.seq + place, line.outgoing
                sent = (str(line.out_seq), session, "sent", str(line.outgoing), stamp.sent_at, NULL)
                texts["sends"].append(FIELD.join(sent) + "\n")
        self.seq += stamp.size
        return stamp.journal(values)

    def _chain(self, journal: str, first: int, last: int, at: datetime) -> str:
        """The row of the next batch, which has these journal rows."""
        self.batch += 1
        before, self.head = self.head, text_hash(self.head, self.batch, at, journal.encode())
        values = (self.batch, first, last, f"\\x{before.hex()}", f"\\x{self.head.hex()}", at)
        return copy_row([str(value) for value in values])

    def _positions(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        for name, line in self.lines.items():
            role = self.config.sessions[name].role
            at = self._time(self.today)
            position = Position(name, role, 0, line.incoming, line.out_seq, line.out_number, True, at)
            marks = ", ".join(["%s"] * len(position))
            connection.execute(f"INSERT INTO session_positions VALUES ({marks})".encode(), position)

    # -- which orders -------------------------------------------------------------------------------------

    def _days(self) -> list[date]:
        days = self.wanted.days
        return [self.today - timedelta(days=days - 1 - number) for number in range(days)]

    @staticmethod
    def _time(day: date) -> datetime:
        return datetime.combine(day, time(0, 0, 1), UTC)

    def _plan(self) -> Iterator[tuple[str, Pair, date]]:
        """Kind, sessions and day of every order, in order."""
        finished, live = in_turn(FINISHED), in_turn(LIVE)
        days = self._days()
        among = self.wanted.live // 2 if self.wanted.finished else 0
        mixed = self.wanted.finished + among
        for number in range(mixed):
            is_live = (number + 1) * among // mixed > number * among // mixed
            kind = next(live if is_live else finished)
            yield kind, PAIRS[number % 2], days[number * len(days) // mixed]
        for number in range(self.wanted.live - among):
            yield next(live), PAIRS[number % 2], days[-1]

    def _stamp(self, kind: str, pair: Pair, day: date) -> Stamp:
        known = self.stamps.get((kind, pair.client, day))
        if known is None:
            known = Stamp(record(self.config, kind, pair, self._time(day)), pair.client)
            self.stamps[kind, pair.client, day] = known
        return known


def fill(
    config: Config, url: str, wanted: Wanted, today: date, told: Callable[[int], None] = lambda done: None
) -> None:
    """Fill an empty, migrated ledger; `told` hears how many orders are done. Trading must be on."""
    if not core_terms_of(config).trading:
        raise ValueError('orders are recorded with trading = "on"')
    Filler(config, url, wanted, today, told).run()


def _copy(connection: psycopg.Connection[tuple[object, ...]], table: str, text: str) -> None:
    if not text:
        return
    names = ", ".join(COPIED[table])
    statement = f"COPY {table} ({names}) FROM STDIN (DELIMITER E'\\x1f', NULL E'\\x1d')"
    with connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
        copy.write(text)


@contextmanager
def in_a_hurry(url: str) -> Iterator[None]:
    """The server keeps nothing safe within the block; at its end everything is written, vacuumed and analysed."""
    with connect(url, autocommit=True) as connection:
        for name, value in HURRY.items():
            connection.execute(f"ALTER SYSTEM SET {name} = {value}".encode())
        connection.execute("SELECT pg_reload_conf()")
        try:
            yield
            connection.execute("VACUUM (ANALYZE)")
        finally:
            for name in HURRY:
                connection.execute(f"ALTER SYSTEM RESET {name}".encode())
            connection.execute("SELECT pg_reload_conf()")
        connection.execute("CHECKPOINT")
