"""Houses for the tests of whole gateways: one made per test, or one shared by the tests of a module."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from oms.ledger.embedded import EmbeddedPostgres
from tests.system.house import House, in_parallel

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

    def make(
        clients: dict[str, str] | None = None, brokers: dict[str, str] | None = None, **more: Any
    ) -> House:
        directory = tmp_path / f"house{len(made)}"
        directory.mkdir()
        house = House(
            directory,
            postgres_url,
            clients=clients or {"CLIENT1": "4.4"},
            brokers=brokers or {"BROKER1": "4.2"},
            **more,
        )
        made.append(house)
        return house

    yield make
    in_parallel([house.close for house in made])


@pytest.fixture(scope="module")
def shared_url(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """A database for all tests of a module."""
    name = f"shared_{next(_databases)}"
    with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template_oms STRATEGY FILE_COPY")
        yield postgres_server.url(name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
