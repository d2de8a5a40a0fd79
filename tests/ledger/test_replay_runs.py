"""Replay over several runs of the gateway: what only mattered to one run is nothing to the next."""

from __future__ import annotations

from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

from oms.ledger.replay import Replay

NOW = datetime(2026, 3, 2, 13, 0, tzinfo=UTC)
REPORT = (
    "8=FIX.4.4|9=1|35=8|34=2|49=B|56=O|52=20260302-13:00:00|37=VOICE|17=0|11=X1|150=I|39=0|55=AAPL|54=1|38=100|44=10|"
    "40=2|151=100|14=0|6=0|10=000|"
).replace("|", "\x01")


def row(seq: int, kind: str, msg_type: str, detail: dict[str, Any], raw: str = "", number: int = 0) -> Any:
    session = "" if kind == "config" else "BROKER1"
    return SimpleNamespace(
        seq=seq, kind=kind, session=session, msg_type=msg_type, msg_seq_num=number, order_id=None, cause=None,
        sending_time=None, received_at=NOW, trade_date=date(2026, 3, 2), raw=raw.encode(), detail=detail,
    )  # fmt: skip


def started(seq: int, unknown_orders: str) -> Any:
    facts = {"role": "broker", "fix42": False, "status_requests": True, "unknown_orders": unknown_orders}
    return row(seq, "config", "Start", {"sessions": {"BROKER1": facts}})


def test_an_order_of_the_broker_that_one_run_only_raised_is_adopted_by_the_next_as_its_dialect_says() -> None:
    replay = Replay()
    up = {"matter": [1, 1]}
    for one in (
        started(1, "alert"),
        row(2, "session", "SessionUp", up),
        row(3, "in", "8", {}, REPORT, 2),
        started(4, "adopt"),
        row(5, "session", "SessionUp", up),
        row(6, "in", "8", {}, REPORT, 3),
    ):
        replay.take(one)
    (order,) = replay.orders.values()
    assert (order.client, order.symbol, order.children[0].broker_order_id) == ("", "AAPL", "VOICE")
