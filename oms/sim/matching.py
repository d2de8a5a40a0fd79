"""A simple market: a seeded price walk per symbol, and what an order gets in it. Pure: no I/O, no clock.

Prices walk in whole ticks round a reference price and are pulled back to it, so that a day looks like a day. An order
that arrives fills at once as far as its type and price allow; what rests is looked at once per tick. Time in force
is kept: immediate-or-cancel leftovers and fill-or-kill orders that cannot fill whole are cancelled.
Limits: no book and no other participants; a limit order never fills at a price worse than its own.
Randomness comes from the seed only; after a restart the walk begins again at the reference prices.
"""

from __future__ import annotations

import csv
import random
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from pathlib import Path

from oms.errors import OperatorError
from oms.sim.orders import BUY, FOK, IOC, LIMIT, MARKET, STOP, STOP_LIMIT, SimOrder
from oms.sim.script import MarketModel
from oms.sim.wire import decimal_of

TOUCH = Decimal("0.01")  # a limit this near to the price may be reached by a flicker of it


@dataclass(frozen=True, slots=True)
class Instrument:
    """What the simulators need to know of an instrument."""

    symbol: str
    reference_price: Decimal
    tick_size: Decimal = Decimal("0.01")
    lot_size: Decimal = Decimal(1)


@dataclass(frozen=True, slots=True)
class Fills:
    """An execution to be made."""

    qty: Decimal
    px: Decimal


@dataclass(frozen=True, slots=True)
class CancelsRest:
    """The rest is to be cancelled by the broker: time in force."""

    text: str


Outcome = Fills | CancelsRest


def read_instruments(path: Path) -> dict[str, Instrument]:
    """Instruments of an instruments.csv (symbol, tick_size, lot_size, reference_price; other columns are skipped)."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorError(f"{path}: cannot be read ({error}); name the gateway's instruments.csv") from error
    found: dict[str, Instrument] = {}
    for row in csv.DictReader(line for line in lines if line.strip() and not line.startswith("#")):
        symbol, price = row.get("symbol"), decimal_of(row.get("reference_price"))
        if not symbol:
            raise OperatorError(f"{path}: no column symbol; the header must name symbol and reference_price")
        if price is not None:
            tick, lot = decimal_of(row.get("tick_size")), decimal_of(row.get("lot_size"))
            found[symbol] = Instrument(symbol, price, tick or Decimal("0.01"), lot or Decimal(1))
    if not found:
        raise OperatorError(f"{path}: no instrument with a reference_price; add one")
    return found


class Market:
    """Prices of all symbols. An unlisted symbol gets a price made from its name, unless there is a list."""

    def __init__(self, seed: int, model: MarketModel, instruments: Mapping[str, Instrument] | None = None) -> None:
        self.model = model
        self._listed = dict(instruments or {})
        self._unlisted: dict[str, Instrument] = {}
        self._offsets: dict[str, int] = {}
        self.random = random.Random(seed)

    def knows(self, symbol: str) -> bool:
        """Whether the symbol trades here: all do where no list was given."""
        return not self._listed or symbol in self._listed

    def instrument(self, symbol: str) -> Instrument:
        """The instrument of a symbol, made up where it is not listed."""
        if symbol in self._listed:
            return self._listed[symbol]
        if symbol not in self._unlisted:
            price = Decimal(2000 + zlib.crc32(symbol.encode()) % 20_000) / 100
            self._unlisted[symbol] = Instrument(symbol, price)
        return self._unlisted[symbol]

    def price(self, symbol: str) -> Decimal:
        """The price now: always a whole number of ticks above zero away from the reference price."""
        instrument = self.instrument(symbol)
        moved = instrument.reference_price + self._offsets.get(symbol, 0) * instrument.tick_size
        return max(moved, instrument.tick_size)

    def walk(self, symbol: str) -> None:
        """One step of the walk: up to `walk_ticks` either way, pulled towards the reference price."""
        offset = self._offsets.get(symbol, 0)
        step = self.random.randint(-self.model.walk_ticks, self.model.walk_ticks)
        self._offsets[symbol] = offset + step - round(offset / 40)

    # -- what an order gets ------------------------------------------------------------------------------

    def on_arrival(self, order: SimOrder) -> Iterator[Outcome]:
        """What happens to an order when it is accepted or replaced: it trades at once as far as it can."""
        if self._wakes(order):
            yield from self._trade(order, certain=True)

    def on_tick(self, order: SimOrder) -> Iterator[Outcome]:
        """What a tick does to a resting order."""
        if not order.triggered and order.ord_type in (STOP, STOP_LIMIT):
            if self._wakes(order):
                yield from self._trade(order, certain=True)
            return
        yield from self._trade(order, certain=False)

    def _wakes(self, order: SimOrder) -> bool:
        """Whether the order may trade now: a stop must have been reached, and stays triggered."""
        if order.ord_type not in (STOP, STOP_LIMIT) or order.triggered:
            return True
        price, stop = self.price(order.symbol), order.stop_px
        order.triggered = stop is not None and (price >= stop if order.side == BUY else price <= stop)
        return order.triggered

    def _trade(self, order: SimOrder, *, certain: bool) -> Iterator[Outcome]:
        px = self._execution_price(order, certain=certain)
        at_once = order.tif in (IOC, FOK)
        if px is not None and (certain or at_once or self.random.random() < self.model.fill_probability):
            whole = order.tif == FOK or order.ord_type in (MARKET, STOP)
            yield from self._pieces(order, px, whole=whole)
        if at_once and order.open:
            words = "fill or kill: not fillable whole" if order.tif == FOK else "immediate or cancel: rest cancelled"
            yield CancelsRest(words)

    def _pieces(self, order: SimOrder, px: Decimal, *, whole: bool) -> Iterator[Fills]:
        """The executions: sometimes a part only; an order that must fill whole gets the rest right after it."""
        leaves = order.leaves_qty
        part = self._part(order.symbol, leaves)
        yield Fills(part, px)
        if whole and part < leaves:
            yield Fills(leaves - part, px)

    def _part(self, symbol: str, leaves: Decimal) -> Decimal:
        """All of it, or a seeded part of it in whole lots."""
        if self.random.random() >= self.model.part_probability:
            return leaves
        lot = self.instrument(symbol).lot_size
        lots = (leaves * self.random.randint(1, 9) / 10 / lot).to_integral_value(ROUND_DOWN)
        return lots * lot or leaves

    def _execution_price(self, order: SimOrder, *, certain: bool) -> Decimal | None:
        """The price at which it trades now, None where it does not."""
        price = self.price(order.symbol)
        if order.ord_type in (MARKET, STOP):
            return price
        limit = order.price
        if order.ord_type not in (LIMIT, STOP_LIMIT) or limit is None:
            return None
        if price <= limit if order.side == BUY else price >= limit:
            return price
        near = abs(price - limit) <= price * TOUCH
        if not certain and near and self.random.random() < self.model.touch_probability:
            return limit
        return None
