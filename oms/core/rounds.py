"""A round of questions to a broker about its orders, while it goes on; and when to begin, ask and end one.

`Round` is state of the core: which orders are asked for, which of them the broker has not spoken of, what differs.
`Rounds` looks at the clock from outside the core: what it finds is an event like any other (`Reconcile`), journaled
and applied by `oms.core.reconcile`. A round begins once a session has been logged on for a little while, because what
the broker resends comes first; then as the broker's schedule says, or an operator (`reconcile.run`).
Limits: one round at a time for each broker; one that is due while another is under way, or while the session is away,
is left out: the round under way, or that of the next logon, has the same questions. Owned by the core thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from oms.core.messages import Reconcile
from oms.core.terms import BrokerFacts

if TYPE_CHECKING:
    from oms.core.book import Book

MASS, EACH = "mass", "each"  # one OrderMassStatusRequest(AF), or an OrderStatusRequest(H) for each order
BEGIN, ASK, END = "begin", "ask", "end"
LOGON, SCHEDULE = "logon", "schedule"  # what a round is begun for, besides "operator NAME" and a broker's policy
_SETTLED_AFTER = timedelta(seconds=2)
_LISTED = 1000  # orders named in a summary; the numbers count all


@dataclass(slots=True)
class Round:
    """What was asked and what came of it. `left`: orders in doubt, each with the journal row that asked, 0 before."""

    round_id: str
    source: str
    about: str
    how: str
    begun_seq: int
    orders: int
    left: dict[str, int]
    cause: str = LOGON
    to_ask: deque[str] = field(default_factory=deque)
    asked: int = 0
    matched: int = 0
    settled: int = 0  # ended while they waited for an answer
    overtaken: int = 0  # answers that a report overtook: they may be older than what the ledger has
    asked_again: dict[str, int] = field(default_factory=dict)
    differing: dict[str, tuple[list[str], int]] = field(default_factory=dict)  # OrderID(37) -> kinds, journal row
    missing_here: dict[str, int] = field(default_factory=dict)  # the broker's OrderID(37) -> journal row
    adopted: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)  # OrderID(37) -> why the broker would not answer
    complete: bool = False  # the broker said that this was its last report

    @property
    def progress(self) -> tuple[int, ...]:
        """Changes with every question and every answer."""
        answers = (
            self.matched
            + self.overtaken
            + len(self.differing)
            + len(self.missing_here)
            + len(self.adopted)
            + len(self.refused)
        )
        return len(self.to_ask), len(self.left), answers + self.settled

    @property
    def over(self) -> bool:
        """Whether nothing more is to come."""
        return self.complete if self.how == MASS else not self.left and not self.to_ask

    def begun(self) -> dict[str, Any]:
        """What the journal has of its beginning."""
        return {
            "round": self.round_id,
            "source": self.source,
            "about": self.about,
            "how": self.how,
            "orders": self.orders,
            "cause": self.cause,
        }

    def summary(self, ended: str, unanswered: list[str]) -> dict[str, Any]:
        """What the journal has of its end."""
        named: dict[str, Any] = {
            "differing": [[name, kinds, seq] for name, (kinds, seq) in self.differing.items()],
            "missing_here": [[name, seq] for name, seq in self.missing_here.items()],
            "adopted": self.adopted,
            "unanswered": unanswered,
            "refused": [[name, text] for name, text in self.refused.items()],
        }
        counts = {name: len(those) for name, those in named.items()}
        return {
            **self.begun(),
            "ended": ended,
            "asked": self.asked,
            "matched": self.matched,
            "overtaken": self.overtaken,
            "settled": self.settled,
            "counts": counts,
            **{name: those[:_LISTED] for name, those in named.items()},
        }


class Rounds:
    """Finds what is due. Memory: the last logon, the last round and the last progress of each broker."""

    def __init__(self, book: Book, brokers: Mapping[str, BrokerFacts]) -> None:
        self._book = book
        self._brokers = brokers
        self._begun: dict[str, object] = {}
        self._last: dict[str, datetime] = {}  # when a round was begun, or under way
        self._looked: datetime | None = None
        self._progress: dict[str, tuple[tuple[int, ...], datetime]] = {}

    def look(self, now: datetime) -> list[tuple[str, Reconcile]]:
        """The steps that are due, each with its broker."""
        before, self._looked = self._looked or now, now
        found = []
        for broker, facts in self._brokers.items():
            state = self._book.sessions.get(broker)
            if state is None or not state.logged_on or not isinstance(state.changed_at, datetime):
                continue
            if broker in self._book.rounds:
                self._last[broker] = now
                step = self._next_step(broker, facts, now)
            else:
                self._progress.pop(broker, None)
                step = self._begin(broker, facts, state.changed_at, before, now)
            if step is not None:
                found.append((broker, step))
        return found

    def _begin(
        self, broker: str, facts: BrokerFacts, logged_on_at: datetime, before: datetime, now: datetime
    ) -> Reconcile | None:
        if self._begun.get(broker) != logged_on_at:
            if now - logged_on_at < _SETTLED_AFTER:
                return None
            self._begun[broker] = logged_on_at
            cause = LOGON
        elif self._is_due(broker, facts, before, now):
            cause = SCHEDULE
        else:
            return None
        self._last[broker] = now
        one_by_one = facts.status_requests and facts.status_requests_per_second > 0
        wanted = facts.mass_status or (one_by_one and self._has_live_orders(broker))
        return Reconcile(BEGIN, 0, cause) if wanted else None

    def _is_due(self, broker: str, facts: BrokerFacts, before: datetime, now: datetime) -> bool:
        """Whether the broker's schedule has a round now."""
        if facts.round_every is not None and now - self._last.get(broker, now) >= facts.round_every:
            return True
        return any(_passed(one, before, now) for one in facts.round_times)

    def _next_step(self, broker: str, facts: BrokerFacts, now: datetime) -> Reconcile | None:
        current = self._book.rounds[broker]
        if current.to_ask and facts.status_requests_per_second:
            return Reconcile(ASK, facts.status_requests_per_second)
        before, since = self._progress.get(broker, ((), now))
        if before != current.progress:
            since = now
        self._progress[broker] = (current.progress, since)
        late = now - since >= timedelta(seconds=facts.status_answer_seconds)
        return Reconcile(END, 0) if current.over or late else None

    def _has_live_orders(self, broker: str) -> bool:
        return any(
            not order.finished and order.child is not None and order.child.broker == broker
            for order in self._book.orders.values()
        )


def _passed(at: time, before: datetime, now: datetime) -> bool:
    """Whether a time of day came after one moment and up to another, which are less than a day apart."""
    return any(before < datetime.combine(day, at, UTC) <= now for day in {before.date(), now.date()})
