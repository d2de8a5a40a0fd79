"""Holds a message against what it must say: field by field, numbers as numbers, absent fields as absent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from oms.certify.versions import field_name
from oms.sim.wire import Message, decimal_of

_NUMBERS = frozenset(["38", "14", "151", "32", "31", "6", "44", "152", "424", "425", "426"])


class Difference(NamedTuple):
    """A field that is not as it must be."""

    field: str
    expected: str
    received: str

    def __str__(self) -> str:
        return f"{self.field:<24} expected {self.expected:<28} received {self.received}"


def differences(wanted: Mapping[str, str | None], got: Message) -> list[Difference]:
    """What differs, in the order of `wanted`; None there means that the message must not have the field.

    A quantity of 0 and none are the same only where the number is LastQty(32) or LastPx(31) of no trade.
    """
    found = []
    for tag, value in wanted.items():
        have = got.get(int(tag))
        if not _same(tag, value, have):
            found.append(Difference(field_name(tag), _shown(value), _shown(have)))
    return found


def _same(tag: str, wanted: str | None, have: str | None) -> bool:
    if tag in _NUMBERS and wanted is not None and have is not None:
        return decimal_of(wanted) == decimal_of(have)
    if tag in ("32", "31") and {wanted, have} <= {None, "0"}:
        return True
    return wanted == have


def _shown(value: str | None) -> str:
    return "nothing" if value is None else value
