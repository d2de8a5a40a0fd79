"""Fixtures for every test: a real Postgres, started once per run, with a fresh database per test.

A database is a copy of a migrated template, which takes some 150 ms. The server keeps nothing safe (fsync off):
what a crash leaves is tested elsewhere, on servers of the tests' own.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from oms.ledger.database import migrate
from oms.ledger.embedded import EmbeddedPostgres
from tests.ledger.filled_ledger import trade_a_day

UNSAFE_AND_FAST = {
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "max_connections": "40",
    "shared_buffers": "32MB",
}
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[EmbeddedPostgres]:
    """A server with the databases `template_oms` (migrated) and `template_empty`."""
    with (
        tempfile.TemporaryDirectory(prefix="oms-tests-") as directory,
        EmbeddedPostgres(Path(directory) / "postgres", settings=UNSAFE_AND_FAST) as server,
    ):
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE template_oms")
            connection.execute("CREATE DATABASE template_empty")
        migrate(server.url("template_oms"))
        yield server


@pytest.fixture
def postgres_url(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """URL of a fresh database with the ledger's schema, as its owner (who may work as `oms_gateway`)."""
    yield from _copy(postgres_server, "template_oms")


@pytest.fixture
def empty_postgres_url(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """URL of a fresh database without a schema."""
    yield from _copy(postgres_server, "template_empty")


@pytest.fixture(scope="session")
def filled_url(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """URL of one database for all that only read: the day of `tests/ledger/filled_ledger.py`."""
    for url in _copy(postgres_server, "template_oms"):
        trade_a_day(url)
        yield url


def _copy(server: EmbeddedPostgres, template: str) -> Iterator[str]:
    name = f"test_{next(_numbers)}"
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        yield server.url(name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
