"""The limits file: one row per limit on a projection, in CSV.

A row names a control, patterns for some of client, account, trader, symbol, asset_class, broker and currency (its
projection), and a value. What controls there are and what their values may be is the core's (`oms.core.limits`).
Limits: read once at start-up. Invariant: a row with any problem stops the start; no row is skipped.
"""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import BeforeValidator

from oms.config.problems import REQUIRED, Problems, Section, key, plain_decimal, suggestion
from oms.config.reference import lines
from oms.config.rules import ORD_TYPES, TIMES_IN_FORCE, Pattern, fix_value
from oms.core.exposure import DIMENSIONS
from oms.core.limits import CONTROLS
from oms.core.terms import Limit

_CODES = {"ord_types": (ORD_TYPES, "OrdType(40)"), "times_in_force": (TIMES_IN_FORCE, "TimeInForce(59)")}
_PER_SHARE = ("max_position",)  # shares of two symbols have no sum
_PER_SYMBOL = {"hard_to_borrow": "is a list of symbols"}
_PAIRS = {
    "ratio": (re.compile(r"(\S+) after ([0-9]{1,9})"), "a number above 0 and from how many orders on: 20 after 500"),
    "window": (re.compile(r"([0-9]{1,6}) in ([0-9]{1,5})"), "how many and in how many seconds, to 86400: 10 in 60"),
}
_MOST_SECONDS = 86_400


def _day(value: object) -> object:
    if isinstance(value, str):
        return date.fromisoformat(value)
    raise ValueError("not a date")


Day = Annotated[date, BeforeValidator(_day)]
_SCOPE = "a name or a pattern with *, ? or [..]"


class LimitRow(Section):
    """One line of the limits file."""

    control: str = key(REQUIRED, "What is limited.", expects="the name of a control", example="max_open_orders")
    client: Pattern | None = key(None, "Client session (OmsName).", expects=_SCOPE, example="CLIENT1")
    account: Pattern | None = key(None, "Account(1).", expects=_SCOPE, example="FUND*")
    trader: Pattern | None = key(
        None, "OnBehalfOfCompID(115), else SenderSubID(50).", expects=_SCOPE, example="alice"
    )
    symbol: Pattern | None = key(None, "Symbol(55).", expects=_SCOPE, example="AAPL")
    asset_class: Pattern | None = key(None, "Of the instruments file.", expects=_SCOPE, example="equity")
    broker: Pattern | None = key(None, "Broker session the order goes to.", expects=_SCOPE, example="BROKER1")
    currency: Pattern | None = key(None, "Of the instruments file.", expects=_SCOPE, example="USD")
    ord_type: Pattern | None = key(
        None, "OrdType(40): a word such as limit, or the FIX value.", expects=_SCOPE, example="stop"
    )
    value: str = key(
        REQUIRED,
        "The most that is taken; of a ratio with the orders from which on it applies (`20 after 500`), of a window "
        "with its seconds (`10 in 60`); for some controls words or FIX values separated by ;.",
        expects="a number, two numbers, or words",
        example="500",
    )
    level: Literal["hard", "soft"] = key(
        "hard", "hard refuses; soft takes the order and raises an item.", expects='"hard" or "soft"', example="hard"
    )
    first: Day | None = key(None, "First trade date it counts on.", expects="a date YYYY-MM-DD", example="2026-01-05")
    last: Day | None = key(None, "Last trade date it counts on.", expects="a date YYYY-MM-DD", example="2026-01-09")


def read_limit_rows(file: Path, named_by: str, problems: Problems) -> tuple[Limit, ...]:
    """All rows of the file in their order; what is wrong goes to `problems`."""
    rows: list[Limit] = []
    seen: dict[tuple[object, ...], int] = {}
    for line, values in lines(LimitRow, file, named_by, problems):
        row = problems.validated(LimitRow, {name: text for name, text in values.items() if text}, file, line)
        limit = None if row is None else _limit(row, file, line, problems)
        if limit is None:
            continue
        same = (limit.control, limit.scope, limit.soft, limit.first, limit.last)
        if same in seen:
            problems.add(file, f"line {line}", f"for the same orders and days as line {seen[same]}", "keep one")
            continue
        seen[same] = line
        rows.append(limit)
    return tuple(rows)


def _limit(row: LimitRow, file: Path, line: int, problems: Problems) -> Limit | None:
    if row.control not in CONTROLS:
        known = suggestion(row.control, CONTROLS)
        problems.add(file, f"line {line} control", f'no control "{row.control}"', known)
        return None
    scope = tuple((name, text) for name in DIMENSIONS if (text := _pattern(row, name)) is not None)
    first, last = row.first or date.min, row.last or date.max
    if first > last:
        problems.add(file, f"line {line} first", f"{first} is after {last}", "exchange or correct them")
        return None
    if row.control in _PER_SHARE and "symbol" not in dict(scope):
        problems.add(
            file, f"line {line} symbol", f"{row.control} counts shares, and those of two symbols have no sum",
            "give a symbol, or * for each symbol by itself",
        )  # fmt: skip
        return None
    if row.control in _PER_SYMBOL and row.symbol is None:
        problems.add(file, f"line {line} symbol", f"{row.control} {_PER_SYMBOL[row.control]}", "give one")
        return None
    value = _value(row, file, line, problems)
    if value is None:
        return None
    name = f"{file.name} line {line}"
    return Limit(name, row.control, scope, value.amount, value.words, row.level == "soft", first, last, value.per)


class _Value(NamedTuple):
    amount: Decimal = Decimal(0)
    words: frozenset[str] = frozenset()
    per: int = 0


def _pattern(row: LimitRow, name: str) -> str | None:
    """What a column of the scope says; of ord_type the FIX value of the word."""
    text = getattr(row, name)
    return ORD_TYPES.get(text, text) if name == "ord_type" and text is not None else text


def _pair(row: LimitRow, kind: str) -> _Value:
    found = _PAIRS[kind][0].fullmatch(row.value)
    amount = plain_decimal(found[1]) if found else None
    if found is None or not isinstance(amount, Decimal) or amount <= 0:
        raise ValueError("not two numbers")
    if kind == "window" and not 0 < int(found[2]) <= _MOST_SECONDS:
        raise ValueError("not so many seconds")
    return _Value(amount, per=int(found[2]))


def _value(row: LimitRow, file: Path, line: int, problems: Problems) -> _Value | None:
    kind = CONTROLS[row.control].value
    try:
        if kind == "amount":
            amount = plain_decimal(row.value)
            if not isinstance(amount, Decimal) or amount < 0:
                raise ValueError("not a number, or below zero")
            return _Value(amount)
        if kind in _PAIRS:
            return _pair(row, kind)
        words = [word.strip() for word in row.value.split(";")]
        if kind == "codes":
            return _Value(words=frozenset(fix_value(word, *_CODES[row.control]) for word in words))
        if not set(words) <= set(kind.split("|")):
            raise ValueError("not one of the words")
        return _Value(words=frozenset(words))
    except ValueError:
        wanted = {"amount": "a number of at least 0", "codes": "words such as limit;market, or FIX values"}
        wanted |= {kind: text for kind, (_, text) in _PAIRS.items()}
        remedy = f"write {wanted.get(kind, ' or '.join(kind.split('|')))}"
        problems.add(file, f"line {line} value", f'"{row.value}" is no value of {row.control}', remedy)
        return None
