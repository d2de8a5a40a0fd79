"""Limits on projections: which rows apply to an order, and what they say.

A row names a control (`oms.core.controls`), a scope (patterns for some of DIMENSIONS) and a value. The names in its
scope are its projection: every combination of their values has its own totals, so `client = "*"` is a limit for each
client and an empty scope one for the firm. Of rows of one control and one projection the most specific that matches
decides; rows of several projections must all be kept. A soft row lets the order pass and says so, beside the hard one
of its kind. Which rows decide about orders of the same values is found once and remembered.
A replace is judged by what it adds, and one that adds nothing passes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from fnmatch import fnmatchcase
from operator import itemgetter

from oms.core.cases import Case, Check, Control, Row
from oms.core.conduct import watched_by
from oms.core.controls import CONTROLS
from oms.core.exposure import Exposure
from oms.core.order import ZERO
from oms.core.prices import STALE, stale
from oms.core.risk import Asked, Finding
from oms.core.sums import NOTHING, Counted, Part, Projection, value_of
from oms.core.terms import Instrument, Limit

__all__ = ["CONTROLS", "SOFT", "Case", "Check", "Control", "LimitBook", "specificity"]

SOFT = "soft: "  # begins the text of a finding that passes although the row is not kept
_REMEMBERED = 10_000  # combinations of values whose rows are known
_MAGIC = frozenset("*?[")


def specificity(limit: Limit) -> tuple[int, int, int]:
    """How closely a row is aimed: exact names, then patterns with something in them, then their length."""
    texts = [pattern for _, pattern in limit.scope]
    exact = sum(_MAGIC.isdisjoint(text) for text in texts)
    return exact, sum(text != "*" for text in texts) - exact, sum(len(text) for text in texts)


class _Group:
    """Rows of one control and one projection: those of exact names by their names, the rest by specificity."""

    __slots__ = ("control", "exact", "patterns", "values")

    def __init__(self, name: str, projection: Projection, rows: Iterable[Limit]) -> None:
        self.control = CONTROLS[name]
        self.values = _getter(projection)
        self.exact: dict[tuple[str, ...], list[Limit]] = {}
        self.patterns: list[Limit] = []
        for row in rows:
            values = tuple(pattern for _, pattern in row.scope)
            if all(_MAGIC.isdisjoint(text) for text in values):
                self.exact.setdefault(values, []).append(row)
            else:
                self.patterns.append(row)
        self.patterns.sort(key=specificity, reverse=True)

    def deciding(self, about: Mapping[str, str], day: date) -> Row | None:
        """The row that decides about orders of these values, made ready; None where none is for them."""
        values = self.values(about)
        limit = self._search(values, day)
        return None if limit is None else Row(limit, self.control, values, about["currency"])

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
        rows = tuple(rows)
        groups: dict[tuple[str, Projection, bool], list[Limit]] = {}
        for row in rows:
            groups.setdefault((row.control, tuple(name for name, _ in row.scope), row.soft), []).append(row)
        order = {control: number for number, control in enumerate(CONTROLS)}
        ordered = sorted(groups, key=lambda one: (order[one[0]], *one[1:]))
        self._groups = [_Group(one[0], one[1], groups[one]) for one in ordered]
        self._deciding: dict[tuple[str, ...], tuple[Row, ...]] = {}
        self._day = date.min  # on which they decide
        self.projections = frozenset(projection for _, projection, _ in groups)  # whose totals some row looks at
        self.watched = watched_by(rows)

    def deciding(self, about: Mapping[str, str], day: date) -> tuple[Row, ...]:
        """The rows that decide about orders of these values, in the order of CONTROLS."""
        key = tuple(about.values())
        found = self._deciding.get(key) if day == self._day else None
        if found is None:
            if day != self._day or len(self._deciding) >= _REMEMBERED:
                self._deciding.clear()  # names of traders are anybody's: they must not fill memory
                self._day = day
            rows = [group.deciding(about, day) for group in self._groups]
            found = self._deciding[key] = tuple([row for row in rows if row is not None])
        return found

    def judge(
        self, asked: Asked, about: Mapping[str, str], instrument: Instrument | None,
        fields: tuple[tuple[str, str], ...], exposure: Exposure,
    ) -> list[Finding]:  # fmt: skip
        """Findings in the order of CONTROLS up to the first refusal; one that only warns begins with SOFT."""
        findings: list[Finding] = []
        day = asked.trade_date or date.min
        leaves = asked.order_qty - asked.cum_qty
        leaves = leaves if leaves > ZERO else ZERO
        whole = Part(1, leaves, value_of(leaves, asked.price, asked.stop_px, instrument))
        case = Case(asked, about, instrument, fields, exposure)
        totals, counted = exposure.on(day), asked.counted
        more = whole if counted is None else _added(whole, counted)
        elsewhere = counted is not None and counted.about["broker"] != about["broker"]
        for row in self.deciding(about, day):
            # At another broker than now all of it is new.
            adds = whole if elsewhere and "broker" in row.projection else more
            if row.adds_risk and not (adds.open_qty or adds.open_money):
                continue
            name = row.name
            if row.by_reference and (why := _stale(asked, instrument)):
                name, ok, text = STALE, False, why
            else:
                ok, text = row.check(case, row, totals(row.key) or NOTHING, adds)
            if not ok and row.soft:
                ok, text = True, SOFT + text
            findings.append(Finding(name, ok, text + row.whose, row.ord_rej_reason))
            if not ok:
                break
        return findings


def _stale(asked: Asked, instrument: Instrument | None) -> str:
    """Why the order's prices may not be compared with the reference price; '' where they may, or there are none."""
    has_price = asked.price is not None or asked.stop_px is not None
    return stale(instrument, asked.at) if has_price and asked.adds_risk else ""


def _getter(projection: Projection) -> Callable[[Mapping[str, str]], tuple[str, ...]]:
    """The values of a projection's dimensions, as a tuple however many they are."""
    if len(projection) > 1:
        return itemgetter(*projection)
    return lambda about: tuple([about[name] for name in projection])


def _added(whole: Part, counted: Counted) -> Part:
    """What an order that is in the totals already would add to them."""
    known = counted.part
    return Part(
        max(whole.open_orders - known.open_orders, 0),
        max(whole.open_qty - known.open_qty, ZERO),
        max(whole.open_money - known.open_money, ZERO),
    )
