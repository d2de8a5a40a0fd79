"""A start reads the end of the journal, the live orders and the ids of the day, and is right however long it all is.

The ledger is filled as `scripts/start_time` fills it: in the gateway's own form, some hundred orders over three days.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import psycopg
import pytest
from psycopg.rows import dict_row

from oms.config.load import Config, load
from oms.core.book import Book, SessionState
from oms.errors import JournalFailure
from oms.ledger import load as loading
from oms.ledger import tail
from oms.ledger.database import connect, engine
from oms.ledger.embedded import EmbeddedPostgres
from oms.ledger.load import Reader
from oms.ledger.replay import verify_tables
from oms.ledger.tail import Tail, verify_tail
from oms.ledger.verify import verify_chain
from startlib.fill import Wanted, fill
from tests.cli.conftest import write_config

pytestmark = pytest.mark.postgres
FINISHED, LIVE = 120, 24
TODAY = datetime.now(UTC).date()


@pytest.fixture(scope="module")
def url(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """A ledger for all tests of this module; who changes it takes it back."""
    with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE long_history TEMPLATE template_oms STRATEGY FILE_COPY")
        yield postgres_server.url("long_history")
        connection.execute("DROP DATABASE long_history WITH (FORCE)")


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory, url: str) -> Config:
    """The demo's configuration on a ledger that is filled."""
    made = load(write_config(tmp_path_factory.mktemp("desk"), url))
    fill(made, url, Wanted(FINISHED, LIVE, days=3), TODAY)
    return made


@pytest.fixture
def reader(config: Config, url: str) -> Iterator[Reader]:
    made = Reader(url)
    yield made
    made.close()


def book_of(config: Config, reader: Reader) -> Book:
    """A book that knows the sessions."""
    book = Book(ledger=reader)
    for name, spec in config.sessions.items():
        book.sessions[name] = SessionState(name, spec.role)
    return book


class Spoiler:
    """A reader that sees what one who has the machine changed, though nobody may; in the end it is taken back."""

    def __init__(self, url: str, statement: str) -> None:
        self._connection = connect(url, row_factory=dict_row)
        trees = "SELECT relid::regclass AS name FROM pg_partition_tree('journal') UNION SELECT 'batches'::regclass"
        for row in self._connection.execute(trees).fetchall():
            self._connection.execute(f"ALTER TABLE {row['name']} DISABLE TRIGGER ALL".encode())
        self._connection.execute(statement.encode())

    def rows(self, text: str, *values: object) -> list[dict[str, Any]]:
        return self._connection.execute(text.encode(), values).fetchall()

    def close(self) -> None:
        self._connection.rollback()
        self._connection.close()


def test_a_filled_ledger_is_one_that_the_gateway_itself_would_have_written(config: Config, url: str) -> None:
    made = engine(url, read_only=True)
    chain, tables = verify_chain(made), verify_tables(made)
    made.dispose()
    assert chain.ok, chain.problem
    assert tables.ok, tables.differences
    assert tables.compared["client_orders"] == FINISHED + LIVE


def test_live_orders_alone_are_loaded_with_all_that_belongs_to_them(config: Config, reader: Reader) -> None:
    orders = reader.live_orders()
    assert [order.order_id for order in orders] == [
        row["order_id"] for row in reader.rows("SELECT order_id FROM client_orders WHERE NOT finished ORDER BY 1")
    ]
    assert len(orders) == LIVE
    assert len({order.trade_date for order in orders}) == 3
    for order in orders:
        assert order.child is not None
        assert sum(one.last_qty for one in order.child.executions.values()) == order.cum_qty
        assert order.child.told.last == order.cum_qty
    assert {len(order.requests) for order in orders} == {0, 1}


def test_the_ids_of_the_day_are_known_after_a_start_whether_loaded_or_asked_for(
    config: Config, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = reader.rows(
        "SELECT client, original_cl_ord_id AS id FROM client_orders WHERE trade_date = %s UNION ALL"
        " SELECT client, cl_ord_id FROM requests WHERE trade_date = %s",
        TODAY,
        TODAY,
    )
    fills = reader.rows("SELECT broker, trade_date, exec_id FROM fills")
    recent = [row for row in fills if row["trade_date"] >= TODAY - timedelta(days=1)]
    by_client = [sum(row["client"] == name for row in used) for name in ("CLIENT1", "CLIENT2")]
    for most, loaded, asked in (
        (1_000, {"client_ids": len(used), "fill_ids": len(recent)}, []),
        (by_client[0], {"client_ids": by_client[0], "fill_ids": 0}, ["CLIENT2", "BROKER1", "BROKER2"]),
        (0, {"client_ids": 0, "fill_ids": 0}, ["CLIENT1", "CLIENT2", "BROKER1", "BROKER2"]),
    ):
        monkeypatch.setattr(loading, "MOST_IDS", most)
        book = book_of(config, reader)
        assert reader.keys(book, TODAY) == {**loaded, "asked_each_time": asked}
        assert all(book.client_key_seen(row["client"], TODAY, row["id"]) for row in used)
        assert all(book.fill_key_seen(row["broker"], row["trade_date"], row["exec_id"]) for row in fills)
        tomorrow = TODAY + timedelta(days=1)
        assert not any(book.client_key_seen(row["client"], tomorrow, row["id"]) for row in used)
        assert not book.client_key_seen("CLIENT1", TODAY, "never used")
        for broker in ("BROKER1", "BROKER2"):
            assert not book.fill_key_seen(broker, TODAY, "never used")
            book.note_fill_key(broker, TODAY, "used now")
            assert book.fill_key_seen(broker, TODAY, "used now")


def test_ids_that_were_loaded_are_not_asked_for(config: Config, reader: Reader) -> None:
    book = book_of(config, reader)
    reader.keys(book, TODAY)
    asked: list[str] = []

    class Asked:
        def client_key_used(self, client: str, day: object, cl_ord_id: str) -> bool:
            asked.append(cl_ord_id)
            return False

        def fill_key_used(self, broker: str, day: object, exec_id: str) -> bool:
            asked.append(exec_id)
            return False

    book.ledger = Asked()  # type: ignore[assignment]
    for number in range(2_000):
        assert not book.client_key_seen("CLIENT1", TODAY, f"new{number}")
        assert not book.fill_key_seen("BROKER1", TODAY, f"new{number}")
    assert len(asked) < 10  # by mischance: one in a hundred thousand here


# -- the end of the journal -----------------------------------------------------------------------------------------


def test_the_end_of_the_journal_is_proved_up_to_so_many_rows(
    config: Config, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = reader.rows("SELECT batch, first_seq, last_seq, hash FROM batches ORDER BY batch")
    end, hashed = batches[-1], bytes(batches[-1]["hash"]).hex()
    assert verify_tail(reader) == Tail(end["batch"], end["last_seq"], len(batches), end["last_seq"], hashed)
    last_two = end["last_seq"] - batches[-2]["first_seq"] + 1
    monkeypatch.setattr(tail, "TAIL_ROWS", last_two)
    assert verify_tail(reader) == Tail(end["batch"], end["last_seq"], 2, last_two, hashed)
    monkeypatch.setattr(tail, "TAIL_ROWS", 1)  # one batch at least
    size = end["last_seq"] - end["first_seq"] + 1
    assert verify_tail(reader) == Tail(end["batch"], end["last_seq"], 1, size, hashed)


def test_a_ledger_without_batches_has_no_end(postgres_url: str) -> None:
    empty = Reader(postgres_url)
    assert verify_tail(empty) == Tail(0, 0, 0, 0, "")
    empty.close()


SPOILED: dict[str, Callable[[int, int], tuple[str, str]]] = {
    "changed": lambda batch, seq: (
        f"UPDATE journal SET raw = raw || '\\x00' WHERE seq = {seq}",
        f"batch {batch} does not match its hash",
    ),
    "missing": lambda batch, seq: (f"DELETE FROM journal WHERE seq = {seq}", f"rows of batch {batch} are missing"),
    "moved": lambda batch, seq: (
        f"UPDATE journal SET batch = batch + 1 WHERE seq = {seq}",
        f"journal row {seq} says it is of batch {batch + 1}",
    ),
    "added": lambda batch, seq: (
        f"INSERT INTO journal SELECT {seq + 1}, batch, kind, session, msg_type, msg_seq_num, order_id, cause,"
        f" sending_time, received_at, trade_date, raw, detail FROM journal WHERE seq = {seq}",
        f"journal row {seq + 1} is beyond the last batch",
    ),
    "unchained": lambda batch, seq: (
        f"UPDATE batches SET prev_hash = hash WHERE batch = {batch}",
        f"batch {batch} does not chain to the one before",
    ),
}


@pytest.mark.parametrize("how", SPOILED)
def test_a_journal_whose_end_was_changed_is_refused(config: Config, reader: Reader, url: str, how: str) -> None:
    whole = verify_tail(reader)
    statement, said = SPOILED[how](whole.batch, whole.seq)
    spoiled = Spoiler(url, statement)
    with pytest.raises(JournalFailure) as caught:
        verify_tail(cast(Reader, spoiled))
    spoiled.close()
    assert str(caught.value) == (
        f"the end of the journal is not as it was written: {said}; the ledger was changed by other hands: run"
        " `oms verify` and restore it before you start"
    )
