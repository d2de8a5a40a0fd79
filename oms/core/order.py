"""The canonical order: a client's intent (parent), what a broker holds of it (child), and requests beside it.

Limits: quantities move only by what `executions` says of a report (`count`); life moves only through
`transitions.next_state`; pending is a property of a request, never of an order.
Invariant (I4): cum_qty is the sum of the live executions, leaves_qty follows from it.
Owned by the core thread; nothing here is shared.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING

from oms.core import tags as t
from oms.core import transitions as life
from oms.core.executions import Change, Entry, Execution, Told, correct

if TYPE_CHECKING:  # totals are made of orders
    from oms.core.exposure import Counted

ZERO = Decimal(0)
_AVG_PX_STEP = Decimal("0.00000001")

HELD, SENT, PENDING, ACCEPTED, REFUSED = "held", "sent", "pending", "accepted", "rejected"
OPEN_REQUEST = frozenset({HELD, SENT, PENDING})
OVER_NIGHT = ("1", "6")  # TimeInForce(59) good till cancel, good till date: the day's end leaves them alive


def decimal_text(value: Decimal) -> str:
    """A decimal as FIX has it: digits and a point, no exponent, no needless zeros."""
    text = str(value)
    if "E" in text:
        text = format(value, "f")  # three times as slow, and hardly ever needed
    return text.rstrip("0").rstrip(".") if "." in text else text


def cancel_id_of(broker_cl_ord_id: str) -> str:
    """ClOrdID(11) of the cancel that goes before the new order of a replace: that of the request, with K for C."""
    return "K" + broker_cl_ord_id[1:]


_OUR_LENGTH = 10


def request_id_of(cl_ord_id: str) -> str:
    """The request's own id, whether a broker quotes it or the cancel that goes before its new order."""
    return "C" + cl_ord_id[1:] if is_for_replace(cl_ord_id) else cl_ord_id


def is_ours(cl_ord_id: str) -> bool:
    """Whether a ClOrdID(11) looks like one that we gave to a broker."""
    return len(cl_ord_id) == _OUR_LENGTH and cl_ord_id[0] in "CK"


def is_made_here(cl_ord_id: str) -> bool:
    """Whether it looks like an id of ours for a child or a request, those of adopted orders included."""
    return len(cl_ord_id) == _OUR_LENGTH and cl_ord_id[0] in "CKA"


def is_for_replace(cl_ord_id: str) -> bool:
    """Whether a ClOrdID(11) of ours is of a cancel that goes before the new order of a replace."""
    return cl_ord_id.startswith("K")


@dataclass(slots=True)
class Request:
    """One cancel (F) or replace (G) of a client, with the id it has on either side."""

    seq: int
    client: str
    trade_date: date
    kind: str
    cl_ord_id: str
    orig_cl_ord_id: str
    order_id: str
    broker_cl_ord_id: str
    state: str = SENT
    order_qty: Decimal | None = None
    price: Decimal | None = None
    stop_px: Decimal | None = None
    body: tuple[tuple[str, str], ...] = ()  # of a replace done by cancel and new: kept until the new order is taken

    @property
    def of_mass_cancel(self) -> bool:
        """A cancel that a mass cancel asked for: `cl_ord_id` is ours to tell it apart, the client has none for it."""
        return self.kind == "F" and not self.orig_cl_ord_id


@dataclass(slots=True)
class Child:
    """What one broker holds of an order."""

    child_id: str
    order_id: str
    broker: str
    route_rule: str
    order_qty: Decimal
    price: Decimal | None
    stop_px: Decimal | None
    sent_seq: int
    last_seq: int
    cl_ord_id: str = ""
    broker_order_id: str = ""
    life: str = life.ROUTED
    cum_qty: Decimal = ZERO
    executions: dict[str, Execution] = field(default_factory=dict)
    exec_ids: set[str] = field(default_factory=set)
    booked: dict[str, date] = field(default_factory=dict)  # ExecID(17) of what is in the fill ledger -> trade date
    manual: dict[str, str] = field(default_factory=dict)  # ExecID(17) of what was entered by hand -> to the client
    same_as: dict[str, str] = field(default_factory=dict)  # ExecID(17) of the broker -> under which it was entered
    kept: dict[str, list[Entry]] = field(default_factory=dict)  # ExecRefID(19) not heard of yet -> what amends it
    told: Told = field(default_factory=Told)
    life_cum_qty: Decimal | None = None  # CumQty(14) in the report that brought the present life
    heard: int = field(default=0, compare=False)  # journal row of the broker's last word; 0 after a start
    body: tuple[tuple[str, str], ...] = ()  # the order as sent, kept until the broker answers
    status_requests: list[str] = field(default_factory=list)  # ClOrdIDs of the client awaiting an answer


@dataclass(slots=True)
class Order:
    """A client's order: original and working terms, identifiers, quantities, children and requests."""

    order_id: str
    client: str
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
    trade_date: date
    received_at: datetime
    new_seq: int
    last_seq: int
    cl_ord_id: str = ""
    order_qty: Decimal = ZERO
    price: Decimal | None = None
    stop_px: Decimal | None = None
    cum_qty: Decimal = ZERO
    notional: Decimal = ZERO
    life: str = life.RECEIVED
    reason: str | None = None
    children: list[Child] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    to_broker: dict[str, str] = field(default_factory=dict)  # client ClOrdID(11) -> broker ClOrdID(11)
    to_client: dict[str, str] = field(default_factory=dict)  # and back
    open_items: dict[str, str] = field(default_factory=dict)  # exception kind -> item id
    counted: Counted | None = field(default=None, compare=False, repr=False)  # its part in the totals of limits
    replaced_at: datetime | None = field(default=None, compare=False)  # last passed on, in this run
    filled_at: datetime | None = field(default=None, compare=False)  # the last fill, in this run
    marked: tuple[Decimal, Decimal] = field(default=(ZERO, ZERO), compare=False, repr=False)  # its part in losses

    @property
    def child(self) -> Child | None:
        """The child that is at work now: the last one routed."""
        return self.children[-1] if self.children else None

    def child_before(self, seq: int) -> Child | None:
        """The child that was at work when a journal row was written."""
        return next((child for child in reversed(self.children) if child.sent_seq < seq), None)

    @property
    def leaves_qty(self) -> Decimal:
        """LeavesQty(151): what may still trade, in shares."""
        if self.life in life.TERMINAL or self.life == life.CALCULATED:
            return ZERO
        if self.life == life.DONE_FOR_DAY and self.time_in_force not in OVER_NIGHT:
            return ZERO
        left = self.order_qty - self.cum_qty
        return left if left > ZERO else ZERO

    @property
    def avg_px(self) -> Decimal:
        """AvgPx(6): follows from the executions, rounded half-even to eight decimals; 0 without fills."""
        if not self.cum_qty:
            return ZERO
        return (self.notional / self.cum_qty).quantize(_AVG_PX_STEP, ROUND_HALF_EVEN)

    @property
    def pending_requests(self) -> list[Request]:
        """Requests without an answer yet, oldest first."""
        return [request for request in self.requests if request.state in OPEN_REQUEST]

    @property
    def finished(self) -> bool:
        """Nothing more is expected: it may leave memory (late news brings it back from the ledger)."""
        done = self.life in life.TERMINAL or (self.life not in life.UNACKNOWLEDGED and not self.leaves_qty)
        return done and not (self.requests and self.pending_requests)

    def link(self, cl_ord_id: str, broker_cl_ord_id: str) -> None:
        """Note that the two sides' ids name the same request."""
        self.to_broker[cl_ord_id] = broker_cl_ord_id
        self.to_client[broker_cl_ord_id] = cl_ord_id

    def take(self, request: Request) -> None:
        """A request of this order, under the ids that the two sides have for it."""
        self.requests.append(request)
        if not request.of_mass_cancel:
            self.link(request.cl_ord_id, request.broker_cl_ord_id)

    def used(self, cl_ord_id: str) -> tuple[int, date]:
        """Journal row and trading day in which the client used a ClOrdID(11) of this order last; row 0: never."""
        for one in reversed(self.requests):
            if one.cl_ord_id == cl_ord_id and not one.of_mass_cancel:
                return one.seq, one.trade_date
        return self.new_seq if cl_ord_id == self.original_cl_ord_id else 0, self.trade_date

    def told(self, request: Request) -> dict[str, str]:
        """ClOrdID(11) and OrigClOrdID(41) that a report to the client has for a request."""
        if request.of_mass_cancel:
            return {t.CL_ORD_ID: self.cl_ord_id}
        return {t.CL_ORD_ID: request.cl_ord_id, t.ORIG_CL_ORD_ID: request.orig_cl_ord_id}

    def refused(self, request: Request, orig_cl_ord_id: str = "") -> dict[str, str]:
        """The ids that an OrderCancelReject(9) has for a request: of a mass cancel's part, those of q and order."""
        if request.of_mass_cancel:
            return {"cl_ord_id": request.cl_ord_id.rpartition("/")[0], "orig_cl_ord_id": self.cl_ord_id}
        return {"cl_ord_id": request.cl_ord_id, "orig_cl_ord_id": orig_cl_ord_id or request.orig_cl_ord_id}

    def request_by_broker_id(self, broker_cl_ord_id: str) -> Request | None:
        """The request that went to the broker under this ClOrdID(11), or under that of its cancel (cancel_new)."""
        wanted = request_id_of(broker_cl_ord_id)
        for request in self.requests:
            if request.broker_cl_ord_id == wanted:
                return request
        return None


def count(order: Order, change: Change) -> None:
    """Shares and money of the order follow those of its child."""
    order.cum_qty += change.qty
    order.notional += change.money


def correct_trade(order: Order, child: Child, ref: Execution, exec_id: str, new: Execution) -> None:
    """A fill is restated: the old execution is dead, the new one counts."""
    count(order, correct(child, ref, exec_id, new))
