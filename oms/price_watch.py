"""Where reference prices meet the running gateway: restored at a start, fed by the configured sources, shown.

The ledger's price of a symbol counts where the instruments file has none as new. Sources start last and end first.
Threads: made and started by the main thread; `samples` and `told` from any, they read copies.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from oms import inbox as box
from oms.config.load import Config
from oms.config.market_data import read_market_data
from oms.config.prices import Source as Settings
from oms.config.problems import Problems
from oms.core import messages as m
from oms.core.judge import LiveJudge
from oms.core.prices import PriceBook, stale
from oms.core.terms import Instrument
from oms.fix.engine import Engine
from oms.fix.market_data import MarketData
from oms.inbox import Heard, Inbox, now_us
from oms.ledger.load import Reader
from oms.ledger.prices import restore
from oms.prices.feed import Feed, Quote, Source
from oms.prices.fills import Committed, OwnFills
from oms.prices.polled import AnswerOf, FileOf, Polled
from oms.prices.read import Names

IN_FILE = "instruments file"


class PriceWatch:
    """The price book of a gateway and its sources."""

    def __init__(self, config: Config, instruments: Mapping[str, Instrument], reader: Reader) -> None:
        """`instruments` are those that the core judges by: their prices change in place."""
        assert isinstance(instruments, dict)
        self._config = config
        self.book = PriceBook(instruments, config.prices.max_move)
        restore(reader, self.book)
        self._feed: Feed | None = None
        self._sources: list[Source] = []
        self._fills: OwnFills | None = None

    def guard(self, judge: LiveJudge) -> None:
        """The judge decides by these prices."""
        judge.prices = self.book
        if judge.exposure is not None:
            self.book.revalue = judge.exposure.revalue

    # -- life --------------------------------------------------------------------------------------------------

    def make(self, inbox: Inbox) -> None:
        """The sources that are configured; none runs yet."""

        def tell(event: m.Prices | m.PriceSource) -> None:
            kind = box.PRICES if isinstance(event, m.Prices) else box.PRICE_SOURCE
            inbox.tell(Heard(kind, "", "", tuple(event), now_us()))

        settings, age = self._config.prices, self._config.max_price_age
        if not settings.source and not self.book.unusable:
            return
        self._feed = Feed(
            settings,
            {symbol: _quote(one) for symbol, one in self.book.instruments.items()},
            tell,
            lambda: self.book.heard,
            max_age=timedelta(seconds=age) if age else None,
            unusable=self.book.unusable,
        )
        self._sources = [self._source(one, self._feed) for one in settings.source]

    def _source(self, one: Settings, feed: Feed) -> Source:
        names = Names(one.symbol, one.price, one.at)
        if one.kind == "file" and one.path is not None:
            return Polled(one.name, one.every, FileOf(one.path, names), feed)
        if one.kind == "http":
            return Polled(one.name, one.every, AnswerOf(one), feed)
        if one.kind == "fix" and one.settings is not None:
            values = read_market_data(one.settings, f"settings of {one.name}", Problems())
            return MarketData(
                one.name,
                values,
                self._config.gateway.state_dir / "market_data" / one.name,
                self._config.directory,
                sorted(self.book.instruments),
                lambda ticks: feed.put(one.name, [Quote(*tick) for tick in ticks]),
                lambda problem: feed.fails(one.name, problem),
            )
        self._fills = OwnFills(one.name, feed)
        return self._fills

    def start(self) -> None:
        """Begin to read."""
        for source in self._sources:
            source.start()
        if self._feed is not None:
            self._feed.start()

    def stop(self) -> None:
        """End; what was read and not told is gone."""
        if self._feed is not None:
            self._feed.stop()
        for source in self._sources:
            source.stop()

    def engines(self) -> list[Engine]:
        """Those of the market data sessions."""
        return [engine for one in self._sources if isinstance(one, MarketData) for engine in one.engines]

    def after(self, then: Committed) -> Committed:
        """What is told of committed batches: own fills may be prices."""
        if not any(one.kind == "fills" for one in self._config.prices.source):
            return then

        def committed(batch: Any, at: datetime, seconds: float) -> None:
            then(batch, at, seconds)
            if self._fills is not None and batch.fills:
                self._fills.committed(batch)

        return committed

    # -- what is shown -------------------------------------------------------------------------------------------

    def told(self, now: datetime | None = None) -> list[dict[str, Any]]:
        """Every instrument with its price: as of when, from where, how old in seconds, and why it is not usable."""
        now, book = now or datetime.now(UTC), self.book
        taken = book.prices.copy()
        found = []
        for symbol, one in sorted(book.instruments.copy().items()):
            at, price = one.reference_at, one.reference_price
            by = taken.get(symbol)
            found.append(
                {
                    "symbol": symbol,
                    "price": None if price is None else f"{price:f}",
                    "currency": one.currency,
                    "at": None if at is None else at.isoformat(),
                    "age_seconds": None if at is None else int((now - at).total_seconds()),
                    "source": by.source if by is not None else IN_FILE if price is not None else "",
                    "stale": stale(one, now),
                    "held": symbol in book.held,
                }
            )
        return found

    def samples(self) -> dict[str, Mapping[tuple[str, ...], Any]]:
        """For metrics."""
        now = datetime.now(UTC)
        instruments = [one for one in self.book.instruments.copy().values() if one.tradable]
        ages = [(now - one.reference_at).total_seconds() for one in instruments if one.reference_at is not None]
        unusable = self.book.unusable.copy()
        found: dict[str, Mapping[tuple[str, ...], Any]] = {
            "oms_prices_stale": {(): sum(bool(stale(one, now)) for one in instruments)},
            "oms_prices_held": {(): len(self.book.held)},
            "oms_price_source_up": {(one.name,): int(one.name not in unusable) for one in self._config.prices.source},
        }
        return found | ({"oms_price_oldest_seconds": {(): max(ages)}} if ages else {})

    def sources(self) -> list[dict[str, Any]]:
        """The configured sources in order of precedence, and the exception item of one that cannot be used."""
        unusable = self.book.unusable.copy()
        return [
            {"name": one.name, "kind": one.kind, "good_for": one.good_for, "item_id": unusable.get(one.name, "")}
            for one in self._config.prices.source
        ]


def _quote(one: Instrument) -> Quote | None:
    if one.reference_price is None or one.reference_at is None:
        return None
    return Quote(one.symbol, one.reference_price, one.reference_at)
