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

from oms.core.markets import Market
from oms.core.prices import STALE, stale
from oms.core.terms import Account, Instrument, Limit, LimitRule, Terms

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
    adds_risk: bool = True  # a replace to no more shares at the same prices adds none


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
    row: bool = False  # whether a row of the limits file names its client or account
    market: Market | None = None  # whose hours count, None where the instrument names none


def trading_on(asked: Asked, facts: Facts) -> Finding:
    """No risk goes out unless trading is on."""
    if not facts.trading and not asked.adds_risk:
        return Finding("trading_on", True, "trading is off, and this adds no risk")
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


def market_hours(asked: Asked, facts: Facts) -> Finding:
    """The instrument's market is open, or takes orders of this TimeInForce(59) at any time."""
    instrument, market = facts.instrument, facts.market
    if instrument is None:
        return Finding("market_hours", False, "no instrument, no market", UNKNOWN_SYMBOL)
    if not instrument.market:
        return Finding("market_hours", True, f"{asked.symbol} names no market")
    if market is None or asked.at is None:
        return Finding("market_hours", False, f"the hours of {instrument.market} are not known", EXCHANGE_CLOSED)
    is_open, text = market.says(asked.at)
    if is_open or not asked.adds_risk:
        return Finding("market_hours", True, text)
    given = asked.time_in_force or "0"
    if given in market.any_time:
        return Finding("market_hours", True, f"{text}, TimeInForce(59) {given} is taken at any time")
    return Finding("market_hours", False, text, EXCHANGE_CLOSED)


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


def limit_row(asked: Asked, facts: Facts) -> Finding:
    """A row of the limits file names the client or the account; asked where [limits] require_row says so."""
    names = f"client {asked.client} or Account(1) {asked.account}"
    text = f"a row names {names}" if facts.row else f"no row of the limits file names {names}"
    return Finding("limit_row", facts.row, text, EXCEEDS_LIMIT)


def max_order_qty(asked: Asked, facts: Facts) -> Finding:
    """OrderQty(38) is within the limit; no limit row, no order."""
    limit = facts.limit
    if limit is None or limit.max_order_qty is None:
        return Finding("max_order_qty", False, "no quantity limit is set for this order", EXCEEDS_LIMIT)
    ok = asked.order_qty <= limit.max_order_qty
    text = f"OrderQty(38) {asked.order_qty!s} {'within' if ok else 'exceeds'} {limit.max_order_qty!s} ({limit.name})"
    return Finding("max_order_qty", ok, text, EXCEEDS_LIMIT)


def stale_price(asked: Asked, facts: Facts) -> Finding:
    """The reference price that values an order without a price is not too old; see [limits] max_price_age."""
    if facts.instrument is None:
        return Finding(STALE, False, "no instrument, no reference price", UNKNOWN_SYMBOL)
    if asked.price is not None or not asked.adds_risk:
        return Finding(STALE, True, "not judged by the reference price")
    why = stale(facts.instrument, asked.at)
    return Finding(STALE, not why, why or "the reference price is young enough", EXCEEDS_LIMIT)


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
    market_hours,
    complete_terms,
    lot_size,
    tick_size,
    price_bounds,
    limit_row,
    max_order_qty,
    stale_price,
    max_order_notional,
)


# What these say follows from the names in an order and from the facts alone: it is found once for many orders.
STANDING: tuple[Check, ...] = (trading_on, known_instrument, known_account)
_REMEMBERED = 10_000  # combinations of names whose facts are known


class RiskBook:
    """Terms prepared for fast look-up. Rebuilt when the configuration changes, never mutated by orders.

    `trading`: whether trading is on now; the terms' own word where it is not given.
    """

    def __init__(self, terms: Terms, trading: Callable[[], bool] | None = None) -> None:
        self._terms = terms
        self._trading = trading or (lambda: terms.trading)
        aged = any(one.max_price_age is not None for one in terms.instruments.values())
        asked_for = ((limit_row, terms.require_row), (market_hours, terms.markets), (stale_price, aged))
        unused = {check for check, used in asked_for if not used}
        self._checks = tuple(check for check in CHECKS if check not in unused and check not in STANDING)
        self._known: dict[tuple[object, ...], tuple[Facts, tuple[Finding, ...]]] = {}
        self._found: dict[tuple[str, str, str], LimitRule | None] = {}
        self._rows: dict[tuple[str, str], tuple[Limit, ...]] = {}

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

    def named(self, client: str, account: str, day: date | None) -> bool:
        """Whether a hard row in force on that trade date names the client or the account."""
        if account not in self._terms.accounts:
            return False
        if (client, account) not in self._rows:
            hard = [row for row in self._terms.limit_rows if not row.soft]
            self._rows[client, account] = tuple([row for row in hard if _names(row, client, account)])
        at = day or date.min
        return any(row.first <= at <= row.last for row in self._rows[client, account])

    def judge(self, asked: Asked) -> list[Finding]:
        """Findings in order, up to and including the first refusal."""
        key = (asked.client, asked.account, asked.symbol, asked.trade_date, self._trading(), asked.adds_risk)
        known = self._known.get(key)
        if known is None or known[0].instrument is not self._terms.instruments.get(asked.symbol):
            known = self._learn(key, asked)
        facts, standing = known
        findings = list(standing)
        if not findings[-1].ok:
            return findings
        for check in self._checks:
            finding = check(asked, facts)
            findings.append(finding)
            if not finding.ok:
                break
        return findings

    def _learn(self, key: tuple[object, ...], asked: Asked) -> tuple[Facts, tuple[Finding, ...]]:
        """The facts about an order of these names, and what the standing checks say of it."""
        instrument = self._terms.instruments.get(asked.symbol)
        facts = Facts(
            self._trading(),
            instrument,
            self._terms.accounts.get(asked.account),
            self.limit_for(asked.client, asked.account, asked.symbol),
            self._terms.require_row and self.named(asked.client, asked.account, asked.trade_date),
            self._terms.markets.get(instrument.market) if instrument is not None else None,
        )
        findings = []
        for check in STANDING:
            findings.append(check(asked, facts))
            if not findings[-1].ok:
                break
        known = facts, tuple(findings)
        if instrument is not None and facts.account is not None:  # names that somebody makes up must not fill memory
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[key] = known
        return known


def _names(row: Limit, client: str, account: str) -> bool:
    """Whether a row is for this client or this account by name or by a pattern of names; `*` is everybody."""
    asked = {"client": client, "account": account}
    scope = [(part, pattern) for part, pattern in row.scope if part in asked]
    fits = all(fnmatchcase(asked[part], pattern) for part, pattern in scope)
    return fits and any(pattern.strip("*") for _, pattern in scope)
