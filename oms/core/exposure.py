"""What is open and has traded, summed by any projection of an order: client, account, trader, symbol, broker...

A projection is a tuple of DIMENSIONS; every combination of values in it has totals of its own, and every currency,
because money of two currencies has no sum. Totals move only by what an order has become (`moved`, after each event),
never by time, but for those of the day, which begin anew with a trading day. What is pending counts at its worst: an
order that may be replaced by a larger one as the larger, one whose outcome is unknown as working.
Invariants: an order's part in the totals is noted on the order (`Order.counted`), so that nothing counts twice and
what leaves memory leaves no trace but the totals; after a start the totals are those of before it, from the ledger
(`oms.ledger.traded`). Owned by the core thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal

from oms.core.order import ZERO, Order
from oms.core.resting import Repeated, Resting, resting_price
from oms.core.sums import (
    BUYS,
    DIMENSIONS,
    NO_MORE,
    NOTHING,
    UNCOUNTED,
    Counted,
    Key,
    Lately,
    Part,
    Projection,
    Totals,
    Traded,
    Watched,
    about_order,
    part_of,
    terms_of,
    value_of,
    with_symbol,
    worst_position,
)
from oms.core.terms import Instrument

__all__ = [
    "BUYS", "DIMENSIONS", "NOTHING", "Counted", "Exposure", "Key", "Lately", "Part", "Projection", "Totals", "Traded",
    "Watched", "about_order", "part_of", "terms_of", "value_of", "with_symbol", "worst_position",
]  # fmt: skip

_SECOND = timedelta(seconds=1)
_ASKING = 10_000  # keys whose orders are counted by the second


class Exposure:
    """Totals by key for the projections that some limit asks for."""

    def __init__(
        self,
        projections: Iterable[Projection],
        instruments: Mapping[str, Instrument],
        watched: Watched = NO_MORE,
    ) -> None:
        self._gross: dict[Projection, list[Projection]] = {}
        for one in sorted(watched.gross):
            self._gross.setdefault(with_symbol(one), []).append(one)
        self._projections = tuple(sorted({*projections, *self._gross}))
        self._instruments = instruments
        self._totals: dict[Key, Totals] = {}
        self._day = date.min
        self._watched = watched
        self._repeats = timedelta(seconds=watched.repeats)
        self._asks: dict[tuple[tuple[str, ...], tuple[str, ...]], deque[datetime]] = {}
        self._recent: dict[tuple[object, ...], datetime] = {}
        self._recent_order: deque[tuple[datetime, tuple[object, ...]]] = deque()
        self._worth: dict[Key, Decimal] = {}  # what a symbol adds to `gross`
        self.resting = Resting(watched.resting)
        self.repeated = Repeated(watched.repeated)
        self.last_px: dict[str, Decimal] = {}  # of the day's last own execution in a symbol

    @property
    def watched(self) -> Watched:
        """What is kept besides the totals."""
        return self._watched

    def on(self, day: date) -> Callable[[Key], Totals | None]:
        """The totals by their key, those of the day being those of this one."""
        if day > self._day:
            self._roll(day)
        return self._totals.get

    def totals(self, projection: Projection, values: tuple[str, ...], currency: str, day: date) -> Totals:
        """The totals of a key; those of nothing where nothing was counted."""
        if day > self._day:
            self._roll(day)
        return self._totals.get((projection, values, currency)) or NOTHING

    def known(self, order: Order) -> None:
        """An order that came back from the ledger: its part is in the totals already."""
        order.counted = self._counted(order)

    def moved(self, order: Order, day: date) -> None:
        """An order may have changed: move the totals by the difference."""
        self._roll(day)
        before: Counted | None = order.counted
        after = self._counted(order)
        if before is None:
            before = Counted(after.about, Part())
            if order.children:
                self._remember(order)
                self._add_order(after.about)
        elif before == after:
            return
        order.counted = after
        if before[1:] == after[1:] == UNCOUNTED:
            return
        self._move(order.side, before, after)
        if self._watched.resting and (before.rests, before.about) != (after.rests, after.about):
            self.resting.moved(order.side in BUYS, before, after)

    def executed(self, order: Order, price: Decimal, at: datetime) -> None:
        """A trade of an order that `moved` has counted already. Corrections and busts are none."""
        counted = order.counted
        if not self._watched.fills or counted is None:
            return
        for projection in self._projections:
            self._of(projection, counted.about).day_fills += 1
        self.last_px[order.symbol] = price
        if sum([len(child.executions) for child in order.children]) == 1:
            self.repeated.add(counted.about, order.side in BUYS, at)

    def revalue(self, symbol: str) -> None:
        """The reference price of a symbol is another one now: what its positions are worth follows."""
        for projection in self._gross:
            place = projection.index("symbol")
            for key in [key for key in self._totals if key[0] == projection and key[1][place] == symbol]:
                about = dict(zip(projection, key[1], strict=True)) | {"currency": key[2]}
                self._value(projection, about)

    def load_live(self, orders: Iterable[Order]) -> None:
        """At a start: what is open of the live orders; what they traded is in `load_traded`."""
        for order in orders:
            self.known(order)
            counted = order.counted
            if counted is not None:
                open_only = counted.part._replace(filled=ZERO, money=ZERO)
                self._move(order.side, Counted(counted.about, Part()), Counted(counted.about, open_only))
                if counted.rests is not None:
                    self.resting.moved(order.side in BUYS, Counted(counted.about, Part()), counted)

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
                    totals.day_replaces += one.replaces
                    totals.day_cancels += one.cancels
                    totals.day_fills += one.fills
                else:
                    totals.net += sign * one.filled
                    totals.net_money += sign * one.money
                if projection in self._gross:
                    self._value(projection, one.about)

    def load_lately(self, lately: Lately) -> None:
        """At a start, after `load_traded`: what matters for a while."""
        for at, terms in lately.terms:
            self._note_terms(at, terms)
        for at, about, side in lately.executed:
            self.repeated.add(about, side in BUYS, at)
        self.last_px.update(lately.last_px)

    def covers(self, other: Exposure) -> bool:
        """Whether all that another keeps is kept here, alike."""
        return set(other._projections) <= set(self._projections) and other._watched == self._watched

    def take_over(self, before: Exposure) -> None:
        """What came in this second and is nowhere else: counted on."""
        self._asks = before._asks

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
        self._note_terms(order.received_at, terms_of(order))

    def _note_terms(self, at: datetime, terms: tuple[object, ...]) -> None:
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
            self.last_px.clear()
            for totals in self._totals.values():
                totals.day_qty = totals.day_money = ZERO
                totals.day_orders = totals.day_replaces = totals.day_cancels = totals.day_fills = 0

    def _counted(self, order: Order) -> Counted:
        instrument = self._instruments.get(order.symbol)
        part = part_of(order, instrument)
        replaces = cancels = 0
        if order.requests and self._watched.requests:
            own = [request.kind for request in order.requests if not request.of_mass_cancel]
            replaces, cancels = own.count("G"), own.count("F")
        rests = resting_price(order, order.side in BUYS) if part.open_qty and self._watched.resting else None
        return Counted(about_order(order, instrument), part, replaces, cancels, rests)

    def _value(self, projection: Projection, about: Mapping[str, str]) -> None:
        """Of a projection with the symbol: what the symbol's position adds to those without it."""
        key = _key(projection, about)
        totals = self._of(projection, about)
        instrument = self._instruments.get(about["symbol"])
        price = instrument.reference_price if instrument is not None else None
        shares = worst_position(totals)
        worth, was = shares * (price or ZERO), self._worth.get(key, ZERO)
        unvalued = int(bool(shares) and not price)
        more, more_unvalued = worth - was, unvalued - totals.unvalued
        self._worth[key] = worth
        for whole in self._gross[projection]:
            sums = self._of(whole, about)
            sums.gross += more
            if sums is not totals:
                sums.unvalued += more_unvalued
        totals.unvalued = unvalued

    def _of(self, projection: Projection, about: Mapping[str, str]) -> Totals:
        return self._totals.setdefault(_key(projection, about), Totals())

    def _add_order(self, about: Mapping[str, str]) -> None:
        for projection in self._projections:
            self._of(projection, about).day_orders += 1

    def _move(self, side: str, before: Counted, after: Counted) -> None:
        buys = side in BUYS
        filled, money = after.part.filled - before.part.filled, after.part.money - before.part.money
        sign = 1 if buys else -1
        replaces, cancels = after.replaces - before.replaces, after.cancels - before.cancels
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
            if replaces or cancels:
                new.day_replaces += replaces
                new.day_cancels += cancels
            if projection in self._gross:
                if old is not new:
                    self._value(projection, before.about)
                self._value(projection, after.about)


def _key(projection: Projection, about: Mapping[str, str]) -> Key:
    return projection, tuple([about[name] for name in projection]), about["currency"]
