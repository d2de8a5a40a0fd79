"""What circuit breakers count: events over a time that moves along with them, and money lost in a day.

A window is counted in tenths: it forgets a tenth at a time, so what it holds is of the last nine to ten tenths, and
its memory does not grow with the number of events. Time is that of the events; an event that is a little older than
the one before counts as of the same tenth. A loss is that of the day's fills: what was held before does not count.
"""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from typing import Final

from oms.core.order import ZERO

TENTHS: Final = 10


class Window:
    """How many there were lately, and how many of them were bad. `seconds` is its length."""

    __slots__ = ("_slots", "_tenth", "bad", "total")

    def __init__(self, seconds: int) -> None:
        self._tenth = seconds * 1_000_000 // TENTHS
        self._slots: deque[list[int]] = deque()  # number of the tenth, total, bad
        self.total = 0
        self.bad = 0

    def add(self, at: int, bad: int) -> None:
        """One more at a time in microseconds; `bad` is 1 or 0."""
        slot, slots = at // self._tenth, self._slots
        if slots and slots[-1][0] >= slot:
            last = slots[-1]
            last[1] += 1
            last[2] += bad
        else:
            self._forget(slot)
            slots.append([slot, 1, bad])
        self.total += 1
        self.bad += bad

    def _forget(self, slot: int) -> None:
        slots = self._slots
        while slots and slots[0][0] <= slot - TENTHS:
            _, total, bad = slots.popleft()
            self.total -= total
            self.bad -= bad

    def is_idle(self, at: int) -> bool:
        """Whether nothing in it counts any more."""
        return not self._slots or self._slots[-1][0] <= at // self._tenth - TENTHS

    def clear(self) -> None:
        """Begin anew."""
        self._slots.clear()
        self.total = self.bad = 0


class Entry:
    """What the fills of a day did in one symbol: shares and money, and what that is worth at the mark."""

    __slots__ = ("cash", "currency", "net", "worth")

    def __init__(self, currency: str) -> None:
        self.currency = currency
        self.net = self.cash = self.worth = ZERO


class Losses:
    """Money lost by the fills of a day, realised and marked, by currency."""

    __slots__ = ("_base", "_entries", "_worth")

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}  # by symbol
        self._worth: dict[str, Decimal] = {}  # by currency
        self._base: dict[str, Decimal] = {}  # the loss from which on is counted

    def trade(self, symbol: str, currency: str, qty: Decimal, money: Decimal, price: Decimal) -> Decimal:
        """Shares and money move: both above zero for what is bought, below for what is sold. Returns the loss now."""
        entry = self._entries.get(symbol)
        if entry is None:
            entry = self._entries[symbol] = Entry(currency)
        entry.net += qty
        entry.cash -= money
        loss = -self._mark(entry, price)
        return loss - self._base.get(currency, ZERO) if self._base else loss

    def mark(self, symbol: str, price: Decimal) -> None:
        """A symbol has another price."""
        entry = self._entries.get(symbol)
        if entry is not None:
            self._mark(entry, price)

    def _mark(self, entry: Entry, price: Decimal) -> Decimal:
        """What its currency's symbols are worth, with this one at another price."""
        worth = entry.cash + entry.net * price
        total = self._worth.get(entry.currency, ZERO) + worth - entry.worth
        self._worth[entry.currency], entry.worth = total, worth
        return total

    def worst(self) -> tuple[Decimal, str]:
        """The largest loss and its currency; zero or less where nothing is lost."""
        losses = [(-worth - self._base.get(one, ZERO), one) for one, worth in self._worth.items()]
        return max(losses, default=(ZERO, ""))

    def begin_here(self) -> None:
        """What is lost by now counts no more."""
        self._base = {currency: max(-worth, ZERO) for currency, worth in self._worth.items()}

    def clear(self) -> None:
        """A new day."""
        self._entries.clear()
        self._worth.clear()
        self._base.clear()
