"""What a check of the limits gets and gives: one order, the row that decides, the answer with its numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import NamedTuple

from oms.core.exposure import Exposure
from oms.core.order import decimal_text
from oms.core.risk import EXCEEDS_LIMIT, Asked
from oms.core.sums import BUYS, Key, Part, Projection, Totals
from oms.core.terms import Instrument, Limit


class Case(NamedTuple):
    """One order: what is asked, and what it is about."""

    asked: Asked
    about: Mapping[str, str]
    instrument: Instrument | None
    fields: tuple[tuple[str, str], ...]
    exposure: Exposure

    @property
    def buys(self) -> bool:
        """Whether the order buys."""
        return self.asked.side in BUYS

    @property
    def reference(self) -> Decimal | None:
        """The instrument's reference price, None where it has none."""
        return self.instrument.reference_price if self.instrument is not None else None


Outcome = tuple[bool, str]  # whether a check passes, and the numbers it compared


class Row:
    """A row of the limits as it decides about orders of one key: made once, read at every one of them."""

    __slots__ = (
        "adds_risk", "amount", "by_reference", "check", "counter", "key", "name", "ord_rej_reason", "per",
        "projection", "soft", "text", "values", "whose", "words",
    )  # fmt: skip

    def __init__(self, limit: Limit, control: Control, values: tuple[str, ...], currency: str) -> None:
        self.name, self.soft = limit.control, limit.soft
        self.amount, self.per, self.words = limit.amount, limit.per, limit.words
        self.text = ", ".join(sorted(limit.words)) if limit.words else decimal_text(limit.amount)
        self.projection: Projection = tuple([name for name, _ in limit.scope])
        self.values = values
        self.key: Key = (self.projection, values, currency)
        self.counter = (*self.projection, str(limit.soft))
        self.whose = f" ({_whose(self.projection, values)}, {limit.name})"
        self.by_reference = control.by_reference
        self.check, self.ord_rej_reason, self.adds_risk = control.check, control.ord_rej_reason, control.adds_risk


Check = Callable[[Case, Row, Totals, Part], Outcome]  # the totals now, and what the order would add


class Control(NamedTuple):
    """How a control is checked, what its value is, and OrdRejReason(103) where it refuses."""

    check: Check
    value: str  # amount; ratio: one `after` so many orders; window: so many `in` seconds; codes: FIX values; or words
    ord_rej_reason: str = EXCEEDS_LIMIT
    adds_risk: bool = True  # judged by what is added: what adds nothing passes
    by_reference: bool = False  # compares with the reference price, so an old one refuses


def most(value: Decimal | int, row: Row, what: str) -> Outcome:
    """Whether a number is within the row's, with both."""
    number = decimal_text(value) if isinstance(value, Decimal) else value
    if value <= row.amount:
        return True, f"{number} {what} within {row.text}"
    return False, f"{number} {what} exceeds {row.text}"


def _whose(projection: Projection, values: tuple[str, ...]) -> str:
    pairs = zip(projection, values, strict=True)
    return ", ".join(f"{name} {value or 'absent'}" for name, value in pairs) or "the firm"
