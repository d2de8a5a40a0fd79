"""Houses for the tests of whole gateways: one made per test, or one shared by the tests of a module."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import psycopg
import pytest

from oms.ledger.embedded import EmbeddedPostgres
from oms.sim.peer import FixPeer
from oms.sim.wire import Message
from tests.system.house import House, in_parallel
from tests.system.nursery import Nursery
from tests.system.words import new_order, report

_databases = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = str(Path(__file__).parent)
    for item in items:
        if str(item.path).startswith(here):
            item.add_marker(pytest.mark.engine)
            item.add_marker(pytest.mark.postgres)


@pytest.fixture
def make_house(tmp_path: Path, postgres_url: str) -> Iterator[Callable[..., House]]:
    """Makes houses (one client, one broker where nothing else is said) that are closed after the test."""
    made: list[House] = []

    def make(clients: dict[str, str] | None = None, brokers: dict[str, str] | None = None, **more: Any) -> House:
        directory = tmp_path / f"house{len(made)}"
        directory.mkdir()
        house = House(
            directory,
            more.pop("url", postgres_url),
            clients=clients or {"CLIENT1": "4.4"},
            brokers=brokers or {"BROKER1": "4.2"},
            **more,
        )
        made.append(house)
        return house

    yield make
    in_parallel([house.close for house in made])


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Starts gateways as processes."""
    made = Nursery()
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared_url(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """A database for all tests of a module."""
    name = f"shared_{next(_databases)}"
    with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template_oms STRATEGY FILE_COPY")
        yield postgres_server.url(name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


class Desk(NamedTuple):
    """A gateway that several tests share, with two clients and a broker that are logged on.

    CLIENT3 is free for a `RawClient`.
    """

    house: House
    client: FixPeer
    client42: FixPeer
    broker: FixPeer

    def journal_end(self) -> int:
        """The number of the last journal row, to look at what came after it."""
        return int(self.house.rows("SELECT max(seq) AS seq FROM journal")[0]["seq"])

    def refusals(self, after: int) -> list[str]:
        """The reasons of what was refused after a journal row, as soon as there are any."""
        found = self.house.until(
            "SELECT detail ->> 'refused' AS reason FROM journal WHERE kind = 'refused' AND seq > %s ORDER BY seq",
            after,
        )
        return [row["reason"] for row in found]

    def still_trades(self, *clients: Trader) -> None:
        """An order of each of these, and of CLIENT1 and CLIENT2, is filled."""
        for number, client in enumerate((*clients, self.client, self.client42)):
            cl_ord_id = f"OK-{self.journal_end()}-{number}"
            client.send(new_order(cl_ord_id, more=f"58={cl_ord_id}"))
            asked = self.broker.expect("D", Text=cl_ord_id)
            self.broker.send(report(self.broker, asked, "0", f"N-{cl_ord_id}"))
            self.broker.send(report(self.broker, asked, "F", f"F-{cl_ord_id}", cum=100, last=(100, "150"), avg="150"))
            if isinstance(client, FixPeer):
                assert client.expect("8", ClOrdID=cl_ord_id, OrdStatus="0")[14] == "0"
                assert client.expect("8", ClOrdID=cl_ord_id, OrdStatus="2")[14] == "100"
            else:
                while (told := client.expect("8")).get(11) != cl_ord_id or told[39] != "2":
                    pass
                assert told[14] == "100"


class Trader(Protocol):
    """A client of whatever kind."""

    def send(self, text: str) -> object:
        """Send one message."""

    def expect(self, kind: str) -> Message:
        """The next message of a type."""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, shared_url: str) -> Iterator[Desk]:
    """The gateway that all tests of a module share: what one sends must not harm the next."""
    house = House(
        tmp_path_factory.mktemp("desk"),
        shared_url,
        clients={"CLIENT1": "4.4", "CLIENT2": "4.2", "CLIENT3": "4.4"},
        brokers={"BROKER1": "4.4"},
        toml="[inbox]\nper_session = 100\nmax_batch = 50\n",
    )
    try:
        house.peer("BROKER1")
        house.start()
        yield Desk(house, *house.up("CLIENT1", "CLIENT2", "BROKER1"))
        house.check_chain()
    finally:
        house.close()
