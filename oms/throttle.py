"""The rate of a client session at the inbox: what may go on, what waits, what is refused, and who is logged out.

A `Throttle` has the entries of its session that are not released yet, in order. Each message takes a token; the
bucket holds a second's worth. Without a token a message is refused ('reject', 'disconnect') or waits ('delay').
Cancels take none and are never refused. Nothing overtakes within a session, so an order that waited would hold up the
cancels behind it: once a cancel has come, or a logout, what waits before it is let go at once, what has a token as
usual and the rest refused as throttled. Let through instead, every cancel would lift the rate. A cancel that is still
in the client's connection cannot be seen: so that is read on, and where too many wait the oldest is refused.
A refusal is a mark on the entry (its `matter`): the flow journals it, the core answers (oms/core/throttled.py).
What is lost in a crash was not committed, comes again, and is judged again: the bucket begins full.

Threads: `expect` and appending to `waiting` from any thread, `release` and `wait_seconds` from the core thread. One
side only adds to a deque, the other only takes from it, both atomic: there is no lock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from oms.config.throttles import Rate
from oms.inbox import DOWN, IN, UP, Heard, is_cancel

_SECOND_US = 1_000_000
_FREE = ("\x0135=3\x01", "\x0135=j\x01", "\x0135=Q\x01")  # answers to what we sent
_TYPE_WITHIN = 40


class Bucket:
    """A token bucket: `per_second` tokens come in evenly, as many fit in. Times are microseconds."""

    __slots__ = ("_at_us", "_each_us", "_full_us", "_level_us")

    def __init__(self, per_second: int) -> None:
        self._each_us = _SECOND_US / per_second
        self._full_us = self._level_us = float(_SECOND_US)
        self._at_us = 0

    def take(self, now_us: int) -> bool:
        """Take a token if there is one. A time before the last one counts as that."""
        if now_us > self._at_us:
            self._level_us = min(self._full_us, self._level_us + (now_us - self._at_us))
            self._at_us = now_us
        if self._level_us < self._each_us:
            return False
        self._level_us -= self._each_us
        return True

    def wait_us(self, now_us: int) -> float:
        """How long until there is a token, 0 if there is one."""
        return max(self._each_us - self._level_us - max(now_us - self._at_us, 0), 0.0)


class Throttle:
    """One session's. `over`: called once per logon with the rate and the refusals in a second that are too many."""

    def __init__(self, rate: Rate, over: Callable[[int], None] = lambda refused: None) -> None:
        self.rate = rate
        self.waiting: deque[Heard] = deque()
        self._over = over
        self._bucket = Bucket(rate.per_second)
        self._delays = rate.policy == "delay"
        self._disconnects = rate.policy == "disconnect"
        self._most = rate.per_second if rate.most_delayed is None else rate.most_delayed
        self._urgent: deque[None] = deque()  # one for each urgent entry that came, or is about to, and still waits
        self._held = 0  # of `waiting`, how many had to wait for a token when it was looked last
        self._refused_us: deque[int] = deque(maxlen=rate.refusals)
        self._out = False

    def expect(self, heard: Heard) -> None:
        """Call before an entry is queued, and before it waits for room: what is urgent makes room."""
        if heard.kind == DOWN or is_cancel(heard):
            self._urgent.append(None)

    def release(self, ready: deque[Heard], now_us: int, *, closed: bool = False) -> None:
        """Move what may go on to `ready`, in order. `closed`: everything, because the gateway stops."""
        waiting, delays, most = self.waiting, self._delays, self._most
        while waiting:
            heard = waiting[0]
            if closed or not _counts(heard):
                if heard.kind == DOWN or is_cancel(heard):
                    self._urgent.popleft()
                elif heard.kind == UP:
                    self._out = False
            elif not self._bucket.take(now_us if delays else heard.at_us):
                urgent = bool(self._urgent)
                if delays and not urgent and len(waiting) <= most:
                    self._held = len(waiting)
                    return
                heard = heard._replace(matter=(self._why(urgent), _delay_ms(heard, now_us) if self._held else 0))
                self._refused(heard)
            elif self._held:
                heard = heard._replace(matter=("", _delay_ms(heard, now_us)))
            self._held = max(self._held - 1, 0)
            ready.append(heard)
            waiting.popleft()

    def wait_seconds(self, now_us: int) -> float | None:
        """Until the next entry may go on, None if none waits."""
        return self._bucket.wait_us(now_us) / _SECOND_US if self.waiting else None

    def _why(self, urgent: bool) -> str:
        text = f"more than {self.rate.per_second} messages in a second"
        if not self._delays:
            return text
        because = "a cancel or a logout came behind it" if urgent else f"{self._most} wait already"
        return f"{text}; not delayed any longer because {because}"

    def _refused(self, heard: Heard) -> None:
        if not self._disconnects or self._out:
            return
        times = self._refused_us
        times.append(heard.at_us)
        if len(times) == times.maxlen and heard.at_us - times[0] < _SECOND_US:
            self._out = True
            times.clear()
            self._over(self.rate.refusals)


def _counts(heard: Heard) -> bool:
    """Whether it takes a token: any message but cancels and answers to what the gateway sent."""
    if heard.kind != IN or is_cancel(heard):
        return False
    return all(heard.raw.find(text, 0, _TYPE_WITHIN) < 0 for text in _FREE)


def _delay_ms(heard: Heard, now_us: int) -> int:
    """Whole milliseconds that it waited."""
    return max(now_us - heard.at_us, 0) // 1000
