"""What an engine and its owner speak of: the listener, a session's handle, and what is read off a raw message.

`EngineListener` is what an owner implements; `SessionHandle` is one session as this process knows it. No engine here.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Protocol

from oms.fix.logon import Credentials, Door

SOH = "\x01"
ADMIN_TYPES = frozenset("012345A")


class EngineListener(Protocol):
    """What an engine tells its owner. Session names are the configured ones; texts are raw FIX with SOH."""

    def logged_on(self, session: str, next_sender: int, next_target: int) -> None:
        """A session is up; the numbers are the next MsgSeqNum(34) to send and to expect."""

    def logged_out(self, session: str) -> None:
        """A session is down (logout or disconnect)."""

    def received(self, session: str, raw: str) -> None:
        """One application message that passed the engine's checks. May block to push back on this session."""

    def refused(self, session: str, raw: str, reason: str) -> None:
        """The engine rejected or ignored what arrived (garbled, bad fields, unknown session: name '')."""

    def may_resend(self, session: str, raw: str) -> bool:
        """The counterparty asked for this stored application message again: True sends it, False gap-fills."""

    def failed(self, session: str, raw: str, error: BaseException) -> None:
        """A callback raised: the message is poison to our code. The engine goes on."""


@dataclass(slots=True)
class SessionHandle:
    """One FIX session as this process knows it. Flags are written by the engine's threads only."""

    name: str
    session_id: str
    logged_on: bool = False
    incoming: deque[str] = field(default_factory=lambda: deque(maxlen=1))  # raw text of the message in hand
    last_number: int = 0  # MsgSeqNum(34) of the last application message handed over
    engine_session: Any = None
    native_id: Any = None
    sending: int = 0
    store_problem: str = ""
    heartbeat_seconds: int = 0  # HeartBtInt(108) of their last Logon(A), 0 before
    door: Door | None = None  # who lets them in; None: nobody asks
    credentials: Credentials | None = None  # of our Logon(A)
    address: str = ""  # from where the connection in hand came
    turned_away: bool = False  # the Logon(A) in hand was not accepted
    is_cut: bool = False  # by us, since their last Logon(A)
    head: str = field(init=False)

    def __post_init__(self) -> None:
        begin_string = self.session_id.partition(":")[0]
        self.head = f"8={begin_string}\x019=0\x01"

    @property
    def in_hand(self) -> str:
        """The raw text of the message in hand, '' where there is none."""
        return self.incoming[-1] if self.incoming else ""


def msg_seq_num(raw: str) -> int:
    """MsgSeqNum(34) of a raw message, 0 where it has none that is a number which the ledger can hold."""
    start = raw.find("\x0134=")
    if start < 0:
        return 0
    text = raw[start + 4 : raw.find(SOH, start + 4)]
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else 0


def msg_type(raw: str) -> str:
    """MsgType(35) of a raw message, '' where it has none."""
    start = raw.find("\x0135=")
    return raw[start + 4 : raw.find(SOH, start + 4)] if start >= 0 else ""
