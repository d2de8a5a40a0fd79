"""A gateway with one client session for every situation in every version, so that none meets another's numbers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest

from oms.ledger.embedded import EmbeddedPostgres
from tests.session_level.player import Player, Sides
from tests.session_level.situation import VERSIONS, Situation, read_all
from tests.system.house import House

AT_ONCE = 16


class Case(NamedTuple):
    """A situation in one version, and the client session that is its own."""

    situation: Situation
    version: str
    client: str


def version_id(version: str) -> str:
    """How ids of tests name a version: fix44."""
    return "fix" + version.replace(".", "").lower()


CASES = {
    f"{version_id(version)}-{situation.name}": Case(situation, version, f"S{version.replace('.', '')}-{number}")
    for version in VERSIONS
    for number, situation in enumerate(read_all(), 1)
    if version in situation.versions
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent and "played" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.engine)
            item.add_marker(pytest.mark.postgres)


@pytest.fixture(scope="session")
def ledger_url(postgres_server: EmbeddedPostgres) -> str:
    """A fresh ledger for all of them, on a server that lets in far fewer connections than there are sessions."""
    with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE session_level TEMPLATE template_oms")
    return postgres_server.url("session_level")


@pytest.fixture(scope="module")
def acceptor(tmp_path_factory: pytest.TempPathFactory, ledger_url: str) -> Iterator[House]:
    """The gateway, with its clients' sessions, and a broker that is on and never answers."""
    house = House(
        tmp_path_factory.mktemp("acceptor"),
        ledger_url,
        clients={case.client: case.version for case in CASES.values()},
        brokers={"SILENT": "4.4"},
        session_keys={case.client: case.situation.settings for case in CASES.values()},
    )
    try:
        house.peer("SILENT")
        house.start()
        house.up("SILENT")
        yield house
        house.check_chain()
    finally:
        house.close()


@pytest.fixture(scope="module")
def played(request: pytest.FixtureRequest, acceptor: House) -> Iterator[dict[str, Future[None]]]:
    """What became of each situation that was asked for. They are played side by side: some are long waits."""

    def play(case: Case) -> None:
        def taken(kind: str) -> int:
            query, values = "FROM journal WHERE kind = 'in' AND session = %s AND msg_type = %s", (case.client, kind)
            if kind == "orders":
                query, values = (
                    "FROM child_orders JOIN client_orders USING (order_id) WHERE client = %s",
                    (case.client,),
                )
            with reading:  # the connection to the ledger is one for all
                return int(acceptor.rows(f"SELECT count(*) AS count {query}", *values)[0]["count"])

        sides = Sides(acceptor.client_port, case.version, acceptor.comp_id, case.client)
        Player(sides, taken).play(case.situation.of(case.version))

    reading = threading.Lock()
    asked = [item.callspec.params["case"] for item in request.session.items if "played" in item.fixturenames]  # type: ignore[attr-defined]
    asked.sort(
        key=lambda case: not any("108=" in step.text for step in CASES[case].situation.of(CASES[case].version))
    )
    with ThreadPoolExecutor(AT_ONCE) as pool:  # those with heartbeats, which take longest, first
        yield {case: pool.submit(play, CASES[case]) for case in asked}
