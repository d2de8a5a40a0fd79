"""What the gateway asks its ledger by a broker's ids is found under each of them."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from oms.ledger import queries
from oms.ledger.load import Reader

pytestmark = pytest.mark.postgres


def test_the_orders_of_a_brokers_clordid_and_of_its_orderid_are_both_found(reader: Reader, filled: Engine) -> None:
    def found(broker: str, cl_ord_ids: tuple[str, ...], broker_order_id: str) -> list[str]:
        return [one.order_id for one in reader.order_by_broker_id(broker, cl_ord_ids, broker_order_id)]

    asked = queries.find_order(filled, "a2")
    request = reader.rows("SELECT broker_cl_ord_id FROM requests WHERE order_id = 'O3'")[0]["broker_cl_ord_id"]
    assert len(asked) == 2
    assert found("BROKER1", ("C1",), "") == ["O1"]
    assert found("BROKER1", ("none",), "b77") == ["O1"]
    assert found("BROKER1", (request,), "b77") == ["O1", "O3"]
    assert found("BROKER2", ("C1", "C18"), "b77") == ["O3"]
    assert found("BROKER1", ("none",), "") == []


def test_an_id_that_nobody_used_costs_one_query(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    ask = reader._rows
    monkeypatch.setattr(reader, "_rows", lambda text, values: asked.append(text) or ask(text, values))
    assert reader.order_by_client_id("CLIENT1", ("none",)) == []
    assert reader.order_by_broker_id("BROKER1", ("none",), "") == []
    assert len(asked) == 2
