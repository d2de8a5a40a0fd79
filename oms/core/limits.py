"""Limits on projections: which rows apply to an order, and the checks they ask for.

A row names a control, a scope (patterns for some of DIMENSIONS) and a value. The names in its scope are its
projection: every combination of their values has its own totals, so `client = "*"` is a limit for each client and an
empty scope one for the firm. Of rows of one control and one projection the most specific that matches decides; rows
of several projections must all be kept. A soft row lets the order pass and says so, beside the hard one of its kind.
Law: fail closed, what a check cannot evaluate it refuses; a replace is judged by what it adds, and one that adds
nothing passes. Adding a control is one function and its line in CONTROLS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from decimal import Decimal
from fnmatch import fnmatchcase
from operator import itemgetter
from typing import NamedTuple

from oms.core.exposure import BUYS, Counted, Exposure, Part, Projection, Totals, value_of
from oms.core.order import ZERO, decimal_text
from oms.core.risk import BROKER_OPTION, EXCEEDS_LIMIT, OTHER, UNSUPPORTED, Asked, Finding
from oms.core.terms import Instrument, Limit

SOFT = "soft: "  # begins the text of a finding that passes although the row is not kept
_REMEMBERED = 10_000  # combinations of values whose row is known, per control and projection
_MAGIC = frozenset("*?[")
_SHORT = frozenset("56")
_LOCATED = ("114", "N")  # LocateReqd(114): the shares are located already


class Case(NamedTuple):
    """One order: what is asked, and what it is about."""

    asked: Asked
    about: Mapping[str, str]
    instrument: Instrument | None
    fields: tuple[tuple[str, str], ...]
    exposure: Exposure
    asks: int = 0  # new orders and replaces in the second up to now, of the row's key; for max_order_rate only

    @property
    def buys(self) -> bool:
        """Whether the order buys."""
        return self.asked.side in BUYS


class Outcome(NamedTuple):
    """Whether a check passes, with the numbers it compared."""

    ok: bool
    text: str


Check = Callable[[Case, Limit, Totals, Part], Outcome]  # the totals now, and what the order would add


def _most(value: Decimal | int, limit: Limit, what: str) -> Outcome:
    ok = value <= limit.amount
    number = decimal_text(value) if isinstance(value, Decimal) else value
    return Outcome(ok, f"{number} {what} {'within' if ok else 'exceeds'} {decimal_text(limit.amount)}")


def order_qty(case: Case, limit: Limit, now: Totals, adds: Part) -> Outcome:
    """OrderQty(38) of one order."""
    return _most(case.asked.order_qty, limit, "OrderQty(38)")


def order_notional(case: Case, limit: Limit, now: Totals, adds: Part) -> Outcome:
    """Quantity times price of one order; a market order is valued at the reference price."""
    value = _valued(case)
    return value if isinstance(value, Outcome) else _most(value, limit, case.about["currency"])


def open_orders(case: Case, limit: Limit, now: Totals, adds: Part) -> Outcome:
    """Orders that may still trade."""
    return _most(now.open_orders + adds.open_orders, limit, "open orders")


def open_qty(case: Case, limit: Limit, now: Totals, adds: Part) -> Outcome:
    """Shares that may still trade, both sides."""
    return _most(now.open_buy + now.open_sell + adds.open_qty, limit, "shares open")


def open_notional(case: Case, limit: Limit, now: Totals, adds: Part) -> Outcome:
    """Money of what may still trade, both sides."""
    open_now = now.open_buy_money + now.open_sell_money
    return _most(open_now + adds.open_money, limit, f"{case.about['currency']} open")


def day_qty(case: Case, limit: Limit, now: Totals, adds: Part) -> Outcome:
    """Shares traded today and open."""
    used = now.day_qty + now.open_buy + now.open_sell
    return _most(used + adds.open_qty, limit, "shares traded today and open")


def day_notional(case: Case, limit: Limit, now: Totals, adds: Part) -> Outcome:
    """Money traded today and open."""
    used = now.day_money + now.open_buy_money + now.open_sell_money
    return _most(used + adds.open_money, limit, f"{case.about['currency']} traded today and open")


def day_orders(case: Case, limit: Limit, now: Totals, adds: Part) -> Outcome:
    """New orders of the day."""
    return _most(now.day_orders + adds.open_orders, limit, "orders today")


def position(case: Case, limit: Limit, now: Totals, adds: Part) -> Outcome:
    """The position, long or short, if all that is open on the order's side trades."""
    worst = now.net + now.open_buy if case.buys else now.open_sell - now.net
    return _most(worst + adds.open_qty, limit, "shares long" if case.buys else "shares short")


def net_notional(case: Case, limit: Limit, now: Totals, adds: Part) -> Outcome:
    """Money bought less sold (or sold less bought) if all that is open on the order's side trades."""
    worst = now.net_money + now.open_buy_money if case.buys else now.open_sell_money - now.net_money
    return _most(worst + adds.open_money, limit, f"{case.about['currency']} net {'bought' if case.buys else 'sold'}")


def price_collar(case: Case, limit: Limit, now: Totals, adds: Part) -> Outcome:
    """Prices within so many percent of the reference price; market orders have none to look at."""
    reference = case.instrument.reference_price if case.instrument is not None else None
    prices = [("Price(44)", case.asked.price), ("StopPx(99)", case.asked.stop_px)]
    given = [(name, price) for name, price in prices if price is not None]
    if not given:
        return Outcome(True, "no price to look at")
    if not reference:
        return Outcome(False, f"no reference price for {case.asked.symbol}")
    for name, price in given:
        if abs(price - reference) * 100 > limit.amount * reference:
            far = f"{decimal_text(limit.amount)} % from {decimal_text(reference)}"
            return Outcome(False, f"{name} {decimal_text(price)} is over {far}")
    return Outcome(True, f"within {decimal_text(limit.amount)} % of {decimal_text(reference)}")


def volume_share(case: Case, limit: Limit, now: Totals, adds: Part) -> Outcome:
    """OrderQty(38) as a percentage of the average daily volume."""
    volume = case.instrument.average_volume if case.instrument is not None else None
    if not volume:
        return Outcome(False, f"no average_volume for {case.asked.symbol}")
    ok = case.asked.order_qty * 100 <= limit.amount * volume
    share = f"OrderQty(38) {decimal_text(case.asked.order_qty)} of {decimal_text(volume)} shares a day"
    return Outcome(ok, f"{share} {'within' if ok else 'exceeds'} {decimal_text(limit.amount)} %")


def ord_types(case: Case, limit: Limit, now: Totals, adds: Part) -> Outcome:
    """OrdType(40) is one of those allowed."""
    return Outcome(case.asked.ord_type in limit.words, f"OrdType(40) {case.asked.ord_type} of {_listed(limit)}")


def times_in_force(case: Case, limit: Limit, now: Totals, adds: Part) -> Outcome:
    """TimeInForce(59) is one of those allowed; absent is day."""
    given = case.asked.time_in_force or "0"
    return Outcome(given in limit.words, f"TimeInForce(59) {given} of {_listed(limit)}")


def restricted(case: Case, limit: Limit, now: Totals, adds: Part) -> Outcome:
    """No orders, no buys, or no sells."""
    what = "buy" if case.buys else "sell"
    hit = limit.words & {"all", what}
    return Outcome(
        not hit, f"{'all orders' if 'all' in hit else f'{what} orders'} are restricted" if hit else "not restricted"
    )


def short_sales(case: Case, limit: Limit, now: Totals, adds: Part) -> Outcome:
    """Side(54) 5 and 6: refused, or only with shares located (LocateReqd(114)=N)."""
    if case.asked.side not in _SHORT:
        return Outcome(True, "no short sale")
    if "refuse" in limit.words:
        return Outcome(False, f"Side(54) {case.asked.side}: short sales are refused")
    ok = _LOCATED in case.fields
    return Outcome(ok, f"Side(54) {case.asked.side} {'with' if ok else 'needs'} LocateReqd(114)=N")


def order_rate(case: Case, limit: Limit, now: Totals, adds: Part) -> Outcome:
    """New orders and replaces within one second, less those it refused itself; cancels never count."""
    return _most(case.asks, limit, "orders in one second")


def duplicate_order(case: Case, limit: Limit, now: Totals, adds: Part) -> Outcome:
    """The same client, account, symbol, side, quantity and prices within so many seconds."""
    asked = case.asked
    if asked.at is None or not adds.open_orders:
        return Outcome(True, "not a new order")
    terms = (asked.client, asked.account, asked.symbol, asked.side, asked.order_qty, asked.price, asked.stop_px)
    then = case.exposure.asked_before(terms, asked.at, limit.amount)
    if then is None:
        return Outcome(True, f"none like it within {decimal_text(limit.amount)} s")
    return Outcome(False, f"the same order came {(asked.at - then).total_seconds():.3f} s before")


def _valued(case: Case) -> Decimal | Outcome:
    value = value_of(case.asked.order_qty, case.asked.price, case.asked.stop_px, case.instrument)
    return value or Outcome(False, f"no price to value {case.asked.symbol} at")


def _listed(limit: Limit) -> str:
    return ", ".join(sorted(limit.words))


class Control(NamedTuple):
    """How a control is checked, what its value is, and OrdRejReason(103) where it refuses."""

    check: Check
    value: str  # amount, or the words it may have, set apart by |; 'codes': FIX values
    ord_rej_reason: str = EXCEEDS_LIMIT
    adds_risk: bool = True  # judged by what is added: what adds nothing passes


CONTROLS: dict[str, Control] = {
    "max_order_rate": Control(order_rate, "amount", BROKER_OPTION, adds_risk=False),
    "max_order_qty": Control(order_qty, "amount", adds_risk=False),
    "max_order_notional": Control(order_notional, "amount", adds_risk=False),
    "ord_types": Control(ord_types, "codes", UNSUPPORTED, adds_risk=False),
    "times_in_force": Control(times_in_force, "codes", UNSUPPORTED, adds_risk=False),
    "restricted": Control(restricted, "all|buy|sell", BROKER_OPTION),
    "short_sales": Control(short_sales, "refuse|located", OTHER, adds_risk=False),
    "price_collar": Control(price_collar, "amount", adds_risk=False),
    "max_volume_share": Control(volume_share, "amount", adds_risk=False),
    "duplicate_order": Control(duplicate_order, "amount", OTHER),
    "max_open_orders": Control(open_orders, "amount"),
    "max_open_qty": Control(open_qty, "amount"),
    "max_open_notional": Control(open_notional, "amount"),
    "max_day_orders": Control(day_orders, "amount"),
    "max_day_qty": Control(day_qty, "amount"),
    "max_day_notional": Control(day_notional, "amount"),
    "max_position": Control(position, "amount"),
    "max_net_notional": Control(net_notional, "amount"),
}


def specificity(limit: Limit) -> tuple[int, int, int]:
    """How closely a row is aimed: exact names, then patterns with something in them, then their length."""
    texts = [pattern for _, pattern in limit.scope]
    exact = sum(_MAGIC.isdisjoint(text) for text in texts)
    return exact, sum(text != "*" for text in texts) - exact, sum(len(text) for text in texts)


class _Group:
    """Rows of one control and one projection: those of exact names by their names, the rest by specificity."""

    __slots__ = ("control", "day", "exact", "found", "name", "patterns", "projection", "values")

    def __init__(self, name: str, projection: Projection, rows: Iterable[Limit]) -> None:
        self.name, self.projection, self.control = name, projection, CONTROLS[name]
        self.values = _getter(projection)
        self.found: dict[tuple[str, ...], tuple[Limit, str] | None] = {}
        self.day = date.min  # on which `found` was found
        self.exact: dict[tuple[str, ...], list[Limit]] = {}
        self.patterns: list[Limit] = []
        for row in rows:
            values = tuple(pattern for _, pattern in row.scope)
            if all(_MAGIC.isdisjoint(text) for text in values):
                self.exact.setdefault(values, []).append(row)
            else:
                self.patterns.append(row)
        self.patterns.sort(key=specificity, reverse=True)

    def deciding(self, values: tuple[str, ...], day: date) -> tuple[Limit, str] | None:
        """The row that decides, and what a finding says of whose totals it is about and of the row."""
        if day == self.day and values in self.found:
            return self.found[values]
        if (
            day != self.day or len(self.found) >= _REMEMBERED
        ):  # names of traders are anybody's: they must not fill memory
            self.found.clear()
            self.day = day
        row = self._search(values, day)
        found = None if row is None else (row, f" ({_whose(self.projection, values)}, {row.name})")
        self.found[values] = found
        return found

    def _search(self, values: tuple[str, ...], day: date) -> Limit | None:
        for row in self.exact.get(values, ()):
            if row.first <= day <= row.last:
                return row
        for row in self.patterns:
            hits = all(fnmatchcase(value, pattern) for value, (_, pattern) in zip(values, row.scope, strict=True))
            if hits and row.first <= day <= row.last:
                return row
        return None


class LimitBook:
    """All rows, prepared. Rebuilt when the configuration changes, never mutated by orders."""

    def __init__(self, rows: Iterable[Limit]) -> None:
        groups: dict[tuple[str, Projection, bool], list[Limit]] = {}
        for row in rows:
            groups.setdefault((row.control, tuple(name for name, _ in row.scope), row.soft), []).append(row)
        order = {control: number for number, control in enumerate(CONTROLS)}
        self._groups = [
            _Group(control, projection, groups[control, projection, soft])
            for control, projection, soft in sorted(groups, key=lambda one: (order[one[0]], *one[1:]))
        ]
        repeats = [row.amount for row in rows if row.control == "duplicate_order"]
        self.repeats = int(max(repeats, default=ZERO))

    @property
    def projections(self) -> frozenset[Projection]:
        """Those whose totals some row looks at."""
        return frozenset(group.projection for group in self._groups)

    def judge(
        self, asked: Asked, about: Mapping[str, str], instrument: Instrument | None,
        fields: tuple[tuple[str, str], ...], exposure: Exposure,
    ) -> list[Finding]:  # fmt: skip
        """Findings in the order of CONTROLS up to the first refusal; one that only warns begins with SOFT."""
        findings: list[Finding] = []
        day = asked.trade_date or date.min
        leaves = max(asked.order_qty - asked.cum_qty, ZERO)
        whole = Part(1, leaves, value_of(leaves, asked.price, asked.stop_px, instrument))
        case = Case(asked, about, instrument, fields, exposure)
        for group in self._groups:
            values = group.values(about)
            decides = group.deciding(values, day)
            if decides is None:
                continue
            row, whose = decides
            projection, control = group.projection, group.control
            adds = whole if asked.counted is None else _added(whole, asked.counted, projection, about)
            if control.adds_risk and not (adds.open_qty or adds.open_money):
                continue
            now = exposure.totals(projection, values, about["currency"], day)
            if control.check is order_rate and asked.at is not None:
                case = case._replace(asks=exposure.asks((*projection, str(row.soft)), values, asked.at, row.amount))
            ok, text = control.check(case, row, now, adds)
            if not ok and row.soft:
                ok, text = True, SOFT + text
            findings.append(Finding(group.name, ok, text + whose, control.ord_rej_reason))
            if not ok:
                break
        return findings


def _getter(projection: Projection) -> Callable[[Mapping[str, str]], tuple[str, ...]]:
    """The values of a projection's dimensions, as a tuple however many they are."""
    if len(projection) > 1:
        return itemgetter(*projection)
    return lambda about: tuple([about[name] for name in projection])


def _added(whole: Part, counted: Counted, projection: Projection, about: Mapping[str, str]) -> Part:
    """What an order would add to the totals of a projection; at another broker than now all of it is new there."""
    if "broker" in projection and counted.about["broker"] != about["broker"]:
        return whole
    known = counted.part
    return Part(
        max(whole.open_orders - known.open_orders, 0),
        max(whole.open_qty - known.open_qty, ZERO),
        max(whole.open_money - known.open_money, ZERO),
    )


def _whose(projection: Projection, values: tuple[str, ...]) -> str:
    pairs = zip(projection, values, strict=True)
    return ", ".join(f"{name} {value or 'absent'}" for name, value in pairs) or "the firm"
