"""What distinguishes two sets of limits: row by row, before and after, and whether orders may get through by it.

A change `raises` when some order could be taken after it that would have been refused before; where that cannot be
told it does. A row that is removed raises always. A row that is added may raise as well: of rows of one control and
one projection the most specific decides, so a generous row for one account undoes a strict one for all; and where a
row is what lets somebody trade at all ([limits] of oms.toml, `require_row`) every new name does.
Pure: two sets in, changes out. `limits.stage` and `limits.apply` are the commands that bring and apply a set.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Final, NamedTuple

from oms.core.controls import CONTROLS
from oms.core.order import decimal_text
from oms.core.terms import Limit, LimitRule

STAGE: Final = "limits.stage"
APPLY: Final = "limits.apply"
RAISED, LOWERED, ADDED, REMOVED = "raised", "lowered", "added", "removed"
PER_ORDER: Final = ("max_order_qty", "max_order_notional")  # of a rule of [limits]
_LONGER_IS_STRICTER: Final = frozenset({"duplicate_order"})
_LENIENCE: Final[Mapping[str, int]] = {"refuse": 0, "located": 1, "allowed": 2}
_MANY: Final = 1_000  # limits per order that are compared with each other
_LOOKS: Final = 1_000_000  # pairs of rows that are; what is not compared counts as raised
_MAGIC: Final = frozenset("*?[")

Scope = tuple[tuple[str, str], ...]


class LimitTerms(NamedTuple):
    """A whole set: the limits per order of [limits], whether each order needs a row, the rows of the limits file."""

    rules: tuple[LimitRule, ...]
    require_row: bool
    rows: tuple[Limit, ...]


class Change(NamedTuple):
    """One row that is another. `before` or `after` is '' where there is none; `row` names its place in its file."""

    kind: str
    control: str
    scope: str
    before: str
    after: str
    raises: bool
    row: str

    @property
    def text(self) -> str:
        """For people: ``raised max_open_qty for account FUND1: 100 to 200``."""
        values = " to ".join(one for one in (self.before, self.after) if one)
        return f"{self.kind} {self.control} for {self.scope}: {values}"


def compare(old: LimitTerms, new: LimitTerms) -> list[Change]:
    """All changes from one set to the other: those of [limits] first, then rows in the order of the new file."""
    changes = [*_switch(old, new), *_rules(old.rules, new.rules), *_rows(old, new)]
    return [one for one in changes if one.before != one.after]


def counted(changes: Iterable[Change]) -> str:
    """``2 raised, 1 removed``; `nothing changes` for none."""
    numbers: dict[str, int] = defaultdict(int)
    for one in changes:
        numbers[one.kind] += 1
    kinds = (RAISED, LOWERED, ADDED, REMOVED)
    return ", ".join(f"{numbers[kind]} {kind}" for kind in kinds if numbers[kind]) or "nothing changes"


def value_text(row: Limit) -> str:
    """The value of a row as it is written in the limits file, with its level and days where they are not usual."""
    kind = CONTROLS[row.control].value
    text = ";".join(sorted(row.words)) if row.words else decimal_text(row.amount)
    text += {"ratio": f" after {row.per}", "window": f" in {row.per}"}.get(kind, "")
    days = (f"from {row.first}" if row.first > date.min else "", f"to {row.last}" if row.last < date.max else "")
    return " ".join([text, *(["soft"] if row.soft else []), *[one for one in days if one]])


def scope_text(scope: Scope) -> str:
    """A scope for people."""
    return ", ".join(f"{name} {pattern}" for name, pattern in scope) or "the firm"


def as_strict(new: Limit, old: Limit) -> bool:
    """Whether a value lets no order through that another of the same control refuses."""
    kind = CONTROLS[old.control].value
    if kind == "amount":
        return new.amount >= old.amount if old.control in _LONGER_IS_STRICTER else new.amount <= old.amount
    if kind == "ratio":
        return new.amount <= old.amount and new.per <= old.per
    if kind == "window":
        return new.amount <= old.amount and new.per >= old.per
    if kind == "codes":
        return new.words <= old.words
    if new.words <= _LENIENCE.keys() and old.words <= _LENIENCE.keys():
        return max(map(_LENIENCE.__getitem__, new.words)) <= min(map(_LENIENCE.__getitem__, old.words))
    return "all" in new.words or new.words >= old.words  # what is restricted


# -- [limits] of oms.toml ----------------------------------------------------------------------------------


def _switch(old: LimitTerms, new: LimitTerms) -> Iterable[Change]:
    if old.require_row != new.require_row:
        before, after = (str(one).lower() for one in (old.require_row, new.require_row))
        kind = RAISED if old.require_row else LOWERED
        yield Change(kind, "require_row", "the firm", before, after, old.require_row, "[limits]")


def _rules(old: Sequence[LimitRule], new: Sequence[LimitRule]) -> Iterable[Change]:
    before, after = ({_aim(one): one for one in rules} for rules in (old, new))
    for aim, rule in after.items():
        was = before.get(aim)
        # Without a rule an order is refused: a new one raises unless every rule it takes orders from is as wide.
        few = old if len(old) <= _MANY else ()
        others = [one for one in few if _meet(aim, _aim(one))] if was is None else [was]
        for name in PER_ORDER:
            value = getattr(rule, name)
            raises = not others or any(_more(value, getattr(one, name)) for one in others)
            known = "" if was is None else _amount(getattr(was, name))
            kind = ADDED if was is None else RAISED if raises else LOWERED
            yield Change(kind, name, scope_text(_named(aim)), known, _amount(value), raises, rule.name)
    for aim, rule in before.items():
        if aim not in after:
            for name in PER_ORDER:
                known = _amount(getattr(rule, name))
                yield Change(REMOVED, name, scope_text(_named(aim)), known, "", True, rule.name)


def _aim(rule: LimitRule) -> Scope:
    return (("client", rule.client), ("account", rule.account), ("symbol", rule.symbol))


def _named(aim: Scope) -> Scope:
    return tuple([one for one in aim if one[1] != "*"])


def _amount(value: object) -> str:
    return "no limit" if value is None else str(value)


def _more(value: object, than: object) -> bool:
    """Whether a limit per order is above another; None is none."""
    if value is None or than is None:
        return value is None and than is not None
    return bool(value > than)  # type: ignore[operator]


# -- rows of the limits file -------------------------------------------------------------------------------


def _rows(old: LimitTerms, new: LimitTerms) -> Iterable[Change]:
    before, after = ({_key(one): one for one in rows} for rows in (old.rows, new.rows))
    gone = {key: row for key, row in before.items() if key not in after}
    hardened = {(row.control, row.scope, row.first, row.last): key for key, row in gone.items()}
    groups: dict[object, _Group] = defaultdict(_Group)
    for row in old.rows:
        groups[_group(row)].add(row)
    looks = _LOOKS
    doors = {door for row in old.rows if not row.soft and (door := _door(row))}
    for key, row in after.items():
        was = before.get(key)
        if was is None and (other := hardened.get((row.control, row.scope, row.first, row.last))) is not None:
            was = gone.pop(other)  # soft now and hard then, or the other way round
        if was is None:
            opens = new.require_row and not row.soft and bool(door := _door(row)) and door not in doors
            others = groups[_group(row)].near(row)
            looks -= len(others)
            undoes = any(not as_strict(row, one) for one in others if looks > 0 and _meet(row.scope, one.scope))
            raises = opens or undoes or looks <= 0
            yield _change(ADDED, None, row, raises)
        elif was != row._replace(name=was.name):
            raises = row.soft > was.soft or not as_strict(row, was)
            yield _change(RAISED if raises else LOWERED, was, row, raises)
    for row in gone.values():
        yield _change(REMOVED, row, None, True)


class _Group:
    """Rows of one control and one projection: those of exact names by them, and those of patterns."""

    def __init__(self) -> None:
        self._all: list[Limit] = []
        self._exact: dict[Scope, list[Limit]] = defaultdict(list)
        self._patterns: list[Limit] = []

    def add(self, row: Limit) -> None:
        self._all.append(row)
        if _exact(row.scope):
            self._exact[row.scope].append(row)
        else:
            self._patterns.append(row)

    def near(self, row: Limit) -> list[Limit]:
        """Those that may be about the same orders; more than are."""
        return [*self._exact.get(row.scope, ()), *self._patterns] if _exact(row.scope) else self._all


def _exact(scope: Scope) -> bool:
    return all(_MAGIC.isdisjoint(pattern) for _, pattern in scope)


def _change(kind: str, was: Limit | None, row: Limit | None, raises: bool) -> Change:
    one = row or was
    assert one is not None
    before, after = ("" if limit is None else value_text(limit) for limit in (was, row))
    return Change(kind, one.control, scope_text(one.scope), before, after, raises, one.name)


def _key(row: Limit) -> tuple[object, ...]:
    return row.control, row.scope, row.soft, row.first, row.last


def _group(row: Limit) -> tuple[object, ...]:
    return row.control, tuple([name for name, _ in row.scope]), row.soft


def _door(row: Limit) -> Scope:
    """The names by which a row lets a client or account trade where each order needs a row."""
    return tuple([one for one in row.scope if one[0] in ("client", "account") and one[1].strip("*")])


def _meet(one: Scope, other: Scope) -> bool:
    """Whether two scopes of the same dimensions may be about the same order; two different names are not."""
    return all(
        mine == theirs or not (_MAGIC.isdisjoint(mine) and _MAGIC.isdisjoint(theirs))
        for (_, mine), (_, theirs) in zip(one, other, strict=True)
    )
