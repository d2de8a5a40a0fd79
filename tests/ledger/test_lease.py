"""The lease: one holder, a token that only goes up, and a commit that the database refuses under an old one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Any

import psycopg
import pytest

from oms.errors import LeaseLost
from oms.ledger import lease as leases
from oms.ledger.batch import Batch
from oms.ledger.chain import JournalRow
from oms.ledger.database import GATEWAY_LOCK, connect, gateway_connection
from oms.ledger.lease import Lease, Standing
from oms.ledger.writer import Writer
from tests.system.house import until

pytestmark = pytest.mark.postgres
Take = Callable[..., Lease]


def batch(number: int) -> Batch:
    """A batch of one journal row."""
    at = datetime(2026, 3, 2, tzinfo=UTC)
    row = JournalRow(number, "config", "", "Start", None, None, None, None, at, date(2026, 3, 2), b"", None)
    return Batch(number, journal=[row])


def standing(url: str) -> Standing:
    with gateway_connection(url, autocommit=True) as connection:
        return leases.look(connection)


@pytest.fixture
def take(postgres_url: str) -> Iterator[Take]:
    """Takes the lease of the test's ledger, whoever has it."""
    taken: list[Lease] = []

    def make(seconds: int = 5) -> Lease:
        made = Lease(postgres_url, f"run{len(taken)}", f"oms{len(taken)} on here", seconds)
        line = leases.lease_connection(postgres_url, "oms lease")
        assert made.take(line, leases.look(line))
        taken.append(made)
        return made

    yield make
    for lease in taken:
        lease.give_back()


def writer(url: str, token: int) -> Writer:
    made = Writer(url, token)
    made.connect()
    made.read_head()
    return made


def test_each_taking_adds_one_to_the_token_and_the_one_before_learns_of_it(take: Take, postgres_url: str) -> None:
    first = take()
    told: list[LeaseLost] = []
    first.when_lost(told.append)
    assert (first.token, first.held()) == (1, True)
    second = take()
    until(lambda: told, "the first knows")
    assert (second.token, second.held(), first.held(), first.seconds_left()) == (2, True, False, 0.0)
    assert str(told[0]).startswith("another gateway has taken the ledger over: oms1 on here, lease 2, renewed ")
    assert len(told) == 1


def test_who_saw_an_older_holder_does_not_take_the_lease(take: Take, postgres_url: str) -> None:
    seen = standing(postgres_url)
    take()
    late = Lease(postgres_url, "late", "late", 5)
    with gateway_connection(postgres_url, autocommit=True) as connection:
        assert not late.take(connection, seen)
    assert (late.held(), standing(postgres_url).run) == (False, "run0")


def test_a_lease_is_renewed_and_given_back(take: Take, postgres_url: str) -> None:
    lease = take(2)
    first = standing(postgres_url)
    until(lambda: standing(postgres_url).renewed_at > first.renewed_at, "it is renewed")
    assert (first.released, first.expired, lease.held()) == (False, False, True)
    lease.give_back()
    last = standing(postgres_url)
    assert (last.released, last.expired, last.token, lease.held()) == (True, True, 1, False)


def test_the_local_time_of_a_lease_ends_before_the_ledgers(take: Take, postgres_url: str) -> None:
    lease = take(60)
    with connect(postgres_url, autocommit=True) as connection:
        asked = "SELECT extract(epoch FROM expires_at - clock_timestamp())::float FROM leases WHERE name = 'gateway'"
        row = connection.execute(asked.encode()).fetchone()
    assert row is not None
    assert lease.seconds_left() < 54.1 < row[0]


def test_a_commit_under_an_older_token_is_refused_as_a_whole(take: Take, postgres_url: str) -> None:
    old = writer(postgres_url, take().token)
    old.commit(batch(1))
    take()
    with pytest.raises(LeaseLost, match="batch 2 was refused: another gateway has taken the ledger over"):
        old.commit(batch(2))
    old.close()
    with connect(postgres_url) as connection:
        assert connection.execute("SELECT batch, lease FROM batches").fetchall() == [(1, 1)]
        assert connection.execute("SELECT seq FROM journal").fetchall() == [(1,)]


def test_a_writer_that_comes_back_under_an_older_token_is_refused(take: Take, postgres_url: str) -> None:
    old = writer(postgres_url, take().token)
    take()
    with pytest.raises(LeaseLost, match="taken the ledger over: oms1 on here, lease 2"):
        old.settle(batch(1))


def in_background(work: Callable[[], object]) -> tuple[threading.Thread, list[BaseException]]:
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except (psycopg.Error, LeaseLost) as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, failures


def waits_for_a_lock(connection: psycopg.Connection[Any]) -> bool:
    found = connection.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    ).fetchone()
    return bool(found and found[0])


TAKE = "UPDATE leases SET token = token + 1 WHERE name = 'gateway'"


def test_who_takes_the_lease_waits_for_a_commit_under_way(postgres_url: str) -> None:
    with connect(postgres_url) as commit, connect(postgres_url, autocommit=True) as taker:
        commit.execute("SELECT token FROM leases WHERE name = 'gateway' AND token = 0 FOR KEY SHARE")
        thread, failures = in_background(lambda: taker.execute(TAKE))
        with connect(postgres_url, autocommit=True) as watcher:
            until(lambda: waits_for_a_lock(watcher), "the taker waits")
        commit.rollback()
        thread.join(10)
    assert (thread.is_alive(), failures) == (False, [])


def test_a_commit_waits_for_who_takes_the_lease_and_is_then_refused(postgres_url: str) -> None:
    old = writer(postgres_url, 0)
    with connect(postgres_url) as taker, connect(postgres_url, autocommit=True) as watcher:
        taker.execute(TAKE)
        thread, failures = in_background(lambda: old.commit(batch(1)))
        until(lambda: waits_for_a_lock(watcher), "the commit waits")
        taker.commit()
        thread.join(10)
        assert [type(one) for one in failures] == [LeaseLost]
        assert watcher.execute("SELECT FROM journal").fetchall() == []
    old.close()


def test_a_commit_does_not_wait_for_a_renewal(postgres_url: str) -> None:
    current = writer(postgres_url, 0)
    with connect(postgres_url) as renewing:
        renewing.execute("UPDATE leases SET renewed_at = clock_timestamp() WHERE name = 'gateway'")
        current.commit(batch(1))
    current.close()


def test_a_connection_left_by_the_gateway_before_is_ended_by_the_next(take: Take, postgres_url: str) -> None:
    """As of a machine that is gone: its server process waits for a commit that never comes."""
    old = writer(postgres_url, take().token)
    new = writer(postgres_url, take().token)
    new.commit(batch(1))
    with pytest.raises(psycopg.OperationalError):
        old.commit(batch(1))
    new.close()


def test_an_older_holder_does_not_end_the_connection_of_the_newer(take: Take, postgres_url: str) -> None:
    old, new = take(), take()
    current = writer(postgres_url, new.token)
    leases.end_writers(postgres_url, GATEWAY_LOCK, old.token)
    current.commit(batch(1))
    current.close()


def cut_off(url: str) -> None:
    """No renewal gets through any more."""
    with connect(url, autocommit=True) as connection:
        connection.execute("REVOKE UPDATE ON leases FROM oms_gateway")


def test_without_a_standby_a_lease_that_runs_out_is_not_held_until_it_is_renewed(
    take: Take, postgres_url: str
) -> None:
    lease = take(2)
    told: list[LeaseLost] = []
    lease.when_lost(told.append)
    cut_off(postgres_url)
    until(lambda: not lease.held(), "it has run out")
    with connect(postgres_url, autocommit=True) as connection:
        connection.execute("GRANT UPDATE ON leases TO oms_gateway")
    until(lease.held, "it is renewed")
    assert told == []


def test_with_a_standby_waiting_a_lease_that_runs_out_is_lost(take: Take, postgres_url: str) -> None:
    with gateway_connection(postgres_url, autocommit=True) as connection:
        leases.note_waiting(connection, "there", "run9", "oms9 on there", 60)
        assert leases.waiting(connection) == ["oms9 on there"]
    lease = take(2)
    told: list[LeaseLost] = []
    lease.when_lost(told.append)
    until(lambda: lease.standbys == 1, "it knows of the standby")
    cut_off(postgres_url)
    until(lambda: told, "it is lost")
    assert "could not be renewed for 1.8 s, and a standby waits" in str(told[0])
    assert not lease.held()
