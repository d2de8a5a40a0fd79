"""Positions follow from fills alone: corrections and busts netted, as of any moment, by whatever broker."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal as D
from typing import Any

import pytest
from sqlalchemy import Engine, insert

from oms.ledger import schema
from oms.ledger.database import engine as ledger_engine
from oms.ledger.positions import Position, positions
from tests.ledger.filled_ledger import DAY, at

pytestmark = pytest.mark.postgres


class Fills:
    """Writes rows of `fills`, one a second."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.number = 0

    def add(self, kind: str, exec_id: str, qty: object, px: object, ref: str = "", **more: Any) -> None:
        """One row; BROKER1, FUND1, AAPL, a buy where nothing else is said."""
        self.number += 1
        broker = more.get("broker", "BROKER1")
        row: dict[str, Any] = {
            "client_exec_id": f"E{self.number}", "broker": broker, "trade_date": more.get("day", DAY),
            "exec_id": exec_id, "exec_ref_id": ref, "kind": kind, "order_id": "O1", "child_id": f"C-{broker}",
            "account": "FUND1", "symbol": "AAPL", "side": "1", "last_qty": D(str(qty)), "last_px": D(str(px)),
            "transact_time": at(self.number * 1000), "received_at": at(self.number * 1000), "seq": self.number,
            "sending_time": None,
        }  # fmt: skip
        row |= {name: value for name, value in more.items() if name in row}
        with self.engine.begin() as connection:
            connection.execute(insert(schema.fills), [row])


@pytest.fixture
def fills(postgres_url: str) -> Iterator[Fills]:
    made = ledger_engine(postgres_url)
    yield Fills(made)
    made.dispose()


def of(bought: object, paid: object, sold: object = 0, received: object = 0, **more: Any) -> Position:
    given: dict[str, Any] = {"account": "FUND1", "symbol": "AAPL", "broker": "BROKER1", "other": D(0)} | more
    return Position(bought=D(str(bought)), sold=D(str(sold)), paid=D(str(paid)), received=D(str(received)), **given)


def test_buys_and_sells_are_summed_by_account_symbol_and_broker(fills: Fills) -> None:
    fills.add("trade", "X1", 100, "10.5")
    fills.add("trade", "X2", 50, "10.7")
    fills.add("trade", "X3", 30, 11, side="5")
    fills.add("trade", "X1", 7, 20, broker="BROKER2")
    fills.add("trade", "X4", 3, 20, side="8", account="", order_id=None, child_id=None)
    found = positions(fills.engine)
    assert found == [
        of(0, 0, account="", other=D(3)),
        of(150, "1585.0", 30, 330),
        of(7, 140, broker="BROKER2"),
    ]
    assert [(one.net, one.avg_buy_px, one.avg_sell_px) for one in found[1:]] == [
        (D(120), D("10.56666667"), D(11)),
        (D(7), D(20), None),
    ]


def test_a_correction_replaces_a_bust_removes_and_a_repeat_of_either_counts_once(fills: Fills) -> None:
    fills.add("trade", "X1", 100, 10)
    fills.add("trade", "X2", 40, 10)
    fills.add("correct", "X3", 90, 11, ref="X1")
    fills.add("correct", "X4", 80, 12, ref="X3")  # names the latest version
    fills.add("bust", "X5", 40, 10, ref="X2")
    fills.add("bust", "X6", 40, 10, ref="X2")
    fills.add("trade", "X7", 1, 10, account="FUND2", child_id="C-other")
    assert positions(fills.engine) == [of(80, 960), of(1, 10, account="FUND2")]


def test_a_bust_that_came_before_its_trade_is_netted_too(fills: Fills) -> None:
    fills.add("bust", "X2", 100, 10, ref="X1")
    fills.add("trade", "X1", 100, 10)
    assert positions(fills.engine) == []


def test_a_position_is_what_was_known_at_the_moment_asked_for(fills: Fills) -> None:
    fills.add("trade", "X1", 100, 10)
    fills.add("trade", "X2", 50, 10)
    fills.add("bust", "X3", 100, 10, ref="X1")
    moments = [positions(fills.engine, as_of=at(seconds * 1000)) for seconds in range(4)]
    assert moments == [[], [of(100, 1000)], [of(150, 1500)], [of(50, 500)]]


def test_of_a_trade_date_count_its_executions_whenever_they_were_amended(fills: Fills) -> None:
    tomorrow: date = DAY + timedelta(days=1)
    fills.add("trade", "X1", 100, 10)
    fills.add("trade", "X2", 5, 10, day=tomorrow)
    fills.add("correct", "X3", 60, 10, ref="X1", day=tomorrow)
    assert positions(fills.engine, trade_date=DAY) == [of(60, 600)]
    assert positions(fills.engine, trade_date=tomorrow) == [of(5, 50)]


def test_positions_are_narrowed_by_account_symbol_and_broker(fills: Fills) -> None:
    fills.add("trade", "X1", 1, 10)
    fills.add("trade", "X2", 2, 10, symbol="VOD")
    fills.add("trade", "X3", 3, 10, broker="BROKER2")
    assert [one.bought for one in positions(fills.engine, symbol="VOD")] == [2]
    assert [one.bought for one in positions(fills.engine, broker="BROKER2", symbol="AAPL")] == [3]
    assert positions(fills.engine, account="FUND9") == []
