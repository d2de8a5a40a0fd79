"""Gateways whose counterparties are made of FIX engines other than QuickFIX."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest

from oms.ledger.embedded import EmbeddedPostgres
from tests.foreign.fixcore_peer import FixcorePeer
from tests.foreign.peer import ForeignPeer, Where
from tests.foreign.simplefix_peer import SimplefixPeer
from tests.system.house import House, in_parallel

CLIENT, BROKER = "ABROAD", "OVERSEAS"
_databases = itertools.count(1)


class Made(NamedTuple):
    """Who speaks with what: engine and version of the client, engine and version of the broker."""

    client: str
    client_version: str
    broker: str
    broker_version: str

    def __str__(self) -> str:
        return f"{self.client}-{self.client_version}-to-{self.broker}-{self.broker_version}"


class Town(NamedTuple):
    """A gateway between two foreigners that are logged on."""

    house: House
    client: ForeignPeer
    broker: ForeignPeer


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.engine)
            item.add_marker(pytest.mark.postgres)


def _peer(engine: str, where: Where, kind: str, directory: Path) -> ForeignPeer:
    return FixcorePeer(where, kind, directory) if engine == "fixcore" else SimplefixPeer(where, kind)


@pytest.fixture(scope="module")
def town(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, postgres_server: EmbeddedPostgres
) -> Iterator[Town]:
    """A gateway and its two counterparties, made as the tests' parameter says; each test has orders of its own."""
    made: Made = request.param
    directory = tmp_path_factory.mktemp("foreign")
    name = f"foreign_{next(_databases)}"
    with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template_oms STRATEGY FILE_COPY")
    house = House(
        directory,
        postgres_server.url(name),
        clients={CLIENT: made.client_version},
        brokers={BROKER: made.broker_version},
        session_keys={BROKER: "HeartBtInt=2"},
    )
    client = Where(CLIENT, house.comp_id, made.client_version, house.client_port, 2)
    broker = Where(BROKER, house.comp_id, made.broker_version, house.broker_ports[BROKER], 2)
    peers = [
        _peer(made.client, client, "initiator", directory / "client"),
        _peer(made.broker, broker, "acceptor", directory / "broker"),
    ]
    try:
        peers[1].connect()
        house.start()
        peers[0].connect()
        for peer in peers:
            peer.wait_up()
        house.until_logged_on(CLIENT, BROKER)
        yield Town(house, *peers)
        house.check_chain()
    finally:
        in_parallel([house.close, *(peer.close for peer in peers)])
