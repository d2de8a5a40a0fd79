"""A ledger with a day in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from oms.ledger.database import engine
from oms.ledger.load import Reader


@pytest.fixture
def filled(filled_url: str) -> Iterator[Engine]:
    """A read-only engine on a ledger that holds the day of `filled_ledger`."""
    made = engine(filled_url, read_only=True)
    yield made
    made.dispose()


@pytest.fixture
def reader(filled_url: str) -> Iterator[Reader]:
    """The gateway's reader of the day of `filled_ledger`."""
    made = Reader(filled_url)
    yield made
    made.close()
