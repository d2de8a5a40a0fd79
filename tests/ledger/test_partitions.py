"""Days as partitions: made ahead, no failed insert, as append-only as the whole; an old ledger moves into them."""

from __future__ import annotations

import hashlib
import threading
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from alembic import command
from psycopg import errors as pg

from oms.ledger import database, partitions
from oms.ledger.keeper import Keeper
from oms.ledger.verify import verify_chain
from tests.ledger.filled_ledger import DAY, Day, at, trade_a_day

pytestmark = pytest.mark.postgres
TODAY = datetime.now(UTC).date()
COLUMNS = "seq, batch, kind, session, msg_type, msg_seq_num, received_at, trade_date, raw"


def owner(url: str) -> psycopg.Connection[Any]:
    return database.connect(url, autocommit=True)


def days_of(connection: psycopg.Connection[Any], table: str) -> list[date]:
    return [one.day for one in partitions.partitions(connection, table) if one.day is not None]


def a_row(connection: psycopg.Connection[Any], seq: int, day: date) -> None:
    connection.execute(
        f"INSERT INTO journal ({COLUMNS}) VALUES (%s, 1, 'in', 'C', 'D', 1, now(), %s, '')", [seq, day]
    )


def where(connection: psycopg.Connection[Any], table: str) -> list[tuple[str, int]]:
    found = connection.execute(f"SELECT tableoid::regclass::text, count(*) FROM {table} GROUP BY 1 ORDER BY 1")
    return [(row[0], row[1]) for row in found]


def test_the_coming_days_are_there_from_the_first_moment_and_a_day_without_partition_is_no_failed_insert(
    postgres_url: str,
) -> None:
    with owner(postgres_url) as connection:
        expected = [TODAY + timedelta(days=number) for number in range(-1, partitions.AHEAD_DAYS + 1)]
        assert [days_of(connection, table) for table in ("journal", "sends")] == [expected, expected]
    with database.gateway_connection(postgres_url, autocommit=True) as connection:
        a_row(connection, 1, TODAY)
        a_row(connection, 2, TODAY + timedelta(days=400))
        assert where(connection, "journal") == [
            (partitions.name_of("journal", TODAY), 1),
            ("journal_default", 1),
        ]


def test_rows_in_the_default_partition_are_split_into_their_days_and_nothing_else_moves(postgres_url: str) -> None:
    trade_a_day(postgres_url)
    made = database.engine(postgres_url)
    with owner(postgres_url) as connection:
        before = verify_chain(made)
        assert where(connection, "journal") == [("journal_default", 21)]
        assert partitions.split_default(connection) == [DAY]
        assert where(connection, "journal") == [("journal_20260302", 21)]
        assert where(connection, "sends") == [("sends_20260302", 9)]
        assert partitions.split_default(connection) == []
        assert verify_chain(made) == before
    made.dispose()


@pytest.mark.parametrize("part", ["journal_default", "sends_default", "today"])
def test_i6_a_partition_by_itself_is_as_append_only_as_the_whole(postgres_url: str, part: str) -> None:
    table = partitions.name_of("journal", TODAY) if part == "today" else part
    for replication_role in ("origin", "replica"):
        with owner(postgres_url) as connection:
            connection.execute(f"SET session_replication_role TO {replication_role}")
            for change in (f"UPDATE {table} SET seq = seq", f"DELETE FROM {table}", f"TRUNCATE {table}"):
                with pytest.raises(pg.RestrictViolation, match=f"the table {table} is append-only"):
                    connection.execute(change)
    with database.gateway_connection(postgres_url, autocommit=True) as connection:
        for change in (f"SELECT FROM {table}", f"DELETE FROM {table}", f"DROP TABLE {table}"):
            with pytest.raises(pg.InsufficientPrivilege):
                connection.execute(change)


def test_a_running_gateways_keeper_makes_what_is_missing_and_waits_for_no_long_reader(postgres_url: str) -> None:
    last = TODAY + timedelta(days=partitions.AHEAD_DAYS)
    with owner(postgres_url) as reader, owner(postgres_url) as connection:
        connection.execute(f"DROP TABLE {partitions.name_of('journal', last)}")
        with reader.transaction():
            reader.execute("SELECT count(*) FROM journal")
            assert not partitions.make_coming(connection)
        keeper = Keeper(postgres_url, seconds=0.05)
        keeper.start()
        made = threading.Event()
        while not made.wait(0.05):
            if last in days_of(connection, "journal"):
                made.set()
        keeper.stop()
        assert not keeper._thread.is_alive()


def to_version(url: str, version: str) -> None:
    made = database.engine(url)
    with made.connect() as connection:
        config = database._alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, version)
        connection.commit()
    made.dispose()


def contents(connection: psycopg.Connection[Any], table: str) -> str:
    """Every value of a table, as one hash."""
    names = [
        row[0]
        for row in connection.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = %s ORDER BY 1", [table]
        )
    ]
    rows = connection.execute(f"SELECT concat_ws('|', {', '.join(names)}) FROM {table} ORDER BY seq").fetchall()
    return hashlib.sha256(repr(rows).encode()).hexdigest()


def indexes(connection: psycopg.Connection[Any], table: str) -> list[str]:
    asked = "SELECT indexname FROM pg_indexes WHERE tablename = %s ORDER BY 1"
    return [row[0] for row in connection.execute(asked, [table])]


def test_an_existing_ledger_moves_into_partitions_without_loss(empty_postgres_url: str) -> None:
    url = empty_postgres_url
    to_version(url, "0007")
    trade_a_day(url)
    made = database.engine(url)
    with owner(url) as connection:
        before = [contents(connection, table) for table in ("journal", "sends")]
        kept = [indexes(connection, table) for table in ("journal", "sends")]
    to_version(url, "0008")
    with owner(url) as connection:
        assert [contents(connection, table) for table in ("journal", "sends")] == before
        assert [indexes(connection, table) for table in ("journal", "sends")] == kept
        assert where(connection, "journal") == [("journal_20260302", 21)]
        assert where(connection, "sends") == [("sends_20260302", 9)]
        left = connection.execute("SELECT count(*) FROM pg_class WHERE relname LIKE '%before_0008%'").fetchone()
        assert left == (0,)
    assert database.migrate(url) == "0008"
    assert verify_chain(made).ok
    with made.begin() as connection_of_engine:  # and it goes on
        day = Day(connection_of_engine)
        day.seq, day.batch, day.hash = 21, 11, bytes.fromhex(verify_chain(made).head)
        day.row("in", "CLIENT1", "D", "35=D|", at(400))
        day.commit(at(401))
    assert verify_chain(made).batches == 12
    made.dispose()
