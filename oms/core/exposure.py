"""What is open and has traded, summed by any projection of an order: client, account, trader, symbol, broker...

A projection is a tuple of DIMENSIONS; every combination of values in it has totals of its own, and every currency,
because money of two currencies has no sum. Totals move only by what an order has become (`moved`, after each event),
never by time, but for those of the day, which begin anew with a trading day. What is pending counts at its worst: an
order that may be replaced by a larger one as the larger, one whose outcome is unknown as working.
Invariant: an order's part in the totals is noted on the order (`Order.counted`), so that nothing counts twice and
what leaves memory leaves no trace but the totals. Owned by the core thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from oms.core import transitions as life
from oms.core.order import ZERO, Order
from oms.core.terms import Instrument

DIMENSIONS = ("client", "account", "trader", "symbol", "asset_class", "broker", "currency")
BUYS = frozenset("13")  # Side(54): buy, buy minus; every other side sells
_SECOND = timedelta(seconds=1)
_ASKING = 10_000  # keys whose orders are counted by the second

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


class Traded(NamedTuple):
    """Sums of orders of before a start: what traded ever (`net`, `net_money`) or on the present day."""

    about: Mapping[str, str]
    side: str
    filled: Decimal
    money: Decimal
    orders: int
    of_day: bool


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


class Exposure:
    """Totals by key for the projections that some limit asks for."""

    def __init__(
        self, projections: Iterable[Projection], instruments: Mapping[str, Instrument], *, repeats: int = 0
    ) -> None:
        """`repeats`: for so many seconds the terms of new orders are remembered (`asked_before`)."""
        self._projections = tuple(sorted(set(projections)))
        self._instruments = instruments
        self._totals: dict[Key, Totals] = {}
        self._day = date.min
        self._repeats = timedelta(seconds=repeats)
        self._asks: dict[tuple[tuple[str, ...], tuple[str, ...]], deque[datetime]] = {}
        self._recent: dict[tuple[object, ...], datetime] = {}
        self._recent_order: deque[tuple[datetime, tuple[object, ...]]] = deque()

    def totals(self, projection: Projection, values: tuple[str, ...], currency: str, day: date) -> Totals:
        """The totals of a key; those of nothing where nothing was counted."""
        if day > self._day:
            self._roll(day)
        return self._totals.get((projection, values, currency)) or NOTHING

    def known(self, order: Order) -> None:
        """An order that came back from the ledger: its part is in the totals already."""
        instrument = self._instruments.get(order.symbol)
        order.counted = Counted(about_order(order, instrument), part_of(order, instrument))

    def moved(self, order: Order, day: date) -> None:
        """An order may have changed: move the totals by the difference."""
        self._roll(day)
        instrument = self._instruments.get(order.symbol)
        before: Counted | None = order.counted
        after = Counted(about_order(order, instrument), part_of(order, instrument))
        if before is None:
            before = Counted(after.about, Part())
            if order.children:
                self._remember(order)
                self._add_order(after.about)
        elif before == after:
            return
        order.counted = after
        if before.part == after.part == Part():
            return
        self._move(order.side, before, after)

    def load_live(self, orders: Iterable[Order]) -> None:
        """At a start: what is open of the live orders; what they traded is in `load_traded`."""
        for order in orders:
            self.known(order)
            counted = order.counted
            if counted is not None:
                open_only = counted.part._replace(filled=ZERO, money=ZERO)
                self._move(order.side, Counted(counted.about, Part()), Counted(counted.about, open_only))

    def load_traded(self, sums: Iterable[Traded], day: date) -> None:
        """At a start: what was traded before, of the day and ever."""
        self._roll(day)
        for one in sums:
            sign = 1 if one.side in BUYS else -1
            for projection in self._projections:
                totals = self._of(projection, one.about)
                if one.of_day:
                    totals.day_qty += one.filled
                    totals.day_money += one.money
                    totals.day_orders += one.orders
                else:
                    totals.net += sign * one.filled
                    totals.net_money += sign * one.money

    def keeps(self, projection: Projection) -> bool:
        """Whether there are totals of a projection."""
        return projection in self._projections

    # -- how many, lately ---------------------------------------------------------------------------------------

    def asks(self, counter: tuple[str, ...], values: tuple[str, ...], at: datetime, most: Decimal) -> int:
        """How many new orders and replaces there are in the second up to now with this one.

        One that is over `most` is not counted: a flood gets through at the rate that is allowed, and no more.
        """
        key = (counter, values)
        times = self._asks.get(key)
        if times is None:
            times = self._asks[key] = deque()
        begin = at - _SECOND
        while times and times[0] <= begin:
            times.popleft()
        asks = len(times) + 1
        if asks <= most:
            times.append(at)
        if len(self._asks) > _ASKING:  # names of traders are anybody's: they must not fill memory
            self._asks = {one: when for one, when in self._asks.items() if when and when[-1] > begin}
        return asks

    # -- the same order again ----------------------------------------------------------------------------------

    def asked_before(self, terms: tuple[object, ...], at: datetime, seconds: Decimal) -> datetime | None:
        """When a new order of the same terms was taken within so many seconds before `at`, None if none was."""
        then = self._recent.get(terms)
        return then if then is not None and at - then <= timedelta(seconds=int(seconds)) else None

    def _remember(self, order: Order) -> None:
        if not self._repeats:
            return
        at, terms = order.received_at, terms_of(order)
        self._recent[terms] = at
        self._recent_order.append((at, terms))
        while self._recent_order and at - self._recent_order[0][0] > self._repeats:
            then, old = self._recent_order.popleft()
            if self._recent.get(old) == then:
                del self._recent[old]

    # -- inside ------------------------------------------------------------------------------------------------

    def _roll(self, day: date) -> None:
        if day > self._day:
            self._day = day
            for totals in self._totals.values():
                totals.day_qty = totals.day_money = ZERO
                totals.day_orders = 0

    def _of(self, projection: Projection, about: Mapping[str, str]) -> Totals:
        return self._totals.setdefault(_key(projection, about), Totals())

    def _add_order(self, about: Mapping[str, str]) -> None:
        for projection in self._projections:
            self._of(projection, about).day_orders += 1

    def _move(self, side: str, before: Counted, after: Counted) -> None:
        buys = side in BUYS
        filled, money = after.part.filled - before.part.filled, after.part.money - before.part.money
        sign = 1 if buys else -1
        for projection in self._projections:
            old, new = self._of(projection, before.about), self._of(projection, after.about)
            for totals, part, way in ((old, before.part, -1), (new, after.part, 1)):
                totals.open_orders += way * part.open_orders
                if buys:
                    totals.open_buy += way * part.open_qty
                    totals.open_buy_money += way * part.open_money
                else:
                    totals.open_sell += way * part.open_qty
                    totals.open_sell_money += way * part.open_money
            if filled or money:
                new.day_qty += filled
                new.day_money += money
                new.net += sign * filled
                new.net_money += sign * money


def _key(projection: Projection, about: Mapping[str, str]) -> Key:
    return projection, tuple([about[name] for name in projection]), about["currency"]


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
