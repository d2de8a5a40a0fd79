"""Live orders by price and executions by time, for the controls that look at neither sums nor single orders.

`Resting` knows at which prices orders of a key may trade on either side of a symbol (self_match); `Repeated` when
orders of a key traded for the first time (max_repeated_fills). Both move by events only and are small: prices of what
is live, and of executions no more than a row counts. Stop orders rest nowhere until they are triggered, which brokers
need not tell: they are left out. Owned by the core thread.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from oms.core.order import Order

if TYPE_CHECKING:  # what is counted of an order is only read here
    from oms.core.sums import Counted, Projection

ANY_BUY, ANY_SELL = Decimal("Infinity"), Decimal("-Infinity")  # what a market order would pay, or take
STOPS = frozenset("34")
_KEYS = 10_000  # whose executions are remembered

Key = tuple[tuple[str, ...], tuple[str, ...], str, bool]  # projection, its values, symbol, whether it buys


def at_worst(price: Decimal | None, buys: bool) -> Decimal:
    """The price up to which (a sell: down to which) an order trades."""
    return price if price is not None else ANY_BUY if buys else ANY_SELL


def resting_price(order: Order, buys: bool) -> Decimal | None:
    """The price at which a live order may trade, a pending replace taken where it is further; None for a stop."""
    if order.ord_type in STOPS:
        return None
    price = at_worst(order.price, buys)
    for request in order.requests and order.pending_requests:
        if request.kind == "G" and request.price is not None:
            price = max(price, request.price) if buys else min(price, request.price)
    return price


def _values(projection: Projection, about: Mapping[str, str]) -> tuple[str, ...]:
    return tuple([about[name] for name in projection])


class Resting:
    """Prices of live orders, sorted, by key and side."""

    def __init__(self, projections: Iterable[Projection]) -> None:
        self._projections = tuple(sorted(projections))
        self._prices: dict[Key, list[Decimal]] = {}

    def moved(self, buys: bool, before: Counted, after: Counted) -> None:
        """An order rests at another price, no more, or from now on."""
        for projection in self._projections:
            for counted, comes in ((before, False), (after, True)):
                if counted.rests is None:
                    continue
                key = (projection, _values(projection, counted.about), counted.about["symbol"], buys)
                prices = self._prices.setdefault(key, [])
                if comes:
                    insort(prices, counted.rests)
                else:
                    del prices[bisect_left(prices, counted.rests)]
                    if not prices:
                        del self._prices[key]

    def best(self, projection: Projection, values: tuple[str, ...], symbol: str, buys: bool) -> Decimal | None:
        """The price on one side that the other side would meet first; None where nothing rests."""
        prices = self._prices.get((projection, values, symbol, buys))
        return None if not prices else prices[-1] if buys else prices[0]


class Repeated:
    """When orders of a key, symbol and side traded for the first time: the last so many, oldest first."""

    def __init__(self, most: Mapping[Projection, tuple[int, int]]) -> None:
        self._most = dict(sorted(most.items()))
        self._seconds = timedelta(seconds=max([seconds for _, seconds in most.values()], default=0))
        self._times: dict[Key, list[datetime]] = {}

    def add(self, about: Mapping[str, str], buys: bool, at: datetime) -> None:
        """An order traded for the first time."""
        for projection, (most, _) in self._most.items():
            times = self._times.setdefault((projection, _values(projection, about), about["symbol"], buys), [])
            times.append(max(at, times[-1]) if times else at)  # a clock may go back
            if len(times) > 2 * most:
                del times[:-most]
        if len(self._times) > _KEYS:  # names of traders are anybody's: they must not fill memory
            begin = at - self._seconds
            self._times = {key: times for key, times in self._times.items() if times[-1] > begin}

    def within(
        self, projection: Projection, values: tuple[str, ...], symbol: str, buys: bool, begin: datetime
    ) -> int:
        """How many orders did after `begin`, as far as rows of this projection count."""
        times = self._times.get((projection, values, symbol, buys), ())
        return len(times) - bisect_right(times, begin)
