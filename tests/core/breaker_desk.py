"""A desk with circuit breakers: their rules in one line each, and what clients are told."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal as D
from typing import Any

from oms.core import messages as m
from oms.core.breaker_counts import Counts
from oms.core.breaker_live import LOOK, RESET, TRIP, LiveBreakers
from oms.core.breaker_rules import SCOPE, Open, Rule
from oms.core.breakers import Breakers, micros_of
from oms.core.judge import LiveJudge
from oms.core.terms import Terms
from tests.core.desk import Desk
from tests.core.driver import BROKER, CLIENT, DAY, START
from tests.core.terms import TERMS


def rule(measure: str, threshold: object, name: str = "b1", **more: Any) -> Rule:
    """A rule; the parts of its scope by name."""
    scope = tuple((part, more.pop(part)) for part in SCOPE if part in more)
    return Rule(name, measure, scope, D(str(threshold)), **more)


class BreakerDesk(Desk):
    """The desk, with breakers."""

    def __init__(self, *rules: Rule, terms: Terms = TERMS, restored: tuple[Open, ...] = ()) -> None:
        super().__init__(terms)
        self.breakers = Breakers(rules, restored, START)
        self.counts = Counts(self.breakers, terms.instruments)
        judge = self.core._context.judge
        assert isinstance(judge, LiveJudge)
        judge.breakers = LiveBreakers(self.breakers, self.counts)
        self._counter = 0

    def ask(self, **more: Any) -> str:
        """A new order under the next ClOrdID(11); returns that."""
        self._counter += 1
        name = f"Q{self._counter}"
        self.new(name, **more)
        return name

    def verdict(self, **more: Any) -> str:
        """Text(58) of the refusal of a new order, '' where it leaves."""
        client = more.get("client", CLIENT)
        self.ask(**more)
        found = self.sent[-1]
        return "" if found.msg_type == "D" else found.fields["Text"] if found.session == client else "?"

    def rejected(self, times: int = 1, **more: Any) -> None:
        """Orders that the broker rejects."""
        for _ in range(times):
            name = self.ask(**more)
            self.report(name, "8", text="no", order_id=f"B-{name}")

    def accepted(self, times: int = 1, **more: Any) -> None:
        """Orders that the broker accepts."""
        for _ in range(times):
            self.report(self.ask(**more), "0")

    def wait(self, seconds: float) -> None:
        """Time passes; what it brings about is looked for, as the gateway does once a second."""
        self.now += timedelta(seconds=seconds)
        self.counts.mark()
        if self.breakers.due(micros_of(self.now), D(0)):
            self.look()

    def look(self, **args: str) -> None:
        """What is due is done."""
        self.event("", m.Command("oms", LOOK, tuple(args.items())))

    def operator(self, verb: str, name: str = "b1", **args: str) -> str:
        """An operator's command; returns what was refused."""
        self.event("", m.Command("ann", verb, (("breaker", name), ("text", "why"), *args.items())))
        return str(self.details[-1].get("refused", ""))

    def trip(self, name: str = "b1", **scope: str) -> str:
        return self.operator(TRIP, name, **scope)

    def reset(self, name: str = "b1", **scope: str) -> str:
        return self.operator(RESET, name, **scope)

    def states(self) -> list[tuple[str, dict[str, str], str]]:
        """Name, scope and state of what is not closed."""
        return [(one["breaker"], one["scope"], one["state"]) for one in self.breakers.told()]


__all__ = ["BROKER", "DAY", "BreakerDesk", "rule"]
