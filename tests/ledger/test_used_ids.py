"""Ids that left the core's memory: the ledger knows whether they were used, whichever kind they are."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from oms.ledger.load import Reader
from tests.ledger.filled_ledger import DAY

pytestmark = pytest.mark.postgres


@pytest.fixture
def reader(filled_url: str) -> Iterator[Reader]:
    made = Reader(filled_url)
    yield made
    made.close()


def test_a_cl_ord_id_of_an_order_or_a_request_is_used_on_its_day_and_by_its_client_only(reader: Reader) -> None:
    orders = "SELECT client, original_cl_ord_id AS id FROM client_orders"
    rows = reader.rows(f"{orders} UNION ALL SELECT client, cl_ord_id FROM requests")
    assert len(rows) == 5
    assert all(reader.client_key_used(row["client"], DAY, row["id"]) for row in rows)
    assert not any(reader.client_key_used(row["client"], DAY + timedelta(days=1), row["id"]) for row in rows)
    assert not any(reader.client_key_used("CLIENT9", DAY, row["id"]) for row in rows)


def test_an_exec_id_is_used_at_its_broker_and_on_its_trade_date_only(reader: Reader) -> None:
    assert reader.fill_key_used("BROKER1", DAY, "x1")
    assert not reader.fill_key_used("BROKER2", DAY, "x1")
    assert not reader.fill_key_used("BROKER1", DAY - timedelta(days=1), "x1")
    assert not reader.fill_key_used("BROKER1", DAY, "x9")
