"""The checks an order must pass before it is routed: plain functions in a list, each returning a finding.

Law: fail closed. A check that cannot be evaluated (no instrument, no price, no limit) refuses; there is no
bypass. Adding a check is one function and its place in CHECKS. The first refusal decides the answer; the
findings up to it, with their numbers, go into the journal, so that every decision can be explained.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from oms.core.terms import Account, Instrument, LimitRule, Terms

if TYPE_CHECKING:  # a part of an order in the totals is only passed on here
    from oms.core.exposure import Counted

MARKET, LIMIT, STOP, STOP_LIMIT = "1", "2", "3", "4"
SIDES = frozenset("123456789ABCDEFG")
NEEDS_PRICE = frozenset({LIMIT, STOP_LIMIT, "6", "7", "8", "9", "B", "D", "E"})
NEEDS_STOP_PX = frozenset({STOP, STOP_LIMIT})

# OrdRejReason(103), 4.4 values; the edge maps those that FIX 4.2 does not have.
BROKER_OPTION, UNKNOWN_SYMBOL, EXCHANGE_CLOSED, EXCEEDS_LIMIT = "0", "1", "2", "3"
UNKNOWN_ORDER, DUPLICATE, UNSUPPORTED, INCORRECT_QTY, UNKNOWN_ACCOUNT, OTHER = (
    "5",
    "6",
    "11",
    "13",
    "15",
    "99",
)


class Asked(NamedTuple):
    """What is judged: the terms of a new order, or those an order would have after a replace."""

    client: str
    account: str
    symbol: str
    side: str
    ord_type: str
    time_in_force: str
    order_qty: Decimal
    price: Decimal | None
    stop_px: Decimal | None
    trader: str = ""
    cum_qty: Decimal = Decimal(0)  # of an order that is to be replaced
    at: datetime | None = None
    trade_date: date | None = None
    counted: Counted | None = None  # what of the order is in the totals already


class Finding(NamedTuple):
    """The outcome of one check. `text` holds the numbers compared; `ord_rej_reason` counts if not ok."""

    rule: str
    ok: bool
    text: str
    ord_rej_reason: str = OTHER


class Facts(NamedTuple):
    """What is known about the order's instrument, account and limits, looked up once."""

    trading: bool
    instrument: Instrument | None
    account: Account | None
    limit: LimitRule | None


def trading_on(asked: Asked, facts: Facts) -> Finding:
    """Nothing new goes out unless trading is on."""
    return Finding("trading_on", facts.trading, "trading is on" if facts.trading else "trading is off", BROKER_OPTION)


def known_instrument(asked: Asked, facts: Facts) -> Finding:
    """The symbol is in the instruments file and tradable."""
    if facts.instrument is None:
        return Finding("known_instrument", False, f"Symbol(55) {asked.symbol} is not known", UNKNOWN_SYMBOL)
    if not facts.instrument.tradable:
        return Finding("known_instrument", False, f"Symbol(55) {asked.symbol} is not tradable", EXCHANGE_CLOSED)
    return Finding("known_instrument", True, asked.symbol)


def known_account(asked: Asked, facts: Facts) -> Finding:
    """The account exists, is active, and this client may trade for it."""
    account = facts.account
    if account is None or not account.active:
        what = "is not active" if account else "is not known"
        return Finding("known_account", False, f"Account(1) {asked.account or 'absent'} {what}", UNKNOWN_ACCOUNT)
    if not any(fnmatchcase(asked.client, pattern) for pattern in account.clients):
        text = f"Account(1) {asked.account} is not allowed for {asked.client}"
        return Finding("known_account", False, text, UNKNOWN_ACCOUNT)
    return Finding("known_account", True, asked.account)


def complete_terms(asked: Asked, facts: Facts) -> Finding:
    """Side, type and the prices the type needs are there."""
    if asked.side not in SIDES:
        return Finding("complete_terms", False, f"Side(54) {asked.side} is not known", OTHER)
    if asked.ord_type in NEEDS_PRICE and asked.price is None:
        return Finding("complete_terms", False, f"OrdType(40) {asked.ord_type} needs Price(44)", OTHER)
    if asked.ord_type in NEEDS_STOP_PX and asked.stop_px is None:
        return Finding("complete_terms", False, f"OrdType(40) {asked.ord_type} needs StopPx(99)", OTHER)
    return Finding("complete_terms", True, f"OrdType(40) {asked.ord_type}")


def lot_size(asked: Asked, facts: Facts) -> Finding:
    """OrderQty(38) is a whole number of lots."""
    if facts.instrument is None:
        return Finding("lot_size", False, "no instrument, no lot size", UNKNOWN_SYMBOL)
    lot = facts.instrument.lot_size
    text = f"OrderQty(38) {asked.order_qty!s} in lots of {lot!s}"
    return Finding("lot_size", not asked.order_qty % lot, text, INCORRECT_QTY)


def tick_size(asked: Asked, facts: Facts) -> Finding:
    """Price(44) and StopPx(99) are whole numbers of ticks."""
    if facts.instrument is None:
        return Finding("tick_size", False, "no instrument, no tick size", UNKNOWN_SYMBOL)
    tick = facts.instrument.tick_size
    for name, price in (("Price(44)", asked.price), ("StopPx(99)", asked.stop_px)):
        if price is not None and price % tick:
            return Finding("tick_size", False, f"{name} {price} is not a multiple of {tick!s}", OTHER)
    return Finding("tick_size", True, f"tick {tick!s}")


def price_bounds(asked: Asked, facts: Facts) -> Finding:
    """Prices are within the instrument's bounds, where it has any."""
    if facts.instrument is None:
        return Finding("price_bounds", False, "no instrument, no bounds", UNKNOWN_SYMBOL)
    low, high = facts.instrument.min_price, facts.instrument.max_price
    for name, price in (("Price(44)", asked.price), ("StopPx(99)", asked.stop_px)):
        if price is None:
            continue
        if low is not None and price < low:
            return Finding("price_bounds", False, f"{name} {price} is below {low}", EXCEEDS_LIMIT)
        if high is not None and price > high:
            return Finding("price_bounds", False, f"{name} {price} is above {high}", EXCEEDS_LIMIT)
    return Finding("price_bounds", True, f"{low} to {high}")


def max_order_qty(asked: Asked, facts: Facts) -> Finding:
    """OrderQty(38) is within the limit; no limit row, no order."""
    limit = facts.limit
    if limit is None or limit.max_order_qty is None:
        return Finding("max_order_qty", False, "no quantity limit is set for this order", EXCEEDS_LIMIT)
    ok = asked.order_qty <= limit.max_order_qty
    text = f"OrderQty(38) {asked.order_qty!s} {'within' if ok else 'exceeds'} {limit.max_order_qty!s} ({limit.name})"
    return Finding("max_order_qty", ok, text, EXCEEDS_LIMIT)


def max_order_notional(asked: Asked, facts: Facts) -> Finding:
    """OrderQty(38) times its price is within the limit; market orders are valued at the reference price."""
    limit, instrument = facts.limit, facts.instrument
    if limit is None or limit.max_order_notional is None or instrument is None:
        return Finding("max_order_notional", False, "no notional limit is set for this order", EXCEEDS_LIMIT)
    prices = [price for price in (asked.price, asked.stop_px) if price is not None]
    # A stop without a limit trades at the market once triggered: valued at the dearer of stop and reference.
    if asked.price is None and instrument.reference_price is not None:
        prices.append(instrument.reference_price)
    if not prices or (asked.price is None and instrument.reference_price is None):
        return Finding("max_order_notional", False, f"no price to value {asked.symbol} at", EXCEEDS_LIMIT)
    notional = asked.order_qty * max(prices)
    ok = notional <= limit.max_order_notional
    text = (
        f"notional {notional!s} {instrument.currency} {'within' if ok else 'exceeds'} "
        f"{limit.max_order_notional!s} ({limit.name})"
    )
    return Finding("max_order_notional", ok, text, EXCEEDS_LIMIT)


Check = Callable[[Asked, Facts], Finding]
CHECKS: tuple[Check, ...] = (
    trading_on,
    known_instrument,
    known_account,
    complete_terms,
    lot_size,
    tick_size,
    price_bounds,
    max_order_qty,
    max_order_notional,
)


class RiskBook:
    """Terms prepared for fast look-up. Rebuilt when the configuration changes, never mutated by orders."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._found: dict[tuple[str, str, str], LimitRule | None] = {}

    def limit_for(self, client: str, account: str, symbol: str) -> LimitRule | None:
        """The first limit that matches, which is the most specific one; None where there is none."""
        if symbol not in self._terms.instruments or account not in self._terms.accounts:
            return None  # never cached: names a counterparty makes up must not fill memory
        key = (client, account, symbol)
        if key not in self._found:
            self._found[key] = next(
                (
                    rule
                    for rule in self._terms.limits
                    if fnmatchcase(client, rule.client)
                    and fnmatchcase(account, rule.account)
                    and fnmatchcase(symbol, rule.symbol)
                ),
                None,
            )
        return self._found[key]

    def judge(self, asked: Asked) -> list[Finding]:
        """Findings in order, up to and including the first refusal."""
        facts = Facts(
            self._terms.trading,
            self._terms.instruments.get(asked.symbol),
            self._terms.accounts.get(asked.account),
            self.limit_for(asked.client, asked.account, asked.symbol),
        )
        findings = []
        for check in CHECKS:
            finding = check(asked, facts)
            findings.append(finding)
            if not finding.ok:
                break
        return findings
