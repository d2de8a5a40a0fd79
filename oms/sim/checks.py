"""What a client may conclude from the reports it gets, and what in them must not be. Pure: no I/O, no clock.

A Statement follows every order of one client from the messages alone, in 4.2, 4.4 and 5.0 SP2, and returns a line of
text for each thing that must not be: an ExecID(17) told twice, CumQty(14) + LeavesQty(151) not OrderQty(38) while
the order lives, CumQty(14) or AvgPx(6) that the fills told do not give, an unknown ClOrdID(11), another OrderID(37),
an order that must be refused and was not. It is written from the client's side and shares nothing with the gateway.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from oms.sim.wire import Message, decimal_of, plain

ZERO = Decimal(0)
AVG_PX_TOLERANCE = Decimal("0.0001")  # AvgPx(6) is a quotient: the counterparty rounds it as it likes
FINAL = frozenset({"2", "3", "4", "8", "C"})  # OrdStatus(39): nothing more is to come in the ordinary way
LIVE = frozenset({"0", "1", "2", "5", "6", "A", "E"})  # OrdStatus(39) in which the quantities must add up
ENDINGS = frozenset({"3", "4", "8", "C"})  # ExecType(150) after which LeavesQty(151) may be zero
TRANS_42 = {"1": "H", "2": "G", "3": "I"}


@dataclass(slots=True)
class ClientFill:
    """One execution as told, net: zero quantity once busted."""

    qty: Decimal
    px: Decimal


@dataclass(slots=True)
class ClientOrder:
    """One order of the client. `fills` by the ExecID(17) first told; `requests` are those still unanswered."""

    ids: list[str]
    symbol: str
    side: str
    qty: Decimal
    price: Decimal | None = None
    ord_type: str = ""
    tif: str = ""
    expect_reject: bool = False
    order_id: str = ""
    ord_status: str = ""
    cum_qty: Decimal = ZERO
    leaves_qty: Decimal = ZERO
    avg_px: Decimal = ZERO
    fills: dict[str, ClientFill] = field(default_factory=dict)
    requests: dict[str, Message] = field(default_factory=dict)
    text: str = ""
    reject_reason: str = ""

    @property
    def first_cl_ord_id(self) -> str:
        """The ClOrdID(11) of the NewOrderSingle(D)."""
        return self.ids[0]

    @property
    def cl_ord_id(self) -> str:
        """The ClOrdID(11) in force."""
        return self.ids[-1]

    @property
    def answered(self) -> bool:
        """Whether any report came."""
        return self.ord_status != ""

    @property
    def finished(self) -> bool:
        """Whether nothing more is to come: final OrdStatus(39), every fill of CumQty(14) told, no request open."""
        return self.ord_status in FINAL and not self.requests and self.cum_qty == self.filled_qty

    @property
    def working(self) -> bool:
        """Whether it can still fill."""
        return self.ord_status not in FINAL

    @property
    def filled_qty(self) -> Decimal:
        """The sum of the fills told."""
        return sum((fill.qty for fill in self.fills.values()), ZERO)

    @property
    def filled_avg_px(self) -> Decimal:
        """The average price of the fills told, zero without any."""
        qty = self.filled_qty
        return sum((f.qty * f.px for f in self.fills.values()), ZERO) / qty if qty else ZERO


def exec_type_of(message: Message) -> str:
    """ExecType(150) in the words of 4.4: F, G, H and I also for what 4.2 says with ExecTransType(20)."""
    exec_type = message.get(150, "")
    if 20 in message:
        if message[20] in TRANS_42:
            return TRANS_42[message[20]]
        return "F" if exec_type in ("1", "2") else exec_type
    return exec_type


class Statement:
    """All orders of one client session. Not thread-safe: the owner holds a lock round every call."""

    def __init__(self) -> None:
        self.orders: dict[str, ClientOrder] = {}
        self.by_cl_ord_id: dict[str, ClientOrder] = {}
        self.repeats = 0  # reports told again and marked as possibly so: PossDupFlag(43) or PossResend(97)
        self._fills: dict[str, ClientFill] = {}  # by every ExecID(17) that spoke of the fill
        self._exec_ids: set[str] = set()

    def sent(self, message: Message, *, expect_reject: bool = False) -> ClientOrder | None:
        """Note a request of the client, before it leaves; returns its order, None where that is unknown."""
        cl_ord_id = message.get(11, "")
        if message.type == "D":
            order = ClientOrder(
                ids=[cl_ord_id],
                symbol=message.get(55, ""),
                side=message.get(54, ""),
                qty=decimal_of(message.get(38)) or ZERO,
                price=decimal_of(message.get(44)),
                ord_type=message.get(40, ""),
                tif=message.get(59, "0"),
                expect_reject=expect_reject,
            )
            self.orders[cl_ord_id] = self.by_cl_ord_id[cl_ord_id] = order
            return order
        known = self.by_cl_ord_id.get(message.get(41 if message.type in ("F", "G") else 11, ""))
        if known is not None and message.type in ("F", "G"):
            known.requests[cl_ord_id] = message
            self.by_cl_ord_id[cl_ord_id] = known
        return known

    def order_of(self, message: Message) -> ClientOrder | None:
        """The order that a message received speaks of, None where it is not ours."""
        for tag in (11, 41, 379):
            if message.get(tag) in self.by_cl_ord_id:
                return self.by_cl_ord_id[message[tag]]
        return None

    def received(self, message: Message) -> list[str]:
        """Take in one message; returns what is wrong with it."""
        order = self.order_of(message)
        if message.type not in ("8", "9", "j"):
            return [f"MsgType(35) {message.type} was not expected: {message}"]
        if order is None:
            return [f"unknown ClOrdID(11) {message.get(11) or message.get(379)}: {message}"]
        if message.type == "9":
            return self._cancel_reject(order, message)
        if message.type == "j":
            return self._business_reject(order, message)
        return self._execution(order, message)

    def _cancel_reject(self, order: ClientOrder, message: Message) -> list[str]:
        status = message.get(39, "")
        if order.answered and status and message.get(102) != "1":  # 1: unknown order, so not the status of this one
            order.ord_status = status
        if order.requests.pop(message.get(11, ""), None) is None and not _again(message):
            return [f"OrderCancelReject(9) for a request that is not open: {message}"]
        return []

    def _business_reject(self, order: ClientOrder, message: Message) -> list[str]:
        if order.requests.pop(message.get(379, ""), None) is None and not order.answered:
            order.ord_status, order.text = "8", message.get(58, "")
            order.reject_reason = message.get(380, "")
        return []

    def _execution(self, order: ClientOrder, message: Message) -> list[str]:
        exec_type, exec_id = exec_type_of(message), message.get(17, "")
        if exec_type != "I":
            if exec_id in self._exec_ids:
                if _again(message):
                    self.repeats += 1
                    return []
                return [f"ExecID(17) {exec_id} was told before: {message}"]
            self._exec_ids.add(exec_id)
        problems = self._book(order, message, exec_type, exec_id)
        self._answer_requests(order, message, exec_type)
        order.ord_status = message.get(39, "")
        order.cum_qty = decimal_of(message.get(14)) or ZERO
        order.leaves_qty = decimal_of(message.get(151)) or ZERO
        order.avg_px = decimal_of(message.get(6)) or ZERO
        if exec_type == "8":
            order.text, order.reject_reason = message.get(58, ""), message.get(103, "")
        return problems + self._judge(order, message, exec_type)

    def _book(self, order: ClientOrder, message: Message, exec_type: str, exec_id: str) -> list[str]:
        """Enter an execution, its bust or its correction into the order's fills."""
        qty, px = decimal_of(message.get(32)) or ZERO, decimal_of(message.get(31)) or ZERO
        if exec_type == "F":
            order.fills[exec_id] = self._fills[exec_id] = ClientFill(qty, px)
        elif exec_type in ("G", "H"):
            fill = self._fills.get(message.get(19, ""))
            if fill is None:
                return [f"ExecRefID(19) {message.get(19)} names no execution told before: {message}"]
            fill.qty, fill.px = (qty, px) if exec_type == "G" else (ZERO, fill.px)
            self._fills[exec_id] = fill
        return []

    def _answer_requests(self, order: ClientOrder, message: Message, exec_type: str) -> None:
        request_id = message.get(11, "")
        request = order.requests.get(request_id)
        if exec_type == "5":
            order.requests.pop(request_id, None)
            wanted = decimal_of(request.get(38)) if request is not None else None
            order.qty = decimal_of(message.get(38)) or wanted or order.qty
            if request is not None:
                order.price = decimal_of(request.get(44)) or order.price
            if request_id not in order.ids:
                order.ids.append(request_id)
        elif exec_type == "4":
            order.requests.pop(request_id, None)
        elif exec_type == "D":
            order.qty = decimal_of(message.get(38)) or order.qty
            order.price = decimal_of(message.get(44)) or order.price

    def _judge(self, order: ClientOrder, message: Message, exec_type: str) -> list[str]:
        problems: list[str] = []
        order_id = message.get(37, "")
        if order.order_id and order_id not in (order.order_id, "NONE"):
            problems.append(f"OrderID(37) was {order.order_id} before")
        if order_id != "NONE":
            order.order_id = order_id
        unknown = exec_type == "I" and order.ord_status == "8" and order_id == "NONE"
        if not unknown and exec_type not in ENDINGS:  # a pending request may outrank the end in OrdStatus(39)
            problems += _sums(order, message)
        if exec_type != "I":  # a status reply may overtake fills that are still to be told
            problems += _against_fills(order, message)
        if order.expect_reject and exec_type != "I" and order.ord_status != "8":
            problems.append("the order had to be refused")
            order.expect_reject = False  # said once
        return [f"{problem}: {message}" for problem in problems]


def _sums(order: ClientOrder, message: Message) -> list[str]:
    qty = decimal_of(message.get(38)) or order.qty
    if order.ord_status not in LIVE or order.cum_qty + order.leaves_qty == qty:
        return []
    parts = f"CumQty(14) {plain(order.cum_qty)} + LeavesQty(151) {plain(order.leaves_qty)}"
    return [f"{parts} is not OrderQty(38) {plain(qty)}"]


def _against_fills(order: ClientOrder, message: Message) -> list[str]:
    if order.cum_qty != order.filled_qty:
        return [f"CumQty(14) {plain(order.cum_qty)}, but the fills told are {plain(order.filled_qty)}"]
    if 6 in message and abs(order.avg_px - order.filled_avg_px) > AVG_PX_TOLERANCE:
        return [f"AvgPx(6) {plain(order.avg_px)}, but the fills told give {plain(order.filled_avg_px)}"]
    return []


def _again(message: Message) -> bool:
    return message.get(43) == "Y" or message.get(97) == "Y"
