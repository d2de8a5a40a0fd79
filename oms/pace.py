"""How fast messages may leave for one broker: a bucket of tokens, and less of them after the broker said "too fast".

The bucket holds `burst` tokens and gains `rate` of them a second; each message that leaves takes one. So in any span
of t seconds no more than burst + t x rate leave. A complaint of the broker (`TooFast`) halves the rate and empties
the bucket; after each `recover` seconds without another one a quarter of the full rate comes back.
Not counted: what the engine sends by itself (heartbeats, logons, resends).

Times are of a monotonic clock, in seconds, and are passed in. Threads: `take` and `wait` from the sender's, `slow`
from the core's, the rest from any; one lock.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from oms.fix.handle import SOH, msg_type

_LEAST = 1 / 16  # of the full rate, however often the broker complains
_STEP = 1 / 4  # of the full rate, that comes back at a time
_AT_ONCE = 1.0  # seconds: complaints about what had left before the rate was lowered are one complaint


class TooFast(NamedTuple):
    """A message by which a broker says that it gets too many: MsgType(35), a field, and a pattern for its value."""

    msg_type: str
    tag: str
    value: str

    def matches(self, fields: Sequence[str]) -> bool:
        """Whether a message with these `tag=value` fields says so; upper and lower case are alike."""
        pattern = self.value.lower()
        start = f"{self.tag}="
        return any(one.startswith(start) and fnmatchcase(one[len(start) :].lower(), pattern) for one in fields)


class Pace:
    """One broker's bucket."""

    def __init__(self, rate: int, burst: int, recover: float, too_fast: Sequence[TooFast] = ()) -> None:
        """`rate` in messages a second, `burst` in messages, `recover` in seconds."""
        self.full = rate
        self._burst = burst
        self._recover = recover
        self._too_fast = tuple(too_fast)
        self._kinds = frozenset(one.msg_type for one in too_fast)
        self._lock = threading.Lock()
        self._share = 1.0  # of the full rate, now
        self._tokens = float(burst)
        self._filled_at = 0.0
        self._slowed_at = self._eased_at = float("-inf")
        self.complaints = 0

    @property
    def listens(self) -> bool:
        """Whether it is known how the broker complains."""
        return bool(self._too_fast)

    def says_too_fast(self, raw: str) -> bool:
        """Whether a message of the broker says that it gets too many."""
        kind = msg_type(raw) if self._kinds else ""
        if kind not in self._kinds:
            return False
        fields = raw.split(SOH)
        return any(one.msg_type == kind and one.matches(fields) for one in self._too_fast)

    def slow(self, now: float) -> None:
        """The broker complained at `now`."""
        with self._lock:
            self.complaints += 1
            self._fill(now)
            self._tokens = min(self._tokens, 0.0)
            if now - self._slowed_at >= _AT_ONCE:
                self._share = max(self._share / 2, _LEAST)
                self._slowed_at = now
            self._eased_at = now

    def rate(self, now: float) -> float:
        """Messages a second that may leave now."""
        with self._lock:
            self._ease(now)
            return self.full * self._share

    def wait(self, now: float) -> float:
        """Seconds until a message may leave; 0 where one may now."""
        with self._lock:
            self._fill(now)
            return 0.0 if self._tokens >= 1 else (1 - self._tokens) / (self.full * self._share)

    def take(self, now: float) -> None:
        """A message left at `now`."""
        with self._lock:
            self._fill(now)
            self._tokens -= 1

    def _fill(self, now: float) -> None:
        self._ease(now)
        passed = max(now - self._filled_at, 0.0)
        self._tokens = min(self._tokens + passed * self.full * self._share, float(self._burst))
        self._filled_at = now

    def _ease(self, now: float) -> None:
        """What came back of the rate since the last complaint."""
        while self._share < 1 and now - self._eased_at >= self._recover:
            self._share = min(self._share + _STEP, 1.0)
            self._eased_at += self._recover
