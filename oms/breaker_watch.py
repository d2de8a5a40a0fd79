"""Where circuit breakers meet the running gateway: made at a start with what was open, looked after once a second.

What only time brings about (a rest that is over, an order without an answer, a slow ledger) is told to the inbox as
the command `breakers.look` of the gateway itself, so that it is journaled like any event; nothing is told while
nothing is due. A start opens what was open, whether its rule is still configured or not.
Threads: `look` from the core thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal

from oms.config.load import Config
from oms.core.breaker_counts import Counts
from oms.core.breaker_live import LOOK, LiveBreakers
from oms.core.breaker_rules import Open
from oms.core.breakers import Breakers, micros_of
from oms.core.messages import Pairs
from oms.core.order import Order
from oms.core.terms import Instrument
from oms.ledger.breakers import open_breakers
from oms.ledger.load import Reader
from oms.ledger.traded import traded

_LOOKS_BETWEEN = 10  # seconds until a look that is not heard yet is told again
_MILLISECOND = Decimal("0.001")


def made(config: Config, instruments: Mapping[str, Instrument], was_open: list[Open], now: datetime) -> LiveBreakers:
    """The breakers of a configuration, with those that were open."""
    breakers = Breakers([one.rule() for one in config.breakers], was_open, now)
    return LiveBreakers(breakers, Counts(breakers, instruments))


def restored(
    config: Config,
    instruments: Mapping[str, Instrument],
    reader: Reader,
    orders: Iterable[Order],
    today: date,
    now: datetime,
) -> LiveBreakers:
    """At a start: what was open is open, orders wait for their answers from now on, the day's losses are known."""
    live = made(config, instruments, open_breakers(reader), now)
    live.counts.wait_for(orders, micros_of(now))
    if live.counts.wants_traded:
        live.counts.load_traded(traded(reader, today, instruments, config.gateway.rollover), today)
    return live


class BreakerWatch:
    """Looks at the clock for the breakers. `lag`: the slowest commit since it was asked last, in seconds."""

    def __init__(self, live: LiveBreakers, lag: Callable[[], float]) -> None:
        self._live = live
        self._lag = lag
        self._told: datetime | None = None
        self._looked = 0

    def look(self, now: datetime) -> list[tuple[str, Pairs]]:
        """The command to be heard, if something is due."""
        lag = Decimal(self._lag()).quantize(_MILLISECOND)
        self._live.counts.mark()
        if not self._live.breakers.due(micros_of(now), lag):
            return []
        heard = self._looked != self._live.looks
        if self._told is not None and not heard and (now - self._told).total_seconds() < _LOOKS_BETWEEN:
            return []  # it is in line
        self._told, self._looked = now, self._live.looks
        return [(LOOK, (("database_lag", str(lag)),))]
