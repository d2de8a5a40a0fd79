"""What an order must be after each row of a scenario, kept from the rows alone: the certification's own books.

Quantities and states are taken from the rows; shares and money from the trades, corrections and busts, so that
AvgPx(6) is computed here and not believed. Prices that the rows do not name are made up, another for every trade.
At the end the ledger is held against this: `Account` for the order, `Booked` for each of its fills.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from typing import NamedTuple

from oms.certify.scenario import Row
from oms.certify.versions import Fields
from oms.sim.wire import plain

_ZERO = Decimal(0)
_AVG_PX_STEP = Decimal("0.00000001")
_FIRST_PRICE, _PRICE_STEP = Decimal("100.25"), Decimal("0.37")
TRADE, CORRECT, BUST, RESTATED, STATUS = "F", "G", "H", "D", "I"
KINDS = {TRADE: "trade", CORRECT: "correct", BUST: "bust"}


class Booked(NamedTuple):
    """A row of the ledger's fills, with the broker's ids."""

    kind: str
    exec_id: str
    exec_ref_id: str
    last_qty: Decimal
    last_px: Decimal


@dataclass(slots=True)
class Execution:
    """A trade as it stands: what it was first, or what a correction made of it."""

    exec_id: str
    last_qty: Decimal
    last_px: Decimal


@dataclass(slots=True)
class Account:
    """One order. Ids with no further word are the client's."""

    cl_ord_id: str  # of the order, later of the last replace that was accepted
    broker_order_id: str
    terms: Fields  # Side(54), Price(44) and whatever else of the order is asked for again by a replace
    first_cl_ord_id: str = ""
    order_id: str = ""  # OrderID(37) as the client was told
    at_broker: bool = False  # the broker has told its OrderID(37)
    cl_ord_id_at_broker: str = ""
    ord_status: str = ""
    order_qty: Decimal = _ZERO
    cum_qty: Decimal = _ZERO
    leaves_qty: Decimal = _ZERO
    notional: Decimal = _ZERO
    executions: dict[str, Execution] = field(default_factory=dict)  # by the letter of the last ExecID(17)
    booked: list[Booked] = field(default_factory=list)
    items: list[str] = field(default_factory=list)  # kinds of exception items that must be open

    def __post_init__(self) -> None:
        self.first_cl_ord_id = self.cl_ord_id

    @property
    def avg_px(self) -> Decimal:
        """AvgPx(6) as it must be: to eight decimals, half to even."""
        if not self.cum_qty:
            return _ZERO
        return (self.notional / self.cum_qty).quantize(_AVG_PX_STEP, ROUND_HALF_EVEN)

    def book(self, row: Row, letter: str, exec_id: str) -> Fields:
        """Take over a broker's report; returns LastPx(31) and AvgPx(6) to be said with it.

        `letter` stands for its ExecID(17), `exec_id` is the broker's own.
        """
        fields, kind = row.fields, row.fields["150"]
        made: Fields = {}
        if kind in KINDS:
            made["31"] = plain(self._trade(kind, fields, letter, exec_id))
        elif kind == RESTATED and Decimal(fields["14"]) != self.cum_qty:
            self._split(Decimal(fields["14"]), exec_id)
        made["6"] = plain(self.avg_px)
        if kind == STATUS:
            return made
        for name, tag in (("order_qty", "38"), ("leaves_qty", "151"), ("cum_qty", "14")):
            if tag in fields:
                setattr(self, name, Decimal(fields[tag]))
        self.ord_status = fields["39"]
        return made

    def _trade(self, kind: str, fields: Fields, letter: str, exec_id: str) -> Decimal:
        qty = Decimal(fields["32"])
        ref = self.executions.pop(fields["19"]) if kind != TRADE else Execution("", _ZERO, _ZERO)
        made_up = _FIRST_PRICE + _PRICE_STEP * len(self.booked) if kind == TRADE else ref.last_px
        price = Decimal(fields["31"]) if "31" in fields else made_up
        self._add(-ref.last_qty, ref.last_px)
        if kind != BUST:
            self._add(qty, price)
            self.executions[letter] = Execution(exec_id, qty, price)
        self.booked.append(Booked(KINDS[kind], exec_id, ref.exec_id, qty, price))
        return price

    def _add(self, qty: Decimal, price: Decimal) -> None:
        self.cum_qty += qty
        self.notional += qty * price

    def _split(self, cum_qty: Decimal, exec_id: str) -> None:
        """A stock split: what has traded is restated with the order, the money stays.

        The ledger names each correction `<ExecID(17) of the restatement>:<that of the execution>`.
        """
        ratio = cum_qty / self.cum_qty
        for letter, one in list(self.executions.items()):
            qty, price, own_id = one.last_qty * ratio, one.last_px / ratio, f"{exec_id}:{one.exec_id}"
            self.executions[letter] = Execution(own_id, qty, price)
            self.booked.append(Booked("correct", own_id, one.exec_id, qty, price))
        self.cum_qty = cum_qty

    def refused(self, row: Row) -> None:
        """Take over an OrderCancelReject(9): the order is as it says."""
        self.ord_status = row.fields["39"]

    def replaced(self, cl_ord_id: str, cl_ord_id_at_broker: str) -> None:
        """A replace was accepted: the order goes on under its id."""
        self.cl_ord_id, self.cl_ord_id_at_broker = cl_ord_id, cl_ord_id_at_broker
