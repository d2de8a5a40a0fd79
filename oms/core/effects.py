"""What a batch of events makes happen: messages to leave and rows to write, collected, not done.

One `Effects` per batch, filled by the core thread and read by the flow. Orders, children and requests are held
by reference and written once per batch in their last state; fills, items and messages are facts in order.
`detail` is the decision about the event in hand: it goes into the journal row of that event, and replay reads
it back instead of deciding again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, ClassVar, NamedTuple

from oms.core.messages import Outgoing
from oms.core.order import Child, Order, Request

BROKER, MANUAL = "broker", "manual"  # origins of a fill: reported on the order session, or entered by hand


class Fill(NamedTuple):
    """One row of the fill ledger: a trade, a correction or a bust, as its broker reported it or people entered it."""

    client_exec_id: str
    broker: str
    trade_date: date
    exec_id: str
    exec_ref_id: str
    kind: str
    order_id: str | None
    child_id: str | None
    account: str
    symbol: str
    side: str
    last_qty: Decimal
    last_px: Decimal
    transact_time: datetime | None
    received_at: datetime
    seq: int
    origin: str = BROKER


class Witness(NamedTuple):
    """What another witness than the order session tells of an execution. A figure it does not state is None."""

    broker: str
    trade_date: date
    exec_id: str
    witness: str
    kind: str
    quantity: Decimal | None
    price: Decimal | None
    seq: int
    at: datetime
    cl_ord_id: str = ""
    account: str = ""
    symbol: str = ""
    side: str = ""


class Price(NamedTuple):
    """The reference price of a symbol: as of when, who gave it, and the journal row that took it."""

    symbol: str
    price: Decimal
    at: datetime
    source: str
    seq: int


@dataclass(slots=True)
class Item:
    """One exception item: something that contradicts what we know, for a person to close."""

    item_id: str
    opened_at: datetime
    kind: str
    severity: str
    owner: str
    session: str
    order_id: str | None
    seq: int
    text: str
    state: str = "open"
    resolution: str | None = None
    resolved_at: datetime | None = None
    changes: bool = False  # of an item that is there: '' and None leave its state, owner and resolution as they are

    FIELDS: ClassVar[tuple[str, ...]] = (
        "item_id", "opened_at", "kind", "severity", "owner", "session", "order_id", "seq", "text", "state",
        "resolution", "resolved_at",
    )  # fmt: skip


@dataclass(slots=True)
class Effects:
    """Everything one batch brings about."""

    outgoing: list[Outgoing] = field(default_factory=list)
    orders: dict[str, Order] = field(default_factory=dict)
    children: dict[str, Child] = field(default_factory=dict)
    requests: dict[int, Request] = field(default_factory=dict)
    fills: list[Fill] = field(default_factory=list)
    witnesses: list[Witness] = field(default_factory=list)
    items: dict[str, Item] = field(default_factory=dict)
    sessions: set[str] = field(default_factory=set)
    prices: dict[str, Price] = field(default_factory=dict)
    detail: dict[str, Any] = field(default_factory=dict)
    order_id: str | None = None
    touched: list[Order] = field(default_factory=list)  # by the event in hand
    answer: dict[str, Any] | None = None  # to the operator whose command is in hand

    def begin(self) -> None:
        """A new event is taken up."""
        self.detail = {}
        self.order_id = None
        self.answer = None
        self.touched.clear()

    def touch(self, order: Order, seq: int) -> None:
        """The order (and its child) changed because of journal row `seq`."""
        order.last_seq = seq
        self.orders[order.order_id] = order
        self.touched.append(order)
        self.order_id = order.order_id
        child = order.child
        if child is not None:
            child.last_seq = seq
            self.children[child.child_id] = child
