"""Replace discipline: how often, how soon and by how little a client may change an order that works at a broker.

Every replace that is passed on costs the broker's limit of messages and the order's place in the queue, so the house
may ask that it is worth it. The first rule that matches an order is asked; its checks, in this order, are
`replace_outstanding`, `replace_pause`, `replace_interval`, `replace_improvement`. A replace that only takes risk away
(less quantity, no price that trades sooner) passes, unless the rule says otherwise. Cancels are not asked about.

A function of the order, the terms asked for and times of events alone. When an order was replaced or filled last is
known since the start of the process; what a start forgets lets a replace pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import NamedTuple

from oms.core.order import Order, decimal_text
from oms.core.sums import BUYS
from oms.core.terms import Instrument, ReplaceRule

OUTSTANDING, PAUSE = "replace_outstanding", "replace_pause"
INTERVAL, IMPROVEMENT = "replace_interval", "replace_improvement"
_NOTHING = timedelta(0)


class Wanted(NamedTuple):
    """The terms that a replace asks for, and when it came."""

    order_qty: Decimal
    price: Decimal | None
    stop_px: Decimal | None
    at: datetime


class Breach(NamedTuple):
    """Which check a replace does not pass, and its numbers."""

    check: str
    text: str


def rule_for(rules: tuple[ReplaceRule, ...], order: Order, broker: str) -> ReplaceRule | None:
    """The first rule that matches an order at a broker."""
    for rule in rules:
        if (
            _fits(rule.client, order.client)
            and _fits(rule.symbol, order.symbol)
            and _fits(rule.account, order.account)
            and _fits(rule.broker, broker)
        ):
            return rule
    return None


def breach(rule: ReplaceRule, order: Order, wanted: Wanted, instruments: Mapping[str, Instrument]) -> Breach | None:
    """What a rule has against a replace of an order; None where it may pass."""
    if not rule.also_reducing and only_reduces(order, wanted):
        return None
    if rule.one_outstanding and (pending := order.pending_requests):
        what = "cancel" if pending[0].kind == "F" else "replace"
        return Breach(OUTSTANDING, f"{rule.name}: {what} {pending[0].cl_ord_id} has no answer yet")
    if too_soon := _too_soon(order.filled_at, wanted.at, rule.pause_after_fill):
        return Breach(PAUSE, f"{rule.name}: {too_soon} after a fill, at least {_ms(rule.pause_after_fill)}")
    if too_soon := _too_soon(order.replaced_at, wanted.at, rule.min_interval):
        return Breach(
            INTERVAL, f"{rule.name}: {too_soon} after the replace before, at least {_ms(rule.min_interval)}"
        )
    return _no_improvement(rule, order, wanted, instruments)


def only_reduces(order: Order, wanted: Wanted) -> bool:
    """Whether a replace only takes risk away: less quantity, and no price at which the order trades sooner."""
    if wanted.order_qty >= order.order_qty or wanted.stop_px != order.stop_px:
        return False
    if wanted.price is None or order.price is None:
        return wanted.price == order.price
    return wanted.price <= order.price if order.side in BUYS else wanted.price >= order.price


def _fits(patterns: tuple[str, ...], value: str) -> bool:
    return any(fnmatchcase(value, pattern) for pattern in patterns)


def _too_soon(since: datetime | None, now: datetime, least: timedelta) -> str:
    """The time that has passed, if it is less than asked for; a clock that was set back is no reason to refuse."""
    if since is None or not least or not _NOTHING <= now - since < least:
        return ""
    return _ms(now - since)


def _no_improvement(
    rule: ReplaceRule, order: Order, wanted: Wanted, instruments: Mapping[str, Instrument]
) -> Breach | None:
    """The refusal of a replace that moves no price and no quantity by as much as the rule asks for."""
    if not rule.min_ticks and not rule.min_qty_percent:
        return None
    said = []
    instrument = instruments.get(order.symbol)
    moved = max(_distance(order.price, wanted.price), _distance(order.stop_px, wanted.stop_px))
    if rule.min_ticks:
        if instrument is None:
            return Breach(IMPROVEMENT, f"{rule.name}: Symbol(55) {order.symbol} has no tick size to measure it by")
        ticks = moved / instrument.tick_size
        if ticks >= rule.min_ticks:
            return None
        said.append(f"a price moves by {_short(ticks)} ticks, at least {rule.min_ticks}")
    elif moved:
        return None  # prices are not measured
    change = abs(wanted.order_qty - order.order_qty)
    if rule.min_qty_percent:
        percent = change * 100 / order.order_qty
        if percent >= rule.min_qty_percent:
            return None
        said.append(f"OrderQty(38) by {_short(percent)} %, at least {decimal_text(rule.min_qty_percent)} %")
    elif change:
        return None
    return Breach(IMPROVEMENT, f"{rule.name}: {'; '.join(said)}")


def _distance(before: Decimal | None, after: Decimal | None) -> Decimal:
    return Decimal(0) if before is None or after is None else abs(after - before)


def _short(value: Decimal) -> str:
    return decimal_text(value.quantize(Decimal("0.01")))


def _ms(span: timedelta) -> str:
    return f"{span // timedelta(milliseconds=1)} ms"
