"""The right to run: who may take over at once, who has to wait, who is refused, and what a standby keeps ready."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from oms.config.load import Config, load
from oms.config.templates import write_demo
from oms.errors import OperatorError
from oms.ledger.embedded import EmbeddedPostgres
from oms.ledger.lease import lease_status
from oms.standby import Claim, claim, stand_by
from oms.state_lock import FILE, StateLock
from tests.system.house import free_ports, until

pytestmark = pytest.mark.postgres
Configure = Callable[[str], Config]
SECONDS = 2


@pytest.fixture
def configure(tmp_path: Path, postgres_url: str) -> Configure:
    """The configuration of a machine, by its name; all have the same ledger."""
    ports = free_ports(3)

    def make(machine: str) -> Config:
        directory = tmp_path / machine
        if not directory.exists():
            directory.mkdir()
            file = write_demo(
                directory,
                client_port=ports[0],
                broker_ports=(ports[1], ports[2]),
                trading="on",
                after_unclean_stop="trade",
            )
            text = file.read_text().replace("[database]\n", f'[database]\nurl = "{postgres_url}"\n', 1)
            file.write_text(text.replace("[gateway]\n", f"[gateway]\nlease_seconds = {SECONDS}\n", 1))
        return load(directory / "oms.toml")

    return make


@pytest.fixture
def ended() -> Iterator[list[Claim]]:
    """Claims that are given back after the test."""
    made: list[Claim] = []
    yield made
    for one in made:
        one.__exit__(None, None, None)


def claimed(config: Config, ended: list[Claim]) -> Claim:
    made = claim(config, threading.Event())
    assert made is not None
    ended.append(made)
    return made


def dies(one: Claim) -> None:
    """As by kill -9: nothing is given back, nothing is renewed, the kernel closes what was open."""
    one.lease._ended.set()
    one._lock.close()


def test_a_second_one_is_refused_as_soon_as_the_first_is_seen_to_renew(
    configure: Configure, ended: list[Claim]
) -> None:
    first = claimed(configure("here"), ended)
    with pytest.raises(OperatorError, match=f"another gateway is running on this ledger: {first.holder}, lease 1,"):
        claim(configure("there"), threading.Event())
    with pytest.raises(
        OperatorError, match=r"another gateway or its standby \(process \d+\) runs with the state dir"
    ):
        claim(configure("here"), threading.Event())
    assert first.lease.held()


def test_who_died_here_is_followed_at_once_and_its_stores_are_good(configure: Configure, ended: list[Claim]) -> None:
    dies(claimed(configure("here"), ended))
    began = monotonic()
    second = claimed(configure("here"), ended)
    assert monotonic() - began < SECONDS
    assert (second.lease.token, second.stores_current) == (2, True)


def test_who_died_elsewhere_is_followed_when_its_lease_has_run_out_and_stores_here_are_old(
    configure: Configure, ended: list[Claim]
) -> None:
    dies(claimed(configure("there"), ended))
    began = monotonic()
    second = claimed(configure("here"), ended)
    assert monotonic() - began >= SECONDS
    assert (second.lease.token, second.stores_current) == (2, False)


def test_who_gave_it_back_is_followed_at_once(configure: Configure, ended: list[Claim]) -> None:
    claimed(configure("there"), ended).__exit__(None, None, None)
    began = monotonic()
    second = claimed(configure("here"), ended)
    assert monotonic() - began < SECONDS
    assert (second.lease.token, second.stores_current) == (2, False)


def test_a_copy_of_the_state_directory_does_not_tell_that_the_original_is_dead(
    configure: Configure, ended: list[Claim]
) -> None:
    first = claimed(configure("there"), ended)
    here = configure("here")
    here.gateway.state_dir.mkdir()
    shutil.copy(configure("there").gateway.state_dir / FILE, here.gateway.state_dir / FILE)
    with pytest.raises(OperatorError, match="another gateway is running on this ledger"):
        claim(here, threading.Event())
    assert first.lease.held()


def test_a_kill_between_the_mark_and_the_lease_leaves_a_mark_that_fits(
    configure: Configure, ended: list[Claim]
) -> None:
    first = claimed(configure("here"), ended)
    dies(first)
    lock = StateLock(configure("here").gateway.state_dir)
    assert lock.take()
    lock.note("a run that never had the lease", first.run)
    lock.close()
    second = claimed(configure("here"), ended)
    assert (second.lease.token, second.stores_current) == (2, True)


def waiting(config: Config, found: list[Claim | None], **more: bool) -> tuple[threading.Thread, threading.Event]:
    stopped = threading.Event()
    thread = threading.Thread(target=lambda: found.append(stand_by(config, stopped, **more)), daemon=True)
    thread.start()
    return thread, stopped


def standbys(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM leases WHERE name <> 'gateway' AND NOT released").fetchone()
    return int(row[0]) if row else 0


def test_a_standby_takes_over_with_the_last_whole_configuration(
    configure: Configure, ended: list[Claim], postgres_url: str
) -> None:
    first = claimed(configure("here"), ended)
    config = configure("here")
    found: list[Claim | None] = []
    thread, _ = waiting(config, found)
    until(lambda: first.lease.standbys == 1, "the first knows that a standby waits")
    whole = config.path.read_text()
    config.path.write_text(whole.replace('trading = "on"', 'trading = "off"'))
    looked_again(postgres_url)
    config.path.write_text("[gateway\n")
    looked_again(postgres_url)
    first.__exit__(None, None, None)
    thread.join(10)
    assert found[0] is not None
    ended.append(found[0])
    assert (found[0].config.gateway.trading, found[0].lease.token, found[0].stores_current) == ("off", 2, True)
    assert standbys(postgres_url) == 0


def looked_again(url: str) -> None:
    """A standby tells the ledger each time before it looks at its files; twice, and the first look is done."""
    with psycopg.connect(url, autocommit=True) as connection:
        text = "SELECT max(renewed_at) FROM leases WHERE name <> 'gateway'"
        seen = {connection.execute(text).fetchone()}
        until(
            lambda: len(seen) > 2 or seen.add(connection.execute(text).fetchone()), "the standby tells again, twice"
        )


def test_a_standby_stops_when_told_and_does_not_count_any_more(
    configure: Configure, ended: list[Claim], postgres_url: str
) -> None:
    claimed(configure("here"), ended)
    found: list[Claim | None] = []
    thread, stopped = waiting(configure("there"), found, stores_may_be_lost=True)
    until(lambda: standbys(postgres_url) == 1, "it waits")
    found_out = lease_status(postgres_url)
    assert found_out is not None
    assert (found_out["state"], found_out["token"], len(found_out["standbys"])) == ("held", 1, 1)
    stopped.set()
    thread.join(10)
    assert (found, standbys(postgres_url)) == ([None], 0)


def test_a_standby_whose_ledger_goes_away_waits_for_it_and_can_be_stopped(
    configure: Configure, ended: list[Claim], postgres_url: str, postgres_server: EmbeddedPostgres
) -> None:
    first = claimed(configure("here"), ended)
    found: list[Claim | None] = []
    thread, stopped = waiting(configure("here"), found)
    until(lambda: first.lease.standbys == 1, "it waits")
    name = conninfo_to_dict(postgres_url)["dbname"]
    with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        until(lambda: not first.lease.held(), "nobody can renew")
        assert thread.is_alive()
        stopped.set()
        thread.join(10)
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())
    assert found == [None]


def test_a_standby_without_the_message_stores_is_refused_unless_they_may_be_made_again(
    configure: Configure, ended: list[Claim]
) -> None:
    claimed(configure("there"), ended)
    with pytest.raises(OperatorError, match=r"let it make them again .*: oms run --standby --new-machine"):
        stand_by(configure("here"), threading.Event())
