"""Ids that left the core's memory: the ledger knows whether they were used, whichever kind they are."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from oms.core.core import Wanted
from oms.ledger.evicted import Evicted
from oms.ledger.load import Reader
from tests.ledger.filled_ledger import DAY, trade_a_day

pytestmark = pytest.mark.postgres


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


def test_an_id_that_several_orders_of_a_client_used_means_the_last_use_whoever_asks_and_no_part_of_a_mass_cancel(
    postgres_url: str,
) -> None:
    """By load and by replay, which does not see the future: an order, one of the next day, a request of the first."""
    trade_a_day(postgres_url)
    with psycopg.connect(postgres_url) as connection:
        copied(connection, "client_orders", "order_id = 'O1'", order_id="OX", original_cl_ord_id="T", new_seq=100)
        copied(
            connection, "client_orders", "order_id = 'O1'", order_id="OY", original_cl_ord_id="T", new_seq=200, days=1
        )
        copied(connection, "requests", "client = 'CLIENT1'", order_id="OX", cl_ord_id="T", seq=300, days=2)
        copied(
            connection,
            "requests",
            "client = 'CLIENT1'",
            order_id="",
            cl_ord_id="T",
            orig_cl_ord_id="",
            kind="q",
            seq=400,
            days=3,
        )
        evicted = Evicted(connection)
        found = []
        for now in (100, 101, 201, 301, 401):
            evicted.now = now
            found.append(list(evicted._named(Wanted("client", "CLIENT1", ("T",)))))
        evicted.spool.close()
    assert found == [[], ["OX"], ["OY"], ["OX"], ["OX"]]
    reader = Reader(postgres_url)
    assert [one.order_id for one in reader.order_by_client_id("CLIENT1", ("T",))] == ["OX"]
    assert reader.order_by_client_id("CLIENT2", ("T",)) == []
    reader.close()


def copied(connection: psycopg.Connection[Any], table: str, like: str, *, days: int = 0, **values: object) -> None:
    """A row like another, of some days later and with other values."""
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(f"SELECT * FROM {table} WHERE {like} LIMIT 1".encode()).fetchone()
        assert row is not None
        row |= values | {"trade_date": row["trade_date"] + timedelta(days=days)}
        names, places = ", ".join(row), ", ".join(["%s"] * len(row))
        cursor.execute(f"INSERT INTO {table} ({names}) VALUES ({places})".encode(), list(row.values()))
