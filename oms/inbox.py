"""The inbox: what engine threads heard, waiting for the core thread. Bounded per session.

A session that sends faster than the gateway works fills its own queue and is then held back by blocking its
engine thread (its TCP window closes); no other session notices (I10). What the gateway tells itself goes first,
unbounded but small: at most a few entries per message sent. Then, in every batch: cancels that are the next of their
session; what brokers report, up to three quarters, so that what is under way is finished before more is begun; and
all the rest in turn, so a flood from one client leaves the others their share.
A session may have a rate (oms/throttle.py): then what it sends waits there, or is marked as refused, before its turn.
Invariant: within a session nothing overtakes, cancels included: the ledger keeps one number per session, up to which
everything is dealt with, and a message that was passed over would not be asked for again after a crash.

Threads: `put` and `tell` from any thread, `take` from the core thread only.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # it is made of what is here
    from oms.throttle import Throttle

IN, UP, DOWN, REFUSED, FAILED = "in", "up", "down", "refused", "failed"
SENT_PACED = "sent_paced"  # as SENT, of a session that does not send in the order of the journal
SENT, NOT_SENT, RESEND_DECLINED, IN_DOUBT = "sent", "not_sent", "resend_declined", "in_doubt"
OVERDUE, COMMAND, RECONCILE, UNMATCHED = "overdue", "command", "reconcile", "unmatched"
GONE = "gone"  # a client that does not come back
PRICES, PRICE_SOURCE = "prices", "price_source"
OVER_RATE = "over_rate"  # a client that is logged out for the rate at which it sends


class Heard(NamedTuple):
    """One entry: what kind, which session, the raw text or other matter, when (microseconds since 1970, UTC)."""

    kind: str
    session: str
    raw: str
    matter: tuple[object, ...]
    at_us: int


def now_us() -> int:
    """Microseconds since 1970, UTC."""
    return time.time_ns() // 1000


_CANCELS = ("\x0135=F\x01", "\x0135=q\x01")
_TYPE_WITHIN = 40  # characters: BeginString(8), BodyLength(9), MsgType(35)
_REPORTS_SHARE = 0.75  # of a batch: up to three reports for an order, before brokers fall behind clients


def is_cancel(heard: Heard) -> bool:
    """Whether it is an OrderCancelRequest(F) or OrderMassCancelRequest(q)."""
    return heard.kind == IN and any(heard.raw.find(text, 0, _TYPE_WITHIN) >= 0 for text in _CANCELS)


class Inbox:
    """Queues by session, taken in turn. `brokers`: the sessions whose entries finish what is under way.

    `throttles`: of the sessions that have a rate; what they send goes through theirs before it is in its queue.
    """

    def __init__(
        self,
        sessions: list[str],
        per_session: int,
        brokers: Iterable[str] = (),
        throttles: Mapping[str, Throttle] | None = None,
    ) -> None:
        self._limit = per_session
        self._brokers = frozenset(brokers)
        self._queues: dict[str, deque[Heard]] = {name: deque() for name in sessions}
        self._throttles = dict(throttles or {})
        self._order = list(sessions)
        self._own: deque[Heard] = deque()
        self._ready = threading.Event()
        self._room = threading.Condition()
        self._held_back: list[str] = []  # sessions whose threads wait for room, one for each thread
        self._closed = False
        self._turn = 0

    def add(self, session: str, throttle: Throttle | None, *, broker: bool) -> None:
        """A session is added while others trade: from the core thread, before anything is heard of it."""
        if broker:
            self._brokers |= {session}
        if throttle is not None:
            self._throttles = {**self._throttles, session: throttle}
        self._queues = {**self._queues, session: deque()}
        self._order.append(session)

    def put(self, heard: Heard) -> None:
        """Queue what a session sent; blocks while that session's queue is full."""
        queue = self._queues[heard.session]
        if self._throttles and heard.session in self._throttles:
            self._put_throttled(heard, queue)
            return
        if len(queue) >= self._limit:
            self._hold_back(heard.session, lambda: len(queue) < self._limit)
        queue.append(heard)
        if not self._ready.is_set():
            self._ready.set()

    def _put_throttled(self, heard: Heard, queue: deque[Heard]) -> None:
        """As `put`, of a session that has a rate."""
        throttle = self._throttles[heard.session]
        throttle.expect(heard)
        waiting = throttle.waiting
        if len(queue) + len(waiting) >= self._limit:
            self._ready.set()  # what is expected now may let go of what waits
            self._hold_back(heard.session, lambda: len(queue) + len(waiting) < self._limit)
        waiting.append(heard)
        if not self._ready.is_set():
            self._ready.set()

    def _hold_back(self, session: str, has_room: Callable[[], bool]) -> None:
        """Block this thread, and with it its session's line, until there is room."""
        with self._room:
            self._held_back.append(session)
            self._room.wait_for(lambda: has_room() or self._closed)
            self._held_back.remove(session)

    def held_back(self) -> frozenset[str]:
        """The sessions whose threads wait for room now."""
        with self._room:
            return frozenset(self._held_back)

    def tell(self, *heard: Heard) -> None:
        """Queue what the gateway has to tell itself; never blocks. Entries told at once are in one batch."""
        self._own.extend(heard)
        if not self._ready.is_set():
            self._ready.set()

    def follow(self, heard: Heard) -> None:
        """Queue what became of a session behind what it sent before; never blocks.

        A logon that sets the numbers back must not overtake messages with the numbers of before.
        """
        throttle = self._throttles.get(heard.session)
        if throttle is None:
            self._queues[heard.session].append(heard)
        else:
            throttle.expect(heard)
            throttle.waiting.append(heard)
        if not self._ready.is_set():
            self._ready.set()

    def wake(self) -> None:
        """Let `take` return now."""
        self._ready.set()

    def close(self) -> None:
        """Release everybody who waits; entries put from now on are kept but nobody blocks."""
        with self._room:
            self._closed = True
            self._room.notify_all()
        self.wake()

    def take(self, at_most: int, seconds: float) -> list[Heard]:
        """Up to `at_most` entries, fairly from all sessions; waits up to `seconds` for the first."""
        if not self._ready.wait(self._pause(seconds)) and not self._throttles:
            return []
        self._ready.clear()
        self._release()
        taken: list[Heard] = []
        own = self._own
        while own:
            taken.append(own.popleft())
        told = len(taken)
        busy = [name for name in self._order if self._queues[name]]
        self._turn = (self._turn + 1) % max(len(busy), 1)
        busy = busy[self._turn :] + busy[: self._turn]
        room = max(at_most - len(taken), len(self._order))
        room -= self._take_cancels(busy, room, taken)
        reports = [name for name in busy if name in self._brokers]
        if others := len(busy) - len(reports):  # or there is nobody to leave room for
            room -= self._take_in_turn(reports, min(int(room * _REPORTS_SHARE), room - others), taken)
        served = {heard.session for heard in taken[told:]}
        self._take_in_turn(sorted(busy, key=served.__contains__), room, taken)  # those that had nothing yet, first
        if any(self._queues.values()):
            self._ready.set()
        if self._held_back:
            with self._room:
                self._room.notify_all()
        return taken

    def _pause(self, seconds: float) -> float:
        """How long to wait for the first entry: no longer than until the next one that waits for its turn."""
        if not self._throttles:
            return seconds
        now = now_us()
        due = [found for one in self._throttles.values() if (found := one.wait_seconds(now)) is not None]
        return min(seconds, *due) if due else seconds

    def _release(self) -> None:
        """What has a rate moves on as far as it may."""
        for name, throttle in self._throttles.items():
            if throttle.waiting:
                throttle.release(self._queues[name], now_us(), closed=self._closed)

    def _take_cancels(self, names: list[str], room: int, taken: list[Heard]) -> int:
        """Cancels at the head of a queue, of each session no more than its share; returns how many."""
        before = len(taken)
        for name in names:
            queue = self._queues[name]
            for _ in range(room // len(names)):
                if not queue or not is_cancel(queue[0]):
                    break
                taken.append(queue.popleft())
        return len(taken) - before

    def _take_in_turn(self, names: list[str], room: int, taken: list[Heard]) -> int:
        """Up to `room` entries, as many of each session as long as they have any; returns how many."""
        before = len(taken)
        busy = [name for name in names if self._queues[name]]
        while busy and room > 0:
            share = max(room // len(busy), 1)
            for name in busy:
                queue = self._queues[name]
                for _ in range(min(share, len(queue), room)):
                    taken.append(queue.popleft())
                    room -= 1
            busy = [name for name in busy if self._queues[name]]
        return len(taken) - before

    def statistics(self) -> dict[str, int]:
        """Entries waiting, by session; '' is of senders that are no session, `own` the gateway's own."""
        found = {name: len(queue) for name, queue in self._queues.items()}
        for name, throttle in self._throttles.items():
            found[name] += len(throttle.waiting)
        return {**found, "own": len(self._own)}
