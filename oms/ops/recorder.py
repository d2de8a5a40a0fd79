"""Refusals and reads of what not everybody should see, as operators' rows in the journal: not more than a bound.

`access.refused` and `access.read` say who, what, about what, from where, and why. Of each kind PER_KEY are written of
one person within SECONDS, and as many of all who are unknown, of all together IN_ALL; the rest are counted, and one
`access.left_out` says how many there were. Nobody fills the ledger by asking for what he may not have.
Threads: any.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Final

from oms.config.secrets import redact
from oms.fix.fields import clean

REFUSED, READ, LEFT_OUT, PEOPLE = "access.refused", "access.read", "access.left_out", "access.people"
SECONDS: Final = 60.0
PER_KEY: Final = 10
IN_ALL: Final = 100
GATEWAY: Final = "gateway"  # who says what no operator did
_TEXT_LIMIT = 500
_SHOWN_ARGS = 12
_NAMED = 5

Tell = Callable[[str, str, dict[str, str]], object]


class Recorder:
    """`tell` puts an operator's command in line: operator, verb, arguments."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        self._since = monotonic()
        self._written: Counter[tuple[str, str]] = Counter()
        self._left_out: Counter[str] = Counter()
        self._timer: threading.Timer | None = None

    def note(self, verb: str, name: str, about: Mapping[str, str]) -> bool:
        """Record one of REFUSED, READ; False where it is only counted. `about` has `what`, the verb asked for."""
        key = (verb, name)
        with self._lock:
            now = monotonic()
            if now - self._since >= SECONDS:
                self._close(now)
            if self._written.total() >= IN_ALL or self._written[key] >= PER_KEY:
                self._left_out[f"{name or 'unknown'} {verb.partition('.')[2]}"] += 1
                if self._timer is None:
                    self._timer = threading.Timer(SECONDS - (now - self._since), self.flush)
                    self._timer.daemon = True
                    self._timer.start()
                return False
            self._written[key] += 1
        self._tell(name, verb, {part: short(value) for part, value in about.items() if value})
        return True

    def flush(self) -> None:
        """Write how many were left out, if any, and begin anew."""
        with self._lock:
            self._close(monotonic())

    def _close(self, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._since = None, now
        self._written.clear()
        if self._left_out:
            most = ", ".join(f"{what}: {count}" for what, count in self._left_out.most_common(_NAMED))
            self._tell(GATEWAY, LEFT_OUT, {"count": str(self._left_out.total()), "most": short(most)})
            self._left_out.clear()


def short(text: str) -> str:
    """A text for the journal: no secrets, nothing that cannot be stored, not long."""
    return clean(redact(text))[:_TEXT_LIMIT]


def about_text(args: Mapping[str, str]) -> str:
    """What a command was about, from its arguments as they were given."""
    shown = [f"{name} {value}" for name, value in args.items() if name not in ("text", "facts") and value]
    return "; ".join(one[:_TEXT_LIMIT] for one in shown[:_SHOWN_ARGS])
