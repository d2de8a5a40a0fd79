"""What operators have said of sessions that holds over starts (disabled, drained), from their rows of the journal.

`disable` keeps a session out until `enable`. `drain` lets it stay and takes no new risk from it (a client) or for it
(a broker), until `drain --undo`: cancels, replaces that add no risk and reports go on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

LOGON, LOGOUT = "sessions.logon", "sessions.logout"
DISABLE, ENABLE = "sessions.disable", "sessions.enable"
DRAIN, UNDRAIN = "sessions.drain", "sessions.undrain"
LASTING = (DISABLE, ENABLE, DRAIN, UNDRAIN)
_WORDS = {DISABLE: "disabled", LOGOUT: "logged out", DRAIN: "drained"}


class KeptOut(NamedTuple):
    """Why a session is out, or drained: by which command of whom, when and why."""

    verb: str
    operator: str
    at: datetime
    reason: str

    @property
    def text(self) -> str:
        """`disabled by ann since 2026-03-02 09:30:00 UTC: their certificate is wrong`."""
        since = f"{self.at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
        return f"{_WORDS[self.verb]} by {self.operator} since {since} UTC: {self.reason}"


class Standing(NamedTuple):
    """The sessions that are disabled, and those that are drained."""

    disabled: dict[str, KeptOut]
    drained: dict[str, KeptOut]


def standing(rows: Iterable[Mapping[str, Any]]) -> Standing:
    """By the journal's rows of `LASTING`, in order; a row has `received_at` and `detail`."""
    found = Standing({}, {})
    for row in rows:
        operator, verb, pairs = row["detail"]["matter"]
        args = dict(pairs)
        about = found.disabled if verb in (DISABLE, ENABLE) else found.drained
        if verb in (ENABLE, UNDRAIN):
            about.pop(args["session"], None)
        else:
            about[args["session"]] = KeptOut(verb, operator, row["received_at"], args["text"])
    return found
