"""What the ledger's tables hold, as plain values for people, reports and the CLI.

The fields of a record that stands for a row are the columns of its table, under the same names; a test holds the
two together. Quantities are shares, prices in the instrument's currency (Decimal), times aware and in UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any


@dataclass(frozen=True, slots=True)
class ClientOrder:
    """A row of client_orders."""

    order_id: str
    client: str
    cl_ord_id: str
    original_cl_ord_id: str
    account: str
    trader: str
    symbol: str
    security_exchange: str
    side: str
    ord_type: str
    time_in_force: str
    ex_destination: str
    original_order_qty: Decimal
    original_price: Decimal | None
    original_stop_px: Decimal | None
    order_qty: Decimal
    price: Decimal | None
    stop_px: Decimal | None
    cum_qty: Decimal
    leaves_qty: Decimal
    avg_px: Decimal
    notional: Decimal
    life: str
    ord_status: str
    finished: bool
    reason: str | None
    trade_date: date
    received_at: datetime
    new_seq: int
    last_seq: int


@dataclass(frozen=True, slots=True)
class ChildOrder:
    """A row of child_orders."""

    child_id: str
    order_id: str
    broker: str
    cl_ord_id: str
    broker_order_id: str
    route_rule: str
    order_qty: Decimal
    price: Decimal | None
    stop_px: Decimal | None
    cum_qty: Decimal
    life: str
    finished: bool
    sent_seq: int
    last_seq: int


@dataclass(frozen=True, slots=True)
class Request:
    """A row of requests."""

    seq: int
    client: str
    trade_date: date
    cl_ord_id: str
    orig_cl_ord_id: str
    order_id: str
    kind: str
    broker_cl_ord_id: str
    state: str
    order_qty: Decimal | None
    price: Decimal | None
    stop_px: Decimal | None


@dataclass(frozen=True, slots=True)
class Fill:
    """A row of fills."""

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
    sending_time: datetime | None
    received_at: datetime
    seq: int
    origin: str = "broker"


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What one witness tells of a fill, and whether it tells the same. The order session's word is the fill itself.

    `witness`: order session, drop copy, file; manual where people entered the fill.
    """

    witness: str
    agrees: bool
    quantity: Decimal | None
    price: Decimal | None
    seq: int
    at: datetime


@dataclass(frozen=True, slots=True)
class SessionPosition:
    """A row of session_positions."""

    session: str
    role: str
    epoch: int
    in_msg_seq_num: int
    out_seq: int
    out_msg_seq_num: int
    logged_on: bool
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class ExceptionItem:
    """A row of exception_items."""

    item_id: str
    opened_at: datetime
    kind: str
    severity: str
    owner: str
    session: str
    order_id: str | None
    seq: int
    text: str
    state: str
    resolution: str | None
    resolved_at: datetime | None


@dataclass(frozen=True, slots=True)
class Send:
    """A row of sends: what became of an outgoing message."""

    seq: int
    session: str
    outcome: str
    msg_seq_num: int | None
    sent_at: datetime
    reason: str | None


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """A row of the journal, with the time its batch was committed and what became of it if it went out."""

    seq: int
    batch: int
    kind: str
    session: str
    msg_type: str
    msg_seq_num: int | None
    order_id: str | None
    cause: int | None
    sending_time: datetime | None
    received_at: datetime
    trade_date: date
    raw: bytes
    detail: dict[str, Any] | None
    committed_at: datetime | None
    send: Send | None

    @property
    def command(self) -> Command | None:
        """What an operator commanded by this row, None where it is not of an operator."""
        if self.kind != "operator" or not self.detail:
            return None
        operator, verb, args = self.detail["matter"]
        return Command(operator, verb, dict(args))


@dataclass(frozen=True, slots=True)
class Command:
    """An operator's command: who, what, and with which arguments."""

    operator: str
    verb: str
    args: dict[str, str]


@dataclass(frozen=True, slots=True)
class ItemStory:
    """An exception item, the journal row that raised it, and what operators did about it."""

    item: ExceptionItem
    evidence: JournalEntry | None
    history: tuple[JournalEntry, ...]
    closed: JournalEntry | None = None  # the row by which it was resolved by rule, where that is known


@dataclass(frozen=True, slots=True)
class KilledOrder:
    """An order that was alive in the scope of a kill switch, and what became of it since.

    `outcome`: canceled, filled (while it was being canceled), ended (rejected, expired) or unanswered.
    """

    order_id: str
    client: str
    cl_ord_id: str
    account: str
    symbol: str
    broker: str
    cum_qty: Decimal
    leaves_qty: Decimal
    outcome: str


@dataclass(frozen=True, slots=True)
class Match:
    """An order that an identifier names, and which identifier of it that is."""

    order: ClientOrder
    matched: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OrderStory:
    """Everything the ledger has about one order; each part in the order in which it happened."""

    order: ClientOrder
    children: tuple[ChildOrder, ...]
    requests: tuple[Request, ...]
    fills: tuple[Fill, ...]
    items: tuple[ExceptionItem, ...]
    entries: tuple[JournalEntry, ...]
    witnesses: Mapping[str, list[Confirmation]] = field(default_factory=dict)  # of fills, by client_exec_id


@dataclass(frozen=True, slots=True)
class SessionActivity:
    """A session with what it has been doing: today's orders and fills, and those still alive."""

    position: SessionPosition
    orders_today: int
    live_orders: int
    fills_today: int
    waiting: int  # messages for it that have not left
