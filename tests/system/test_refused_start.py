"""A gateway that cannot start says why and what to do, and leaves nothing behind: no port, no session, no thread."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

import psycopg
import pytest
from sqlalchemy import make_url

from oms.errors import OperatorError
from tests.system.house import House, free_ports
from tests.system.words import new_order

MakeHouse = Callable[..., House]
CLOSED_PORT = free_ports(1)[0]


def threads() -> set[str]:
    """Names of the gateway's own threads that are alive."""
    return {
        one.name
        for one in threading.enumerate()
        if one.name.startswith(("send-", "committer", "fix-stop", "gateway"))
    }


def refused(house: House) -> str:
    """What the gateway says instead of starting."""
    house.peer("BROKER1")
    before = threads()
    with pytest.raises(OperatorError) as caught:
        house.start()
    assert threads() <= before
    assert house.peer("BROKER1").admin == []
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", house.client_port))
    return str(caught.value)


def test_a_database_that_nobody_serves(make_house: MakeHouse) -> None:
    house = make_house(url=f"postgresql://oms@127.0.0.1:{CLOSED_PORT}/oms")
    said = refused(house)
    assert said.startswith(f"database oms on 127.0.0.1:{CLOSED_PORT}: ")
    assert said.endswith("; start the server, or check host and port in [database] url")


def test_a_user_that_the_server_does_not_know(make_house: MakeHouse, postgres_url: str) -> None:
    url = make_url(postgres_url).set(username="stranger", password="sesame").render_as_string(hide_password=False)
    said = refused(make_house(url=url))
    assert said.endswith('role "stranger" does not exist; create it, or correct [database] url')
    assert "sesame" not in said


def test_a_database_that_is_not_there(make_house: MakeHouse, postgres_url: str) -> None:
    url = make_url(postgres_url).set(database="elsewhere").render_as_string(hide_password=False)
    said = refused(make_house(url=url))
    assert said.endswith('database "elsewhere" does not exist; create it, or correct [database] url')


def test_a_database_that_is_read_only(make_house: MakeHouse, postgres_url: str) -> None:
    name = make_url(postgres_url).database
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only TO on")
    said = refused(make_house())
    assert said.endswith("; the server is read-only (a standby?); name the primary in [database] url")


def test_a_user_who_may_not_work_as_the_gateway(make_house: MakeHouse, postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS guest")
        connection.execute("CREATE ROLE guest LOGIN")
    try:
        url = make_url(postgres_url).set(username="guest").render_as_string(hide_password=False)
        said = refused(make_house(url=url))
        assert "as a superuser run: GRANT oms_gateway TO" in said
    finally:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute("DROP ROLE guest")


def test_a_client_port_that_is_taken(make_house: MakeHouse) -> None:
    house = make_house()
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", house.client_port))
        taken.listen()
        broker = house.peer("BROKER1")
        with pytest.raises(OperatorError) as caught:
            house.start()
        said = str(caught.value)
        assert said.startswith(f"cannot open the client sessions of {house.config.files.sessions}: ")
        assert said.endswith("; free the port or change SocketAcceptPort")
        assert threads() == set()
        broker.wait_logged_out()
    house.start()
    client, broker = house.up("CLIENT1", "BROKER1")
    client.send(new_order("A1"))
    broker.expect("D")


def test_a_ledger_on_which_another_gateway_works(make_house: MakeHouse) -> None:
    first, second = make_house(), make_house()
    first.peer("BROKER1")
    first.start()
    second.peer("BROKER1")
    with pytest.raises(OperatorError) as caught:
        second.start()
    assert str(caught.value).startswith("another gateway is running on this ledger: oms on ")
    client, broker = first.up("CLIENT1", "BROKER1")
    client.send(new_order("A1"))
    broker.expect("D")
