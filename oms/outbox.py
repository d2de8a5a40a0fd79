"""The outbox: committed messages leave, each session in its own thread and in the order of the journal.

Invariants: only what is committed comes here (I1). Per session, messages leave in order of their journal row,
each at most once; `cursor` is the last row settled. A request to a broker that is logged out does not leave,
ever: the core is told at once (NotSent). Messages to a client that is logged out stay in the ledger and leave
when it is back. A session that does not read blocks only its own thread; what it has not taken is forgotten
here and read again from the ledger, so memory stays bounded (I10). Without the lease on the ledger nothing leaves:
it stays there until the lease is renewed (or is another gateway's to send), and is then as old as it is.

Threads: `deliver` from the committer, `up`/`down` from engine threads, one thread per session does the rest.
"""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import structlog

from oms import inbox as box
from oms.core.order import is_for_replace
from oms.crashpoints import reached
from oms.errors import StoreFailure, Unsendable
from oms.fix.handle import msg_seq_num
from oms.inbox import Heard, Inbox, now_us
from oms.ledger.batch import Send
from oms.ledger.load import Reader, Rows
from oms.ledger.writer import CONNECTION_LOST

log = structlog.get_logger("oms.outbox")

CHUNK = 500
QUEUE_LIMIT = 5000
_IN_FLIGHT_SECONDS = 0.2
_STALE = timedelta(seconds=10)  # what was decided since the start leaves no older than this, or than the window
_LEDGER_PAUSE = 0.5  # seconds until a ledger that is gone is asked again
_LOOK_SECONDS = 0.25  # how often who waits for a broker's logon or for the lease looks again
# To a client several messages leave in one call of the engine. To a broker one by one: the kill switch is asked
# before each, and a line that is stuck holds back no more than the one in hand.
_TOGETHER = {"client": 32, "broker": 1, "drop_copy": 1}


class Message(NamedTuple):
    """One committed message: its journal row, where to, and the text without the session's header."""

    seq: int
    session: str
    msg_type: str
    text: str
    decided_at: datetime
    order_id: str = ""  # OrderID(37), ours, of the order it is about


def field_of(text: str, tag: str) -> str:
    """The first value of a field of a message of ours, '' where it has none."""
    start = text.find(f"\x01{tag}=")
    begin = start + len(tag) + 2
    return text[begin : text.find("\x01", begin)] if start >= 0 else ""


def cl_ord_id_of(text: str) -> str:
    """ClOrdID(11) of a message of ours, '' where it has none."""
    return field_of(text, "11")


class Sender:
    """Sends one session's messages."""

    def __init__(
        self,
        session: str,
        role: str,
        send: Callable[[str, list[str]], list[str]],
        inbox: Inbox,
        ledger_url: str,
        cursor: int,
        window: timedelta,
        why_not: Callable[[str], str],
        holds: Callable[[], bool] = lambda: True,
    ) -> None:
        self.session = session
        self.role = role
        self._send = send
        self._inbox = inbox
        self._ledger_url = ledger_url
        self.cursor = cursor
        self._window = window
        self._why_not = why_not
        self._holds = holds  # whether the lease on the ledger is ours at this instant
        self._queue: deque[Message] = deque()
        self._recent: deque[tuple[int, Message]] = deque(maxlen=QUEUE_LIMIT)
        self._in_flight = threading.Lock()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._up = False
        self._behind = True  # until the ledger says that nothing is left from before
        self._ended = threading.Event()
        self._started_at = datetime.now(UTC)
        self._reader: Reader | None = None
        self.thread = threading.Thread(target=self._run, name=f"send-{session}", daemon=True)

    # -- other threads ---------------------------------------------------------------------------------------

    def add(self, messages: list[Message]) -> None:
        """Queue committed messages; past the limit the ledger is the queue."""
        with self._lock:
            if len(self._queue) + len(messages) > QUEUE_LIMIT:
                self._queue.clear()
                self._behind = True
            self._queue += messages
        if not self._wake.is_set():
            self._wake.set()

    def set_up(self, up: bool) -> None:
        """The session logged on or out."""
        self._up = up
        self._wake.set()

    def stop(self) -> None:
        """End the thread after the message in hand."""
        self._ended.set()
        self._wake.set()

    def sent(self, number: int) -> Message | None:
        """What left lately under a MsgSeqNum(34), None if the ledger knows it by now.

        An answer may be here before `send` has returned: it is waited for, but not if the line is stuck.
        """
        if self._in_flight.acquire(timeout=_IN_FLIGHT_SECONDS):
            self._in_flight.release()
        return next((message for sent, message in reversed(list(self._recent)) if sent == number), None)

    def statistics(self) -> dict[str, int]:
        """Messages waiting here, and whether the session is behind the ledger."""
        return {"waiting": len(self._queue), "behind": int(self._behind)}

    # -- the sender's thread ---------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._ended.is_set():
            self._wake.wait(self._patience())
            self._wake.clear()
            if not self._holds():
                self._behind = True
            elif not self._ended.is_set():
                self._work()
        self._close_reader()

    def _patience(self) -> float | None:
        """Seconds until there may be something to do although nobody says so; None: never."""
        # a broker awaited after a start is looked at again until its window is over
        awaited = self.role == "broker" and self._behind and not self._up
        return _LOOK_SECONDS if awaited or not self._holds() else None

    def _in_grace(self) -> bool:
        """After a start, requests of before wait for their broker's logon, but no longer than its window."""
        waits = self.role == "broker" and self._behind and not self._up
        return waits and datetime.now(UTC) - self._started_at <= self._window

    def _work(self) -> None:
        if not self._up:
            if self.role == "client":
                self._behind = True  # kept in the ledger
                with self._lock:
                    self._queue.clear()
                return
            if self._in_grace():
                return
        while not self._ended.is_set():
            if self._behind and not self._catch_up():
                return
            notes: list[Send] = []
            while messages := self._next():
                if not self._settle(messages, notes):
                    break
            self._note(notes)
            if not self._behind:
                return

    def _next(self) -> list[Message]:
        """The next messages in hand; none while the ledger has earlier ones, which must leave first."""
        with self._lock:
            queue = self._queue
            while queue and queue[0].seq <= self.cursor:  # the ledger had it
                queue.popleft()
            return [] if self._behind else [queue.popleft() for _ in range(min(len(queue), _TOGETHER[self.role]))]

    def _settle(self, messages: list[Message], notes: list[Send]) -> bool:
        """Settle messages in their order. False if the session went down and the rest stays in the ledger."""
        while messages:
            numbers, refused = self._leave(messages) if self._holds() else ([], "")
            now = datetime.now(UTC)
            for message, number in zip(messages, numbers, strict=False):
                self.cursor = message.seq
                notes.append(Send(message.seq, self.session, "sent", number, now, None))
            messages = messages[len(numbers) :]
            if numbers:
                continue
            if not refused and (self.role == "client" or self._ended.is_set() or not self._holds()):
                self._behind = True
                return False
            self._refuse([(messages[0], refused or self._logged_out)], notes)
            messages = messages[1:]
        return True

    def _leave(self, messages: list[Message]) -> tuple[list[int], str]:
        """The MsgSeqNums(34) of those that left; if none did, why the first one is refused ('': logged out)."""
        reached("before_send")
        if self.role == "broker" and messages[0].msg_type in "DG":
            refused = self._why_not(cl_ord_id_of(messages[0].text))
            if refused:
                return [], refused
        with self._in_flight:
            try:
                left = self._send(self.session, [message.text for message in messages])
            except Unsendable as error:
                return [], str(error)
            except StoreFailure:  # the house halts; what was not stored stays in the ledger, unsettled
                self._ended.set()
                return [], ""
            numbers = [msg_seq_num(raw) for raw in left]
            self._recent += zip(numbers, messages, strict=False)
        reached("after_send")
        return numbers, ""

    @property
    def _logged_out(self) -> str:
        return f"{self.session} is logged out"

    @property
    def _older(self) -> str:
        return f"older than {self.session}'s resend window of {self._window.total_seconds():.0f} s"

    def _refuse(self, refusals: list[tuple[Message, str]], notes: list[Send]) -> None:
        """Settle messages that will never leave, with why, and tell the core.

        Notes and news are told at once, so that they are committed together: were the core's answer committed without
        the note, a start in between would send; were the note without the news, nobody would ever hear of it.
        """
        now = datetime.now(UTC)
        told: list[Heard] = []
        for message, reason in refusals:
            self._passed(message)
            notes.append(Send(message.seq, self.session, "refused", None, now, reason))
            matter = (message.seq, message.msg_type, cl_ord_id_of(message.text), reason)
            told.append(Heard(box.NOT_SENT, self.session, "", matter, now_us()))
        reached("refused")
        self._inbox.tell(self._noted(notes), *told)
        notes.clear()
        reached("noted")

    def _passed(self, message: Message) -> None:
        """A message is settled."""
        self.cursor = message.seq

    def _noted(self, notes: list[Send]) -> Heard:
        """What became of messages, for the ledger."""
        return Heard(box.SENT, self.session, "", tuple(notes), now_us())

    def _note(self, notes: list[Send]) -> None:
        if notes:
            self._inbox.tell(self._noted(notes))
            notes.clear()
            reached("noted")

    def _ledger_rows(self, after: int) -> Rows:
        """What the ledger has beyond a row and not settled; waits for a ledger that is gone."""
        while not self._ended.is_set():
            try:
                if self._reader is None:
                    self._reader = Reader(self._ledger_url)
                return self._reader.outgoing(self.session, after, CHUNK)
            except CONNECTION_LOST as error:
                log.warning("waiting for the ledger", session=self.session, error=str(error).strip())
                self._ended.wait(_LEDGER_PAUSE)
        return []

    def _close_reader(self) -> None:
        """A connection is needed for catching up only; held on, the sessions could use up all that there are."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _catch_up(self) -> bool:
        """Send what the ledger has beyond the cursor; False if the session went down before its end.

        Orders of before a stop leave only within the window.
        """
        while not self._ended.is_set():
            self._behind = False
            rows = self._ledger_rows(self.cursor)
            reached("caught_up")
            notes: list[Send] = []
            messages = [self._message(row) for row in rows]
            together = _TOGETHER[self.role]
            for some in (messages[start : start + together] for start in range(0, len(messages), together)):
                if reason := self._too_late(some[0]):
                    self._refuse([(some[0], reason)], notes)
                elif not self._settle(some, notes):
                    self._note(notes)
                    self._close_reader()
                    return False
            self._note(notes)
            if len(rows) < CHUNK and not self._behind:
                break
        self._close_reader()
        return True

    def _message(self, row: dict[str, Any]) -> Message:
        text = bytes(row["raw"]).decode("utf-8", "surrogateescape")
        return Message(row["seq"], self.session, row["msg_type"], text, row["received_at"], row["order_id"] or "")

    def _too_late(self, message: Message) -> str:
        """Why a message from the ledger may not leave any more, '' if it may.

        The ledger also has what was decided while this sender was catching up: to that the window does not apply,
        so that with a window of 0 the first order after a logon leaves.
        """
        of_before = message.decided_at < self._started_at
        limit = self._window if of_before else max(self._window, _STALE)
        if self.role != "broker" or datetime.now(UTC) - message.decided_at <= limit:
            return ""
        # A cancel is never too old, but for one that only makes room for the new order of a replace.
        if message.msg_type not in "DG" and not is_for_replace(cl_ord_id_of(message.text)):
            return ""
        return self._older if of_before else f"waited for more than {limit.total_seconds():.0f} s for {self.session}"


class Outbox:
    """All senders."""

    def __init__(self, senders: dict[str, Sender]) -> None:
        self.senders = senders

    def start(self) -> None:
        """Start every session's thread."""
        for sender in self.senders.values():
            sender.thread.start()

    def deliver(self, messages: list[Message]) -> None:
        """Take over messages that have just been committed."""
        if not messages:
            return
        by_session: dict[str, list[Message]] = defaultdict(list)
        for message in messages:
            by_session[message.session].append(message)
        for session, some in by_session.items():
            self.senders[session].add(some)

    def stop(self, seconds: float = 2.0) -> None:
        """End all threads; one that is stuck in a socket is left behind."""
        for sender in self.senders.values():
            sender.stop()
        for sender in self.senders.values():
            if sender.thread.is_alive():
                sender.thread.join(seconds)
