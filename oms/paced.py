"""A sender for a broker that takes so many messages a second: the most urgent leaves next, and each is settled alone.

    1 what is committed goes into the queue (`oms.outqueue`), from the ledger first where it has more
    2 what a cancel has overtaken, and what waited for too long, is refused, and the core is told
    3 as the bucket allows (`oms.pace`), the first of the queue leaves; the kill switch is asked as ever

Invariants: as of `oms.outbox`, but for the order. `cursor` is the row before the lowest one that is not settled: up
to it all is settled, beyond it some may be, each by its own row of `sends`. A row is taken from the ledger once in a
process's life, so nothing that left is found there again. Over a crash: docs/decisions/outbound_throttle.md.
Past `_LIMIT` messages the ledger is the queue, and urgency counts among those in memory only.

Threads: as of `oms.outbox`; `slow_down` from the core's thread.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from oms import inbox as box
from oms import outbox
from oms.crashpoints import reached
from oms.inbox import Heard, now_us
from oms.ledger.batch import Send
from oms.outbox import Message, Sender
from oms.outqueue import KINDS, TOO_OLD, GivenUp, OutQueue, Waiting
from oms.pace import Pace

log = structlog.get_logger("oms.outbox")

_LIMIT = 20_000  # messages in memory, some 500 bytes each
_WORTH_TELLING = 0.1  # seconds that a message waited


class PacedSender(Sender):
    """Sends one broker's messages at its pace."""

    def __init__(
        self,
        *of_sender: Any,
        pace: Pace,
        max_wait: timedelta,
        settled: frozenset[int] = frozenset(),
    ) -> None:
        """As `Sender`. `max_wait`: how long an order or replace may wait; `settled`: rows that the start has settled,
        whose words may not be committed yet."""
        super().__init__(*of_sender)
        self.pace = pace
        self._max_wait = max_wait
        self._start_settled = settled
        self._read_to = self.cursor
        self._line = OutQueue()
        self._oldest: datetime | None = None

    # -- other threads ---------------------------------------------------------------------------------------

    def add(self, messages: list[Message]) -> None:
        """Queue committed messages; past the limit the ledger is the queue."""
        with self._lock:
            if len(self._queue) + len(messages) > outbox.QUEUE_LIMIT:
                self._queue.clear()
                self._behind = True
            else:
                self._queue += messages
        self._wake.set()

    def slow_down(self, raw: str) -> str:
        """Send less for a while if this message of the broker says that it gets too many; '' if it does not.

        Returns what was done, for the journal.
        """
        if not self.pace.says_too_fast(raw):
            return ""
        now = time.monotonic()
        self.pace.slow(now)
        text = f"{self.session} gets too many messages: now {self.pace.rate(now):.4g} a second, of {self.pace.full}"
        log.warning("the broker gets too many messages", session=self.session, now=text)
        self._wake.set()
        return text

    def statistics(self) -> dict[str, int]:
        """As of `Sender`: those in the queue count as waiting."""
        return {"waiting": len(self._queue) + len(self._line), "behind": int(self._behind)}

    def waiting(self) -> dict[str, int]:
        """Messages that wait in memory, by urgency."""
        return dict(zip(KINDS, self._line.counts, strict=True))

    def oldest_seconds(self) -> float:
        """For how long the oldest message has waited, 0 where none does."""
        since = self._oldest
        return 0.0 if since is None else max((datetime.now(UTC) - since).total_seconds(), 0.0)

    def outbound(self) -> dict[str, Any]:
        """What an operator sees of it."""
        return {
            "max_messages_per_second": self.pace.full,
            "messages_per_second_now": round(self.pace.rate(time.monotonic()), 2),
            "too_fast": self.pace.complaints,
            "waiting": self.waiting(),
            "oldest_seconds": round(self.oldest_seconds(), 3),
        }

    # -- the sender's thread ---------------------------------------------------------------------------------

    def _patience(self) -> float | None:
        patience = super()._patience()
        if patience is not None or not self._line:
            return patience
        wait = self.pace.wait(time.monotonic())
        expiry = self._line.next_expiry()
        if expiry is not None:
            wait = min(wait, (expiry - datetime.now(UTC)).total_seconds())
        return max(wait, 0.001)

    def _work(self) -> None:
        if not self._up and self._in_grace():
            return
        notes: list[Send] = []
        while not self._ended.is_set() and self._holds():
            self._fetch(notes)
            if not self._up:
                self._give_up(self._line.clear(self._logged_out), notes)
                if self._behind:
                    continue
                break
            self._give_up(self._line.expired(datetime.now(UTC)), notes)
            first = self._line.first()
            if first is None or self.pace.wait(time.monotonic()) > 0 or not self._send_first(first, notes):
                break
        self._note(notes)
        self._look_at_oldest()

    def _send_first(self, first: Waiting, notes: list[Send]) -> bool:
        """Settle the first of the queue. False if it stays."""
        message = first.message
        numbers, refused = self._leave([message])
        if numbers:
            self.pace.take(time.monotonic())
            self._line.done(first)
            now, waited = datetime.now(UTC), self._waited(message)
            notes.append(Send(message.seq, self.session, "sent", numbers[0], now, waited))
            self._look_at_oldest()
            return True
        if not refused and (self._ended.is_set() or not self._holds()):
            return False
        behind = self._line.refused(first)
        self._give_up([GivenUp(message, refused or self._logged_out), *behind], notes)
        return True

    def _waited(self, message: Message) -> str | None:
        seconds = (datetime.now(UTC) - message.decided_at).total_seconds()
        if seconds < _WORTH_TELLING:
            return None
        return f"waited {seconds:.3f} s for its turn, at {self.pace.rate(time.monotonic()):.4g} messages a second"

    def _give_up(self, given_up: list[GivenUp], notes: list[Send]) -> None:
        """They never leave: settled, and the core is told of all at once."""
        if given_up:
            self._look_at_oldest()
            self._refuse([(one.message, self._why(one)) for one in given_up], notes)

    def _why(self, one: GivenUp) -> str:
        if one.why != TOO_OLD:
            return one.why
        if self._is_of_before(one.message):
            return self._older
        limit = f"{self._max_wait.total_seconds():.0f} s"
        return f"waited for more than {limit} at {self.session}'s limit of {self.pace.full} messages a second"

    def _fetch(self, notes: list[Send]) -> None:
        """Take up what is committed: from the ledger, where it has more than the memory, then what was delivered."""
        while self._behind and len(self._line) < _LIMIT and not self._ended.is_set():
            self._behind = False
            rows = self._ledger_rows(self._read_to)
            reached("caught_up")
            self._take_up([self._message(row) for row in rows], notes)
            if len(rows) == outbox.CHUNK:
                self._behind = True
        self._close_reader()
        with self._lock:
            if self._behind:
                return
            delivered = list(self._queue)
            self._queue.clear()
        self._take_up(delivered, notes)

    def _take_up(self, messages: list[Message], notes: list[Send]) -> None:
        given_up: list[GivenUp] = []
        for message in messages:
            if message.seq <= self._read_to:
                continue
            self._read_to = message.seq
            if message.seq not in self._start_settled:
                limit = self._window if self._is_of_before(message) else self._max_wait
                given_up += self._line.take_up(message, message.decided_at + limit)
        self._give_up(given_up, notes)

    def _is_of_before(self, message: Message) -> bool:
        """Whether it was decided before this start."""
        return message.decided_at < self._started_at

    def _look_at_oldest(self) -> None:
        oldest = self._line.oldest
        self._oldest = None if oldest is None else oldest.decided_at

    def _passed(self, message: Message) -> None:
        """Nothing: the cursor is that of the queue."""

    def _noted(self, notes: list[Send]) -> Heard:
        oldest = self._line.oldest
        self.cursor = self._read_to if oldest is None else oldest.seq - 1
        return Heard(box.SENT_PACED, self.session, "", (self.cursor, *notes), now_us())
