"""Breakers as the core meets them: live by the rules in force, or recorded as the journal has them.

`breakers.look` is heard when time has brought something about (`oms.breaker_watch`); `breakers.trip` and
`breakers.reset` are operators'. What follows from the steps is done elsewhere (`breaker_side`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final, Protocol

from oms.core.book import Book
from oms.core.breaker_counts import Counts
from oms.core.breaker_rules import SCOPE, About, Step
from oms.core.breakers import Breakers, micros_of
from oms.core.effects import Effects
from oms.core.messages import Command, Event
from oms.core.order import Order

LOOK, TRIP, RESET = "breakers.look", "breakers.trip", "breakers.reset"
VERBS: Final = (LOOK, TRIP, RESET)


class BreakerSide(Protocol):
    """What the core asks of breakers, live or recorded."""

    def refusal(self, about: About, probe: bool) -> str:
        """Why something must not go, '' where it may. `probe`: it is a new order."""

    def known(self, order: Order) -> None:
        """An order came back from the ledger."""

    def after(self, event: Event, fx: Effects, book: Book, fills: int, items: int) -> list[Step]:
        """Count an event that was applied; the steps that it brought about."""

    def command(self, event: Event, msg: Command) -> str:
        """Do what is commanded; why not, '' where it is done."""

    def has_item(self, step: Step, item_id: str) -> None:
        """The exception item of a breaker that opened."""


class LiveBreakers:
    """Breakers by the configuration in force."""

    def __init__(self, breakers: Breakers, counts: Counts) -> None:
        self.breakers, self.counts = breakers, counts
        self.looks = 0  # that were heard

    def refusal(self, about: About, probe: bool) -> str:
        """What is open for it, in words."""
        return self.breakers.refusal(about, probe)

    def known(self, order: Order) -> None:
        """What it has traded counts already."""
        self.counts.known(order)

    def has_item(self, step: Step, item_id: str) -> None:
        """Kept with the breaker."""
        self.breakers.has_item(step, item_id)

    def after(self, event: Event, fx: Effects, book: Book, fills: int, items: int) -> list[Step]:
        """Count what happened."""
        self.counts.take(event, fx, book, fills, items)
        return self.breakers.steps()

    def command(self, event: Event, msg: Command) -> str:
        """An operator's command, or that time has brought something about."""
        args = dict(msg.args)
        at = micros_of(event.received_at)
        scope = scope_of(args)
        name = args.get("breaker", "")
        if msg.verb == LOOK:
            self.looks += 1
            self.counts.mark()
            self.breakers.tick(at, Decimal(args.get("database_lag", "0")))
            return ""
        if msg.verb == TRIP:
            return self.breakers.trip_by(name, scope, msg.operator, at)
        why = f"reset by {msg.operator}: {args.get('text', '')}"
        return self.breakers.reset_by(name, None if args.get("all") == "Y" else scope, why)


class RecordedBreakers:
    """Repeats the steps of the event in hand. `detail` gives its decision."""

    def __init__(self, detail: Callable[[], Mapping[str, Any]]) -> None:
        self._detail = detail

    def refusal(self, about: About, probe: bool) -> str:
        """The verdict is recorded."""
        return ""

    def known(self, order: Order) -> None:
        """Nothing is counted."""

    def after(self, event: Event, fx: Effects, book: Book, fills: int, items: int) -> list[Step]:
        """As it was."""
        return [Step.of_fact(fact) for fact in self._detail().get("breakers", ())]

    def command(self, event: Event, msg: Command) -> str:
        """As it was."""
        return str(self._detail().get("refused", ""))

    def has_item(self, step: Step, item_id: str) -> None:
        """Nothing is kept."""


def scope_of(args: Mapping[str, str]) -> dict[str, str]:
    """The values of a breaker's scope that a command gives."""
    return {part: args[part] for part in SCOPE if args.get(part)}
