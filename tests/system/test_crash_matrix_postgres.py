"""Whatever befalls Postgres while orders, fills, cancels and replaces are under way: nothing is lost or doubled.

One gateway for all of it, whose connections go through a relay. The full disk is an error that a trigger raises with
the server's own code for it (53100): a file system that is really full needs root, and is tried by
scripts/crash_matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from matrixlib.pgproxy import PgProxy
from tests.system.house import House, until
from tests.system.under_way import UnderWay

pytestmark = pytest.mark.system


class Desk:
    """A gateway behind the relay, with a client and a broker."""

    way: UnderWay  # of the test that runs

    def __init__(self, house: House, proxy: PgProxy, url: str) -> None:
        self.house, self.proxy, self.url = house, proxy, url

    def outage(self) -> str:
        """What the gateway says is wrong with its ledger."""
        assert self.house.gateway is not None
        return self.house.gateway._committer.outage

    @contextmanager
    def changed(self, *statements: str) -> Iterator[psycopg.Connection]:
        """A connection on which these were run."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            for one in statements:
                connection.execute(one.encode())
            yield connection

    def nothing_leaves_in_outage(self, words: str) -> None:
        """The gateway says what is wrong, and has told nobody anything."""
        until(lambda: words in self.outage(), lambda: f"an outage with {words!r}; it says {self.outage()!r}")
        self.way.nothing_left()


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, shared_url: str) -> Iterator[Desk]:
    """One gateway for all tests of this module."""
    place = make_url(shared_url).query
    proxy = PgProxy(Path(str(place["host"])) / f".s.PGSQL.{place['port']}")
    url = make_url(shared_url).set(host="127.0.0.1", port=proxy.port, query={}).render_as_string(hide_password=False)
    house = House(tmp_path_factory.mktemp("matrix"), url, clients={"CLIENT1": "4.4"}, brokers={"BROKER1": "4.4"})
    try:
        house.peer("BROKER1")
        house.start()
        house.up("CLIENT1", "BROKER1")
        yield Desk(house, proxy, shared_url)
        house.check_chain()
    finally:
        house.close()
        proxy.close()


@contextmanager
def disk_full(desk: Desk) -> Iterator[None]:
    """No batch can be written."""
    raised = "RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'"
    body = f"CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {raised}; END $$"
    with desk.changed(body, "CREATE TRIGGER full_disk BEFORE INSERT ON journal EXECUTE FUNCTION full_disk()") as here:
        yield
        desk.nothing_leaves_in_outage("No space left on device")
        here.execute("DROP FUNCTION full_disk CASCADE")


@contextmanager
def read_only(desk: Desk) -> Iterator[None]:
    """The database takes no writes, as after a failover to a server that is not promoted yet."""
    with desk.changed(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on',"
        " current_database()); END $$",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'oms writer'"
        " AND datname = current_database()",
    ) as here:
        yield
        desk.nothing_leaves_in_outage("read-only transaction")
        here.execute(
            "SET default_transaction_read_only = off;"
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I RESET default_transaction_read_only',"
            " current_database()); END $$"
        )


@contextmanager
def locked(desk: Desk) -> Iterator[None]:
    """Another session holds a lock, and the commit waits for it."""
    with desk.changed("BEGIN", "LOCK TABLE batches IN ACCESS EXCLUSIVE MODE") as here:
        yield
        waits = "SELECT FROM pg_locks WHERE relation = 'batches'::regclass AND NOT granted"
        until(lambda: here.execute(waits.encode()).fetchall(), "the commit waits for the lock")
        desk.way.nothing_left()
        here.execute("COMMIT")


@contextmanager
def slow(desk: Desk) -> Iterator[None]:
    """Every commit takes half a second longer."""
    body = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.5);"
    with desk.changed(
        f"{body} RETURN NULL; END $$", "CREATE TRIGGER slow BEFORE INSERT ON journal EXECUTE FUNCTION slow()"
    ) as here:
        yield
        slowed = "SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        until(lambda: here.execute(slowed.encode()).fetchall(), "a commit is slow")
        here.execute("DROP FUNCTION slow CASCADE")


@contextmanager
def answer_lost(desk: Desk) -> Iterator[None]:
    """The commit was done; the line was cut before its answer."""
    lost = desk.proxy.lost
    desk.proxy.lose_answer()
    yield
    until(lambda: desk.proxy.lost > lost, "an answer was lost")


@contextmanager
def commit_lost(desk: Desk) -> Iterator[None]:
    """The line was cut before the commit reached the server."""
    lost = desk.proxy.lost
    desk.proxy.lose_commit()
    yield
    until(lambda: desk.proxy.lost > lost, "a commit was lost")


@contextmanager
def server_ends_all(desk: Desk) -> Iterator[None]:
    """The server throws out every connection, as when an administrator or a crash of one of them ends all."""
    ends = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'oms %'"
    with desk.changed(f"{ends} AND datname = current_database()"):
        yield


BREAKAGES = (disk_full, read_only, locked, slow, answer_lost, commit_lost, server_ends_all)


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_what_is_under_way_when_postgres_breaks_is_done_once_when_it_is_back(
    desk: Desk, breakage: Callable[[Desk], AbstractContextManager[None]]
) -> None:
    client, broker = desk.house.up("CLIENT1", "BROKER1")
    desk.way = UnderWay(desk.house, client, broker, breakage.__name__)
    desk.way.begin()
    with breakage(desk):
        desk.way.act()
    desk.way.finish()
    desk.way.check()
    assert desk.outage() == ""


def test_a_connection_that_ends_while_nothing_is_under_way_is_made_again_before_an_order_needs_it(desk: Desk) -> None:
    writers = (
        b"SELECT pid FROM pg_stat_activity WHERE application_name = 'oms writer' AND datname = current_database()"
    )
    with desk.changed() as here:
        before = here.execute(writers).fetchall()
        assert len(before) == 1
        here.execute(b"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %s", before[0])
        until(lambda: here.execute(writers).fetchall() not in ([], before), "the writer's connection is there again")
        until(lambda: desk.outage() == "", "the gateway knows that it is")
