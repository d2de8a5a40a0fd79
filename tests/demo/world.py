"""Three views that agree, of one client and one broker, for tests that then spoil one of them.

A1 bought 100 in two fills, the first one corrected twice; A2 was refused by a rule; A3 was replaced as A4 and
cancelled after a part fill whose other part was busted; A5 never became an order (OrderID(37) NONE).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from oms.demo.comparison import Views
from oms.ledger.records import ChildOrder, ClientOrder, Fill
from oms.ledger.snapshot import Snapshot
from oms.sim.checks import ClientFill
from oms.sim.checks import ClientOrder as Told
from oms.sim.orders import Fill as SimFill
from oms.sim.orders import SimOrder
from oms.sim.record import BrokerFill, BrokerOrder, BrokerView, ClientView

CLIENT, BROKER = "CLIENT1", "BROKER1"
AT, DAY = datetime(2026, 3, 2, 14, 30, tzinfo=UTC), date(2026, 3, 2)
D = Decimal


def told(cl_ord_id: str, ord_status: str, **more: Any) -> Told:
    """An order as the client was told of it."""
    values: dict[str, Any] = {"ids": [cl_ord_id], "symbol": "AAPL", "side": "1", "qty": D(100), "price": D(10)}
    return Told(**{**values, "ord_status": ord_status, "order_id": f"O{cl_ord_id}", **more})


def order(first: str, ord_status: str, **more: Any) -> ClientOrder:
    """A row of client_orders."""
    values: dict[str, Any] = {
        "order_id": f"O{first}", "client": CLIENT, "cl_ord_id": first, "original_cl_ord_id": first,
        "account": "FUND1", "trader": "", "symbol": "AAPL", "security_exchange": "XNAS", "side": "1", "ord_type": "2",
        "time_in_force": "0", "ex_destination": "", "original_order_qty": D(100), "original_price": D(10),
        "original_stop_px": None, "order_qty": D(100), "price": D(10), "stop_px": None, "cum_qty": D(0),
        "leaves_qty": D(0), "avg_px": D(0), "notional": D(0), "life": "working", "finished": True, "reason": None,
        "trade_date": DAY, "received_at": AT, "new_seq": 1, "last_seq": 1,
    }  # fmt: skip
    return ClientOrder(**{**values, "ord_status": ord_status, **more})


def child(first: str, **more: Any) -> ChildOrder:
    """A row of child_orders, C and the client's id being the broker's ClOrdID(11)."""
    values: dict[str, Any] = {
        "child_id": f"C{first}", "order_id": f"O{first}", "broker": BROKER, "cl_ord_id": f"C{first}",
        "broker_order_id": f"B{first}", "route_rule": "all", "order_qty": D(100), "price": D(10), "stop_px": None,
        "cum_qty": D(0), "life": "working", "finished": True, "sent_seq": 2, "last_seq": 3,
    }  # fmt: skip
    return ChildOrder(**{**values, **more})


def fill(cl_ord_id: str, exec_id: str, qty: int, px: str, kind: str = "trade", ref: str = "") -> Fill:
    """A row of fills; E and the broker's ExecID(17) is the client's."""
    return Fill(
        client_exec_id=f"E{exec_id}", broker=BROKER, trade_date=DAY, exec_id=exec_id, exec_ref_id=ref, kind=kind,
        order_id=f"O{cl_ord_id}", child_id=f"C{cl_ord_id}", account="FUND1", symbol="AAPL", side="1", last_qty=D(qty),
        last_px=D(px), transact_time=AT, sending_time=AT, received_at=AT, seq=9,
    )  # fmt: skip


def held(cl_ord_id: str, ord_status: str, fills: list[BrokerFill], **more: Any) -> BrokerOrder:
    """An order as the broker has it."""
    values: dict[str, Any] = {"qty": D(100), "price": D(10), "trace": f"{CLIENT}/{cl_ord_id}", "life": "working"}
    made = SimOrder(
        order_id=f"B{cl_ord_id}", symbol="AAPL", side="1", ord_type="2", tif="0",
        fills=[SimFill(one.latest_exec_id, one.qty, one.px) for one in fills],
        **{"ids": [f"C{cl_ord_id}"], **values, **more},
    )  # fmt: skip
    return BrokerOrder(made, ord_status, {one.exec_id: one for one in fills})


def broker_fill(cl_ord_id: str, exec_id: str, qty: int, px: str, latest: str = "") -> BrokerFill:
    """An execution as the broker has it, sent."""
    return BrokerFill(exec_id, f"B{cl_ord_id}", D(qty), D(px), latest or exec_id, sent=True)


def client_side() -> ClientView:
    """What the client recorded."""
    orders = [
        told("A1", "2", cum_qty=D(100), avg_px=D("10.4"),
             fills={"EX1": ClientFill(D(60), D("10")), "EX2": ClientFill(D(40), D("11"))}),
        told("A2", "8", price=D("10.001")),
        told("A3", "4", ids=["A3", "A4"], qty=D(80), cum_qty=D(30), avg_px=D("10"),
             fills={"EX4": ClientFill(D(30), D("10")), "EX5": ClientFill(D(0), D("10"))}),
        told("A5", "8", order_id=""),
    ]  # fmt: skip
    return ClientView(CLIENT, {one.first_cl_ord_id: one for one in orders})


def broker_side() -> BrokerView:
    """What the broker recorded."""
    first = [broker_fill("A1", "X1", 60, "10", "X7"), broker_fill("A1", "X2", 40, "11")]
    second = [broker_fill("A3", "X4", 30, "10"), broker_fill("A3", "X5", 0, "10", "X6")]
    orders = [
        held("A1", "2", first),
        held("A3", "4", second, ids=["CA3", "CA4"], qty=D(80), life="canceled"),
    ]
    return BrokerView(
        BROKER,
        "4.2",
        orders={one.first_cl_ord_id: one for one in orders},
        fills={one.exec_id: one for one in (*first, *second)},
    )


def ledger() -> Snapshot:
    """What the ledger has."""
    return Snapshot(
        orders=(
            order("A1", "2", cum_qty=D(100), avg_px=D("10.4")),
            order("A2", "8", price=D("10.001"), life="rejected"),
            order("A3", "4", cl_ord_id="A4", order_qty=D(80), cum_qty=D(30), avg_px=D("10"), life="canceled"),
        ),
        children=(child("A1", cum_qty=D(100)), child("A3", cl_ord_id="CA4", cum_qty=D(30), life="canceled")),
        fills=(
            fill("A1", "X1", 50, "10"),
            fill("A1", "X2", 40, "11"),
            fill("A1", "X3", 55, "10", "correct", "X1"),
            fill("A1", "X7", 60, "10", "correct", "X3"),
            fill("A3", "X4", 30, "10"),
            fill("A3", "X5", 20, "10"),
            fill("A3", "X6", 20, "10", "bust", "X5"),
        ),
    )


def agreeing() -> Views:
    """Three views that agree."""
    arrivals = {BROKER: {"CA1": 1, "CA3": 1}}
    return Views({CLIENT: client_side()}, {BROKER: broker_side()}, ledger(), arrivals)


def with_ledger(views: Views, **parts: Any) -> Views:
    """The views with other rows in the ledger."""
    return replace(views, ledger=replace(views.ledger, **parts))
