"""LastPx(31) of our own fills as prices. Told after the commit, in the committer's thread."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from oms.ledger.batch import Batch
from oms.prices.feed import Feed, Quote

Committed = Callable[[Batch, datetime, float], None]


class OwnFills:
    """A source that only listens."""

    def __init__(self, name: str, feed: Feed) -> None:
        self._name, self._feed = name, feed

    def start(self) -> None:
        """Nothing is to be begun."""
        self._feed.put(self._name, ())

    def stop(self) -> None:
        """Nothing is to be ended."""

    def committed(self, batch: Batch) -> None:
        """The trades of a batch; corrections and busts are no prices of now."""
        quotes = [
            Quote(fill.symbol, fill.last_px, fill.transact_time or fill.received_at)
            for fill, _ in batch.fills
            if fill.kind == "trade" and fill.last_px > 0
        ]
        if quotes:
            self._feed.put(self._name, quotes)
