"""What a circuit breaker watches and what it stops: the rules, and the measures that there are.

A rule names a measure, a threshold and a scope: patterns for some of SCOPE. As with limits on projections, every
combination of values of the parts that are named has a breaker of its own: `broker = "*"` is one for each broker, and
a rule without a scope is one for the firm. A part that is not named is not told apart, and not stopped apart either.
Adding a measure is its line in MEASURES and where `breakers` counts it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from operator import itemgetter
from typing import Any, Final, NamedTuple

SCOPE: Final = ("client", "account", "symbol", "broker")
About = tuple[str, str, str, str]  # the values of an order or message, in the order of SCOPE; '' where it has none
LAST, REFERENCE = "last", "reference"  # prices that a loss is marked at
PREFIX: Final = "circuit_breaker"  # begins what clients are told, and is the kind of the exception item

REJECT_RATE, REFUSAL_RATE, ERRORS = "reject_rate", "refusal_rate", "errors"
WAITING, AGE = "unacknowledged_orders", "unacknowledged_age"
INCONSISTENT, BREAKS = "inconsistencies", "reconciliation_breaks"
FILLS, LOSS, LAG = "fills", "loss", "database_lag"


class Measure(NamedTuple):
    """What is counted. `parts`: what of SCOPE a rule may name; `window`: counted over one; `share`: a percentage."""

    meaning: str
    text: str  # {bad}, {total}, {window}, {threshold}, {value}
    parts: tuple[str, ...] = SCOPE
    window: bool = True
    share: bool = False
    one_part: bool = False  # exactly one of `parts` is to be named


MEASURES: Final[Mapping[str, Measure]] = {
    REJECT_RATE: Measure(
        "percentage of the orders that brokers answered which they rejected",
        "{bad} of {total} orders rejected within {window} s, threshold {threshold} %",
        share=True,
    ),
    REFUSAL_RATE: Measure(
        "percentage of new orders that our own checks refused; not those of kill switches, breakers, trading off and "
        "brokers that are away",
        "{bad} of {total} orders refused within {window} s, threshold {threshold} %",
        parts=("client", "account", "symbol"),
        share=True,
    ),
    ERRORS: Measure(
        "messages of a session that are Reject(3), BusinessMessageReject(j), or cannot be read",
        "{bad} errors within {window} s, threshold {threshold}",
        parts=("client", "broker"),
        one_part=True,
    ),
    WAITING: Measure(
        "orders at once that no broker has answered", "{value} orders without an answer, threshold {threshold}",
        window=False,
    ),
    AGE: Measure(
        "seconds that the oldest order without an answer has waited",
        "an order without an answer for {value} s, threshold {threshold} s",
        window=False,
    ),
    INCONSISTENT: Measure(
        "exception items that say that a broker's word and the ledger contradict each other",
        "{bad} contradictions within {window} s, threshold {threshold}",
    ),
    FILLS: Measure("fills", "{bad} fills within {window} s, threshold {threshold}"),
    LOSS: Measure(
        "money lost by the fills of the trading day, realised and marked, in each currency for itself",
        "loss {value} today, threshold {threshold}",
        window=False,
    ),
    LAG: Measure(
        "seconds from a decision to its commit, or that the oldest uncommitted decision has waited",
        "{value} s to commit, threshold {threshold} s",
        parts=(),
        window=False,
    ),
    BREAKS: Measure(
        "exception items that a comparison with a broker raised: its status answers, drop copy or file",
        "{bad} differences within {window} s, threshold {threshold}",
    ),
}  # fmt: skip

# Kinds of exception items by what they count for.
KINDS: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        (
            "not_allowed", "fill_after_end", "overfill", "quantity_mismatch", "not_at_work", "exec_id_reused",
            "correction_after_bust", "wrong_quantity", "unknown_order", "unknown_exec_type", "unknown_request",
        ),
        INCONSISTENT,
    ),
    **dict.fromkeys(
        (
            "state_mismatch", "leaves_mismatch", "broker_unknown_order", "missing_here", "missing_there",
            "drop_copy_mismatch", "file_missing_here", "file_missing_there", "file_mismatch", "file_position",
        ),
        BREAKS,
    ),
}  # fmt: skip


class Rule(NamedTuple):
    """One rule. `scope` has (part, pattern), in the order of SCOPE. Seconds: `window`, `rest`.

    `rest` 0: it stays open until an operator resets it; else it is half-open after so many seconds, and lets `probes`
    orders through to see. `cancels`: working orders in scope are canceled when it opens.
    """

    name: str
    measure: str
    scope: tuple[tuple[str, str], ...]
    threshold: Decimal
    window: int = 60
    min_count: int = 1
    cancels: bool = False
    rest: int = 0
    probes: int = 3
    mark: str = LAST

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of SCOPE that it tells apart."""
        return tuple([part for part, _ in self.scope])

    def takes(self, values: tuple[str, ...]) -> bool:
        """Whether it has a breaker for these values of its parts; never for one that is absent."""
        return all(
            value and fnmatchcase(value, pattern) for value, (_, pattern) in zip(values, self.scope, strict=True)
        )


class Step(NamedTuple):
    """What a breaker did, as it stands in the journal: opened, reopened, half_open, closed.

    `scope` has its exact values by part, `item_id` the exception item that is open as long as it is not closed.
    """

    step: str
    breaker: str
    scope: Mapping[str, str]
    text: str
    item_id: str = ""
    cancels: bool = False

    def as_fact(self) -> dict[str, Any]:
        """In a form that JSON has."""
        return self._asdict() | {"scope": dict(self.scope)}

    @classmethod
    def of_fact(cls, fact: Mapping[str, Any]) -> Step:
        """Back from `as_fact`."""
        return cls(**fact)


class Open(NamedTuple):
    """A breaker that was open when the gateway ended."""

    step: Step
    since: datetime


def picker(parts: tuple[str, ...]) -> Callable[[About], Any]:
    """What tells the breakers of a rule apart, as a key: cheaper than the tuple of values where it is one."""
    if not parts:
        return lambda about: ()
    return itemgetter(*[SCOPE.index(part) for part in parts])


def whose(scope: Mapping[str, str]) -> str:
    """Which breaker of a rule, for people: `broker BROKER1`, or `the firm`."""
    return ", ".join(f"{part} {value}" for part, value in scope.items()) or "the firm"
