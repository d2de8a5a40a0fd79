"""Postgres goes away and comes back: nothing leaves meanwhile, nothing is lost or doubled (I1, I2)."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from oms.errors import OmsError
from oms.ledger.database import migrate
from oms.ledger.embedded import EmbeddedPostgres
from oms.sim.wire import Message
from tests.system.house import House, until
from tests.system.words import new_order, report, shape, status, told_fills

MakeHouse = Callable[..., House]


def opened(make_house: MakeHouse, **more: object) -> House:
    """A gateway with CLIENT1 and BROKER1 logged on."""
    house = make_house({"CLIENT1": "4.4"}, {"BROKER1": "4.4"}, **more)
    house.peer("BROKER1")
    house.start()
    house.up("CLIENT1", "BROKER1")
    return house


def backends_ended(url: str) -> int:
    """End every connection of the gateway to its database; how many there were."""
    with psycopg.connect(url, autocommit=True) as connection:
        ended = connection.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name IN ('oms writer', 'oms reader')"
        ).fetchone()
    assert ended is not None
    return int(ended[0])


def test_connections_cut_in_the_middle_of_trading_lose_and_double_nothing(make_house: MakeHouse) -> None:
    house = opened(make_house)
    client, broker = house.peer("CLIENT1"), house.peer("BROKER1")
    for number in range(60):
        client.send(new_order(f"A{number}"))
        if number % 20 == 5:
            until(lambda: backends_ended(house.url), "there is a connection to cut")
    for number in range(60):
        asked = broker.expect("D", 20)
        broker.send(report(broker, asked, "F", f"X{number}", cum=100, last=(100, "150"), avg="150"))
        if number % 20 == 15:
            backends_ended(house.url)
    for number in range(60):
        client.expect("8", 20, ClOrdID=f"A{number}", OrdStatus="2")
    kept = house.rows("SELECT exec_id, client_exec_id, last_qty FROM fills ORDER BY seq")
    assert [row["exec_id"] for row in kept] == [f"X{number}" for number in range(60)]
    assert told_fills(client.received) == [(row["client_exec_id"], row["last_qty"]) for row in kept]
    assert len([message for message in broker.received if message.type == "D"]) == 60
    assert house.items() == []
    house.check_chain()


def test_a_look_up_in_the_ledger_survives_that_its_connection_was_cut(make_house: MakeHouse) -> None:
    """What memory does not know is looked for in the ledger, on a connection that may be gone by then."""
    house = opened(make_house)
    client, broker = house.peer("CLIENT1"), house.peer("BROKER1")
    backends_ended(house.url)
    client.send(status("NOBODY"))
    assert client.expect("8")[58] == "ClOrdID(11) NOBODY is not an order of yours"
    client.send(new_order("A1"))
    asked = broker.expect("D")
    backends_ended(house.url)
    broker.send("35=3|45=999999|372=D|373=99|58=what was that")
    broker.send(report(broker, asked, "0", "X1"))
    assert client.expect("8")[150] == "0"


def test_a_client_that_logs_on_after_a_cut_gets_what_is_waiting_for_it(make_house: MakeHouse) -> None:
    """A sender reads what it missed from the ledger, on a connection that may be gone by then."""
    house = opened(make_house)
    client, broker = house.peer("CLIENT1"), house.peer("BROKER1")
    client.send(new_order("A1"))
    asked = broker.expect("D")
    house.drop("CLIENT1")
    broker.send(report(broker, asked, "F", "X1", cum=40, last=(40, "150"), avg="150"))
    house.until("SELECT FROM fills")
    backends_ended(house.url)
    (client,) = house.up("CLIENT1")
    assert shape(client.expect("8")) == ("8", "A1", "F", "1", "40", "60", "40")


@pytest.fixture
def own_server() -> Iterator[EmbeddedPostgres]:
    """A server of this test alone, which keeps its data safe."""
    with (
        tempfile.TemporaryDirectory(prefix="oms-tests-") as directory,
        EmbeddedPostgres(Path(directory) / "postgres") as server,
    ):
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE oms")
        migrate(server.url("oms"))
        yield server


def killed(server: EmbeddedPostgres) -> None:
    """kill -9 of the whole server, and wait until it is gone."""
    pid = int((server.data / "postmaster.pid").read_text().splitlines()[0])
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for one in (str(pid), *children):
        os.kill(int(one), signal.SIGKILL)
    until(lambda: not any(Path(f"/proc/{one}").exists() for one in (pid, *children)), "the server is gone")


def started_again(server: EmbeddedPostgres) -> None:
    """Start it by another hand, as the one that thinks it runs would not; it ends with that one."""
    other = EmbeddedPostgres(server.data)
    other.start()
    other.stop()


def test_while_the_server_is_dead_nothing_leaves_and_after_its_start_everything_does(
    own_server: EmbeddedPostgres, make_house: MakeHouse
) -> None:
    house = opened(make_house, url=own_server.url("oms"))
    client, broker = house.peer("CLIENT1"), house.peer("BROKER1")
    client.send(new_order("A1"))
    asked = broker.expect("D")
    killed(own_server)
    client.send(new_order("A2"))
    broker.send(report(broker, asked, "F", "X1", cum=40, last=(40, "150"), avg="150"))
    gateway = house.gateway
    assert gateway is not None
    until(lambda: gateway._committer.outage, "the gateway knows that the ledger is gone")
    client.send(new_order("A3", account="NOBODY"))
    broker.expect_nothing()
    client.expect_nothing()
    started_again(own_server)
    assert broker.expect("D", 20)[38] == "100"
    told = [client.expect("8", 20), client.expect("8", 20)]
    assert {(message[11], message[39]) for message in told} == {("A1", "1"), ("A3", "8")}
    assert len(house.rows("SELECT FROM fills")) == 1
    assert house.items() == []
    house.check_chain()


def test_a_stop_while_the_server_is_dead_ends_with_an_error_and_the_next_start_makes_good(
    own_server: EmbeddedPostgres, make_house: MakeHouse
) -> None:
    house = opened(make_house, url=own_server.url("oms"))
    client, broker = house.peer("CLIENT1"), house.peer("BROKER1")
    client.send(new_order("A1"))
    asked = broker.expect("D")
    killed(own_server)
    broker.send(report(broker, asked, "F", "X1", cum=40, last=(40, "150"), avg="150"))
    client.send(new_order("A2"))
    gateway = house.gateway
    assert gateway is not None
    until(lambda: gateway._committer.outage, "the gateway knows that the ledger is gone")
    with pytest.raises(OmsError, match="the ledger did not come back before the stop"):
        house.stop()
    started_again(own_server)
    house.start()
    house.up("CLIENT1", "BROKER1")
    assert broker.expect("D", 20)[38] == "100"
    assert shape(client.expect("8", 20)) == ("8", "A1", "F", "1", "40", "60", "40")
    client.expect_nothing()
    orders: list[Message] = [message for message in broker.received if message.type == "D"]
    assert len({message[11] for message in orders}) == len(orders) == 2
    house.check_chain()


def test_a_ledger_that_refuses_the_rows_halts_the_gateway_and_nothing_leaves(make_house: MakeHouse) -> None:
    house = opened(make_house)
    client, broker = house.peer("CLIENT1"), house.peer("BROKER1")
    with psycopg.connect(house.url, autocommit=True) as connection:
        connection.execute("REVOKE INSERT ON journal FROM oms_gateway")
    client.send(new_order("A1"))
    house.join()
    assert isinstance(house.error, OmsError)
    assert "permission denied for table journal" in str(house.error)
    broker.wait_logged_out()
    broker.expect_nothing()
    with psycopg.connect(house.url, autocommit=True) as connection:
        connection.execute("GRANT INSERT ON journal TO oms_gateway")
    house.start()
    house.up("CLIENT1", "BROKER1")
    broker.expect("D")
    house.check_chain()
