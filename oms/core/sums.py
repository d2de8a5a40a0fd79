"""What is summed for the limits: of which orders, by which keys, and what an order adds at its worst.

A projection is a tuple of DIMENSIONS; each combination of values in it, and each currency, is a key with Totals of
its own (`oms.core.exposure` keeps them). Plain values and functions of an order as it stands; nothing is kept here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from oms.core import transitions as life
from oms.core.order import ZERO, Order
from oms.core.terms import Instrument

DIMENSIONS = ("client", "account", "trader", "symbol", "asset_class", "broker", "currency", "ord_type")
BUYS = frozenset("13")  # Side(54): buy, buy minus; every other side sells

Projection = tuple[str, ...]
Key = tuple[Projection, tuple[str, ...], str]  # projection, its values, currency


@dataclass(slots=True)
class Totals:
    """Sums of one key. Quantities in shares, money in the currency of the key; `net` is bought less sold, ever."""

    open_orders: int = 0
    open_buy: Decimal = ZERO
    open_sell: Decimal = ZERO
    open_buy_money: Decimal = ZERO
    open_sell_money: Decimal = ZERO
    day_qty: Decimal = ZERO
    day_money: Decimal = ZERO
    day_orders: int = 0
    net: Decimal = ZERO
    net_money: Decimal = ZERO
    day_replaces: int = 0
    day_cancels: int = 0
    day_fills: int = 0
    gross: Decimal = ZERO  # money of every symbol's position at its worst; only where a row asks for it
    unvalued: int = 0  # symbols with a position and without a reference price, which `gross` leaves out


NOTHING = Totals()  # of a key without any orders; never changed


class Part(NamedTuple):
    """What one order adds to the totals of its keys."""

    open_orders: int = 0
    open_qty: Decimal = ZERO
    open_money: Decimal = ZERO
    filled: Decimal = ZERO
    money: Decimal = ZERO


class Counted(NamedTuple):
    """What of an order is in the totals, and under which broker."""

    about: Mapping[str, str]
    part: Part
    replaces: int = 0  # requests of the client
    cancels: int = 0
    rests: Decimal | None = None  # the dearest (a sell: the cheapest) price it may rest at; None: it does not


UNCOUNTED = (Part(), 0, 0, None)


class Watched(NamedTuple):
    """What the rows look at besides the totals of their projections; what nobody looks at is not kept."""

    repeats: int = 0  # for so many seconds the terms of new orders are remembered
    requests: bool = False  # replaces and cancels of the day
    fills: bool = False  # executions of the day, and the last price of each symbol
    gross: frozenset[Projection] = frozenset()
    resting: frozenset[Projection] = frozenset()
    repeated: Mapping[Projection, tuple[int, int]] = {}  # so many executions at most in so many seconds


NO_MORE = Watched()


class Traded(NamedTuple):
    """Sums of orders of before a start: what traded ever (`net`, `net_money`) or on the present day."""

    about: Mapping[str, str]
    side: str
    filled: Decimal
    money: Decimal
    orders: int
    of_day: bool
    replaces: int = 0
    cancels: int = 0
    fills: int = 0


class Lately(NamedTuple):
    """What of before a start still matters for a while: orders as taken, executions, last prices of the day."""

    terms: Iterable[tuple[datetime, tuple[object, ...]]] = ()  # as `terms_of`, oldest first
    executed: Iterable[
        tuple[datetime, Mapping[str, str], str]
    ] = ()  # first ones: when, about, Side(54); oldest first
    last_px: Mapping[str, Decimal] = {}


def about_order(order: Order, instrument: Instrument | None, broker: str = "") -> dict[str, str]:
    """An order's value in each dimension; `broker` is that of the child at work, or the one it is to go to."""
    child = order.child
    return {
        "client": order.client,
        "account": order.account,
        "trader": order.trader,
        "symbol": order.symbol,
        "asset_class": instrument.asset_class if instrument is not None else "",
        "broker": broker or (child.broker if child is not None else ""),
        "currency": instrument.currency if instrument is not None else "",
        "ord_type": order.ord_type,
    }


def value_of(qty: Decimal, price: Decimal | None, stop_px: Decimal | None, instrument: Instrument | None) -> Decimal:
    """Quantity times the dearest price the order may trade at; a market order is valued at the reference price."""
    prices = [one for one in (price, stop_px) if one is not None]
    if price is None and instrument is not None and instrument.reference_price is not None:
        prices.append(instrument.reference_price)
    return qty * max(prices) if prices else ZERO


def part_of(order: Order, instrument: Instrument | None) -> Part:
    """What an order adds, at its worst: pending replaces count as if taken where that is more."""
    qty, price, stop_px = order.leaves_qty, order.price, order.stop_px
    if order.life == life.RECEIVED and not order.children:
        qty = ZERO  # not accepted yet
    money = value_of(qty, price, stop_px, instrument)
    if qty and order.requests:
        for request in order.pending_requests:
            if request.kind == "G" and request.order_qty is not None:
                wanted = max(request.order_qty - order.cum_qty, ZERO)
                qty = max(qty, wanted)
                money = max(money, value_of(wanted, request.price, request.stop_px, instrument))
    return Part(1 if qty else 0, qty, money, order.cum_qty, order.notional)


def worst_position(totals: Totals, buys: Decimal = ZERO, sells: Decimal = ZERO) -> Decimal:
    """Shares of the position, long or short, if one side of what is open trades and the other does not."""
    return max(abs(totals.net + totals.open_buy + buys), abs(totals.net - totals.open_sell - sells))


def with_symbol(projection: Projection) -> Projection:
    """The projection whose keys are those of this one, symbol by symbol."""
    return tuple([name for name in DIMENSIONS if name in projection or name == "symbol"])


def terms_of(order: Order) -> tuple[object, ...]:
    """What makes two orders the same: client, account, symbol, side, quantity, prices."""
    return (
        order.client,
        order.account,
        order.symbol,
        order.side,
        order.original_order_qty,
        order.original_price,
        order.original_stop_px,
    )
