"""An order as the simulated broker keeps it: parameters, fills, requests, and the OrdStatus(39) they give.

Pure values: no I/O, no clock. Three things decide OrdStatus(39), ranked as the standard ranks them: a request
announced as pending, the order's life, and its fills. `ids` is the chain of accepted ClOrdIDs, the last in force.
Invariants: CumQty(14) and AvgPx(6) follow from the net fills; LeavesQty(151) is zero once the order is dead.
An order becomes JSON and comes back the same (`order_to_json`, `order_from_json`): that is how it survives a crash.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Literal

from pydantic import TypeAdapter

from oms.sim.script import Step
from oms.sim.wire import Message, decimal_of

ZERO = Decimal(0)
AVG_PX_STEP = Decimal("0.00000001")
BUY = "1"  # Side(54); every other side sells
MARKET, LIMIT, STOP, STOP_LIMIT = "1", "2", "3", "4"  # OrdType(40)
IOC, FOK = "3", "4"  # TimeInForce(59)

# received: not acknowledged. done: done for the day. The last four are dead: nothing is left to fill.
Life = Literal["received", "pending_new", "working", "canceled", "rejected", "expired", "done"]
DEAD = frozenset({"canceled", "rejected", "expired", "done"})
STATUS_OF_LIFE = {"canceled": "4", "rejected": "8", "expired": "C", "done": "3"}


@dataclass(slots=True)
class Fill:
    """One execution, net: `exec_id` is the latest ExecID(17) that speaks of it, zero quantity once it is busted."""

    exec_id: str
    qty: Decimal
    px: Decimal


@dataclass(slots=True)
class Request:
    """A cancel (F) or replace (G) not yet answered: its new parameters, and whether it was announced as pending."""

    msg_type: str
    cl_ord_id: str
    qty: Decimal | None = None
    price: Decimal | None = None
    stop_px: Decimal | None = None
    ord_type: str = ""
    tif: str = ""
    pending: bool = False
    due: datetime | None = None


@dataclass(slots=True)
class SimOrder:
    """One order at the broker. `cl_ord_id` is the one in force; `trace` is tag 7001, uninterpreted."""

    order_id: str
    ids: list[str]
    symbol: str
    side: str
    ord_type: str
    tif: str
    qty: Decimal
    price: Decimal | None = None
    stop_px: Decimal | None = None
    account: str = ""
    text: str = ""
    trace: str = ""
    echo: dict[int, str] = field(default_factory=dict)
    life: Life = "received"
    replaced: bool = False
    triggered: bool = False
    silent: bool = False
    market: bool = False
    fills: list[Fill] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    due: datetime | None = None

    @property
    def cl_ord_id(self) -> str:
        """The ClOrdID(11) in force."""
        return self.ids[-1]

    @property
    def cum_qty(self) -> Decimal:
        """CumQty(14) over the whole chain, net of busts and corrections."""
        return sum((fill.qty for fill in self.fills), ZERO)

    @property
    def avg_px(self) -> Decimal:
        """AvgPx(6), zero without fills, to eight decimals."""
        cum = self.cum_qty
        if not cum:
            return ZERO
        return (sum((f.qty * f.px for f in self.fills), ZERO) / cum).quantize(AVG_PX_STEP, ROUND_HALF_EVEN)

    @property
    def dead(self) -> bool:
        """Whether the broker ended it otherwise than by filling it."""
        return self.life in DEAD

    @property
    def leaves_qty(self) -> Decimal:
        """LeavesQty(151): zero when dead, and never negative, whatever was overfilled."""
        return ZERO if self.dead else max(self.qty - self.cum_qty, ZERO)

    @property
    def open(self) -> bool:
        """Whether it can still fill in the ordinary way."""
        return not self.dead and self.leaves_qty > 0

    def ord_status(self, version: str) -> str:
        """OrdStatus(39): the highest-ranked of the states it is in. Replaced (5) exists in 4.2 only."""
        announced = {request.msg_type for request in self.requests if request.pending}
        if announced:
            return "6" if "F" in announced else "E"
        if self.life == "done":
            return "3"
        if self.cum_qty and self.cum_qty >= self.qty:
            return "2"
        if self.dead:
            return STATUS_OF_LIFE[self.life]
        if self.cum_qty:
            return "1"
        if self.replaced and version == "4.2":
            return "5"
        return "A" if self.life in ("received", "pending_new") else "0"

    def request_of(self, msg_type: str) -> Request | None:
        """The first unanswered request of a kind."""
        return next((request for request in self.requests if request.msg_type == msg_type), None)


# Instrument and party-free fields that every report repeats from the order as they came.
ECHOED = (15, 22, 48, 63, 65, 107, 167, 200, 207)


def order_of(message: Message, order_id: str) -> SimOrder:
    """The order that a NewOrderSingle(D) asks for; quantities that are no numbers become zero."""
    return SimOrder(
        order_id=order_id,
        ids=[message.get(11, "")],
        symbol=message.get(55, ""),
        side=message.get(54, ""),
        ord_type=message.get(40, ""),
        tif=message.get(59, "0"),
        qty=decimal_of(message.get(38)) or ZERO,
        price=decimal_of(message.get(44)),
        stop_px=decimal_of(message.get(99)),
        account=message.get(1, ""),
        text=message.get(58, ""),
        trace=message.get(7001, ""),
        echo={tag: message[tag] for tag in ECHOED if tag in message},
    )


def request_of(message: Message) -> Request:
    """The request that an OrderCancelRequest(F) or OrderCancelReplaceRequest(G) makes."""
    return Request(
        msg_type=message.type,
        cl_ord_id=message.get(11, ""),
        qty=decimal_of(message.get(38)),
        price=decimal_of(message.get(44)),
        stop_px=decimal_of(message.get(99)),
        ord_type=message.get(40, ""),
        tif=message.get(59, ""),
    )


_ORDERS: TypeAdapter[SimOrder] = TypeAdapter(SimOrder)


def order_to_json(order: SimOrder) -> dict[str, Any]:
    """The order as JSON values, defaults left out; decimals as text."""
    value: dict[str, Any] = _ORDERS.dump_python(order, mode="json", exclude_defaults=True)
    return value


def order_from_json(value: dict[str, Any]) -> SimOrder:
    """The order that `order_to_json` wrote."""
    return _ORDERS.validate_python(value)
