"""The feed: of everything that sources give, the few prices that the core is to hear.

Ticks are not journaled: of each symbol the last price counts, at most one per `interval`, and only where it moved by
`move` percent or the price in use would grow old. Sources have precedence in the order of the configuration: one
further down counts while those above it have no price of the symbol that is young enough (`good_for`).
A source whose prices are over and that still fails is told to the core, which opens an exception item.
Invariants: memory is bounded by symbols times sources; while one round is not heard by the core, none follows it.
Threads: `put`, `fails` from any; what is due is told from a thread of the feed's own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple, Protocol

import structlog

from oms.config.prices import Prices as Settings
from oms.core import messages as m

log = structlog.get_logger("oms.prices")

AT_ONCE = 200  # symbols of one event
_BEGINS = timedelta(seconds=30)  # until a source that never worked counts as failed
_REFRESH = timedelta(minutes=5)  # of a price that does not move, where no age is asked for


class Quote(NamedTuple):
    """A price of a symbol, and as of when (UTC)."""

    symbol: str
    price: Decimal
    at: datetime


class Source(Protocol):
    """What gives prices. It calls `Feed.put` and `Feed.fails` under its name until it is stopped."""

    def start(self) -> None:
        """Begin, in threads of its own; returns at once."""

    def stop(self) -> None:
        """End; returns when it has."""


class Feed:
    """See the module head. `tell` puts an event in line for the core, `heard` counts those that it took up."""

    def __init__(
        self,
        settings: Settings,
        known: Mapping[str, Quote | None],
        tell: Callable[[m.Prices | m.PriceSource], None],
        heard: Callable[[], int],
        *,
        max_age: timedelta | None = None,
        unusable: Iterable[str] = (),
    ) -> None:
        """`known`: the symbols that count, with the price in use; `unusable`: sources that failed before."""
        self._settings = settings
        self._good_for = {one.name: timedelta(seconds=one.good_for) for one in settings.source}
        self._refresh = max_age / 2 if max_age else _REFRESH
        self._interval = timedelta(seconds=settings.interval)
        self._last: dict[str, Quote | None] = dict(known)  # as told
        self._told_at: dict[str, datetime] = {}
        self._quotes: dict[str, dict[str, Quote]] = {}  # symbol -> source -> its last
        self._changed: set[str] = set()
        self._worked: dict[str, datetime] = {}
        self._problems: dict[str, str] = {}
        self._failing = set(unusable)  # as told
        self._tell, self._heard = tell, heard
        self._sent = 0
        self._base = heard()
        self._began = datetime.min.replace(tzinfo=UTC)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="prices", daemon=True)

    # -- what sources tell -------------------------------------------------------------------------------------

    def put(self, source: str, quotes: Iterable[Quote], now: datetime | None = None) -> None:
        """A source works, and these are its prices; of symbols that nobody knows none is kept."""
        with self._lock:
            self._worked[source] = now or datetime.now(UTC)
            self._problems.pop(source, None)
            for quote in quotes:
                if quote.symbol not in self._last:
                    continue
                of_symbol = self._quotes.setdefault(quote.symbol, {})
                before = of_symbol.get(source)
                if before is None or before.at <= quote.at:
                    of_symbol[source] = quote
                    self._changed.add(quote.symbol)

    def fails(self, source: str, problem: str) -> None:
        """A source could not be read; that is told once its last prices are no longer good."""
        with self._lock:
            if source not in self._problems:
                log.warning("a source of prices failed", source=source, problem=problem)
            self._problems[source] = problem

    # -- what the core is to hear --------------------------------------------------------------------------------

    def due(self, now: datetime) -> list[m.Prices | m.PriceSource]:
        """What is to be told now; it counts as told."""
        with self._lock:
            events: list[m.Prices | m.PriceSource] = [*self._states(now)]
            by_source: dict[str, list[Quote]] = {}
            for symbol in sorted(self._changed):
                last_told = self._told_at.get(symbol)
                if last_told is not None and now - last_told < self._interval:
                    continue
                source, quote = self._preferred(symbol, now)
                if self._is_news(quote):
                    by_source.setdefault(source, []).append(quote)
                    self._last[symbol], self._told_at[symbol] = quote, now
                    self._changed.discard(symbol)
        for source, quotes in by_source.items():
            for first in range(0, len(quotes), AT_ONCE):
                some = quotes[first : first + AT_ONCE]
                texts = tuple((one.symbol, f"{one.price:f}", one.at.isoformat()) for one in some)
                events.append(m.Prices(source, texts))
        return events

    def _preferred(self, symbol: str, now: datetime) -> tuple[str, Quote]:
        """By the first source whose price is good still, else by the one with the newest."""
        of_symbol = self._quotes[symbol]
        for source, good_for in self._good_for.items():
            quote = of_symbol.get(source)
            if quote is not None and now - quote.at <= good_for:
                return source, quote
        return max(of_symbol.items(), key=lambda one: one[1].at)

    def _is_news(self, quote: Quote) -> bool:
        last = self._last[quote.symbol]
        if last is None:
            return True
        if quote.at < last.at:
            return False
        moved = abs(quote.price - last.price) * 100
        return moved > self._settings.move * last.price or quote.at - last.at >= self._refresh

    def _states(self, now: datetime) -> Iterable[m.PriceSource]:
        for source, problem in sorted(self._problems.items()):
            worked, good_for = self._worked.get(source), self._good_for.get(source, timedelta())
            if worked is None:  # a session takes a moment to log on
                worked, good_for = self._began, min(good_for, _BEGINS)
            if now - worked > good_for and source not in self._failing:
                self._failing.add(source)
                yield m.PriceSource(source, problem)
        for source in sorted(self._failing - self._problems.keys()):
            if source in self._worked or source not in self._good_for:
                self._failing.discard(source)
                yield m.PriceSource(source, "")

    # -- its thread --------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to tell what is due."""
        self._began = datetime.now(UTC)
        self._thread.start()

    def stop(self) -> None:
        """Tell nothing more."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._settings.interval):
            now = datetime.now(UTC)
            if self._heard() - self._base < self._sent:
                continue  # the core is behind, or its ledger is away: what waits here is replaced by what is newer
            self._base, self._sent = self._heard(), 0
            for event in self.due(now):
                self._sent += 1
                self._tell(event)
