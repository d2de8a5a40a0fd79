"""A ledger with a day in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from oms.ledger.database import engine
from tests.ledger.filled_ledger import trade_a_day


@pytest.fixture
def filled(postgres_url: str) -> Iterator[Engine]:
    """An engine on a ledger that holds the day of `filled_ledger`."""
    trade_a_day(postgres_url)
    made = engine(postgres_url, read_only=True)
    yield made
    made.dispose()
