"""Reference prices with an age: which are taken, which are held, and what an order may be judged by.

A price comes as an event (`Prices`, of a source) or as the command `prices.load`; nobody reads a clock, the event's
time decides. Taken is what is newer than the price in use and not in the future. What jumps by more than `max_move`
percent is held: it is not used, an exception item tells of it, and a price that is near enough or that an operator
accepts ends it. What was decided is in the journal's detail (`oms.core.price_side`), so that replay does the same.
Invariant: a price in use is in the instrument itself (`reference_price`, `reference_at`), so that every check sees
the same one. Owned by the core thread; others read copies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from oms.core.book import number_id
from oms.core.effects import Price
from oms.core.messages import Prices, PriceSource
from oms.core.order import decimal_text
from oms.core.terms import Instrument

LOAD = "prices.load"
HELD, SOURCE = "price_held", "price_source"  # kinds of exception items
STALE = "stale_price"  # the rule that refuses
AHEAD = timedelta(seconds=5)  # clocks differ: so far in the future a price may seem to be

Facts = Mapping[str, Any]


class PriceBook:
    """The prices in use and what is held. `instruments` is changed in place: it is the one that all checks read.

    `max_move` is in percent, None: any. `revalue` is told of the symbols whose price is another one now.
    """

    def __init__(
        self,
        instruments: dict[str, Instrument],
        max_move: Decimal | None = None,
        revalue: Callable[[str], None] = lambda symbol: None,
    ) -> None:
        self.instruments = instruments
        self.max_move = max_move
        self.revalue = revalue
        self.prices: dict[str, Price] = {}
        self.held: dict[str, str] = {}  # symbol -> exception item
        self.unusable: dict[str, str] = {}  # source -> exception item
        self.heard = 0  # events of sources that were taken up; for who tells the next

    def restore(self, prices: list[Price]) -> None:
        """At a start, before anything is summed up: what the ledger has, where the instruments file has no newer."""
        for one in prices:
            known = self.instruments.get(one.symbol)
            if known is not None and (known.reference_at is None or known.reference_at <= one.at):
                self._use(one)

    def take(self, seq: int, now: datetime, msg: Prices, accept: bool = False) -> Facts:
        """Decide about each quote and use what is taken. `accept`: moves are taken however far they go."""
        self.heard += 1
        taken, held, refused = [], [], []
        for symbol, text, as_of in msg.quotes:
            price, at = Decimal(text), datetime.fromisoformat(as_of)
            why = self._why_not(symbol, price, at, now)
            if why:
                refused.append([symbol, why])
            elif not accept and (before := self._jumps(symbol, price)) is not None:
                held.append([symbol, text, as_of, str(before)])
            else:
                taken.append(symbol)
                self._use(Price(symbol, price, at, msg.source, seq))
        return {"taken": taken, "held": held, "refused": refused} | self._items(seq, taken, held)

    def follow(self, seq: int, msg: Prices, facts: Facts) -> None:
        """Use what was taken before, as the journal has it."""
        for symbol, price, at in msg.quotes:
            if symbol in facts.get("taken", ()) and symbol in self.instruments:
                self._use(Price(symbol, Decimal(price), datetime.fromisoformat(at), msg.source, seq))

    def told(self, seq: int, msg: PriceSource) -> Facts:
        """The exception item that a source's state opens or closes."""
        self.heard += 1
        known = self.unusable.get(msg.source, "")
        if msg.problem and not known:
            self.unusable[msg.source] = number_id("X", seq)
            return {"opens": self.unusable[msg.source]}
        return {"closes": self.unusable.pop(msg.source)} if known and not msg.problem else {}

    def _why_not(self, symbol: str, price: Decimal, at: datetime, now: datetime) -> str:
        instrument = self.instruments.get(symbol)
        if instrument is None:
            return "is not in the instruments file"
        if at > now + AHEAD:
            return f"is of {moment(at)}, in the future"
        if instrument.reference_at is not None and at < instrument.reference_at:
            return f"is of {moment(at)}, older than the price in use"
        return ""

    def _jumps(self, symbol: str, price: Decimal) -> Decimal | None:
        """The price in use, where this one is too far from it."""
        before = self.instruments[symbol].reference_price
        if self.max_move is None or before is None or abs(price - before) * 100 <= self.max_move * before:
            return None
        return before

    def _items(self, seq: int, taken: list[str], held: list[list[str]]) -> dict[str, Any]:
        facts: dict[str, Any] = {}
        if news := [symbol for symbol, *_ in held if symbol not in self.held]:
            facts["opens"] = number_id("X", seq)
            self.held |= dict.fromkeys(news, facts["opens"])
        settled = [self.held.pop(symbol) for symbol in taken if symbol in self.held]
        left = set(self.held.values())
        if over := [item_id for item_id in dict.fromkeys(settled) if item_id not in left]:
            facts["closes"] = over
        return facts

    def _use(self, price: Price) -> None:
        known = self.instruments[price.symbol]
        self.prices[price.symbol] = price
        self.instruments[price.symbol] = known._replace(reference_price=price.price, reference_at=price.at)
        if known.reference_price != price.price:
            self.revalue(price.symbol)


def moment(at: datetime) -> str:
    """A time as it stands in Text(58): to the second."""
    return f"{at:%Y-%m-%d %H:%M:%S}"


def stale(instrument: Instrument | None, now: datetime | None) -> str:
    """Why an order may not be judged by the reference price now, '' where it may. Fails closed."""
    if instrument is None or instrument.max_price_age is None:
        return ""
    at, seconds = instrument.reference_at, int(instrument.max_price_age.total_seconds())
    if instrument.reference_price is None:
        return f"no reference price for {instrument.symbol}"
    of = f"reference price {decimal_text(instrument.reference_price)} of {instrument.symbol}"
    if at is None or now is None:
        return f"{of} has no time, and may be {seconds} s old"
    if now - at > instrument.max_price_age:
        return f"{of} is of {moment(at)}, over {seconds} s old at {moment(now)} UTC"
    return f"{of} is of {moment(at)}, in the future at {moment(now)} UTC" if at - now > AHEAD else ""
