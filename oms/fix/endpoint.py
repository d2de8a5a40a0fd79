"""Where sessions meet the gateway: the listener of both engines.

Callbacks do almost nothing. What was heard goes into the inbox with the time; logons and logouts also go to the
session's sender. A resend of an order is decided here, at the last moment, from what the core knows: reading a
dictionary of the core's book from another thread is safe, and a stale answer errs towards not sending. What is not
sent again is committed before the engine fills the gap: after that the counterparty never asks for it again.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta

from oms import inbox as box
from oms.core import transitions as life
from oms.core.book import Book
from oms.core.order import PENDING, SENT, is_for_replace
from oms.fix.decode import clean, parse_time
from oms.fix.handle import SOH, msg_type
from oms.inbox import Heard, Inbox, now_us
from oms.outbox import Sender

_COMMIT_SECONDS = 2.0  # that an engine thread waits for the ledger, before it gives its line up


def _field(raw: str, tag: str) -> str:
    start = raw.find(f"{SOH}{tag}=")
    return raw[start + len(tag) + 2 : raw.find(SOH, start + 1)] if start >= 0 else ""


class Endpoint:
    """Implements `EngineListener` for clients and brokers alike."""

    def __init__(
        self,
        inbox: Inbox,
        book: Book,
        senders: dict[str, Sender],
        windows: dict[str, timedelta],
        why_not: Callable[[str], str],
        cut: Callable[[str], None],
    ) -> None:
        """`cut` ends a session's connection without a word; it may be called under the session's lock."""
        self._inbox = inbox
        self._book = book
        self._senders = senders
        self._windows = windows
        self._why_not = why_not
        self._cut = cut

    def logged_on(self, session: str, next_sender: int, next_target: int) -> None:
        """The core hears of it before the sender begins, so that routing never lags behind sending."""
        self._inbox.follow(Heard(box.UP, session, "", (next_sender, next_target), now_us()))
        self._senders[session].set_up(True)

    def logged_out(self, session: str) -> None:
        """From now on nothing leaves on this session."""
        self._senders[session].set_up(False)
        self._inbox.follow(Heard(box.DOWN, session, "", (), now_us()))

    def received(self, session: str, raw: str) -> None:
        """An application message; blocks while this session's queue is full."""
        self._inbox.put(Heard(box.IN, session, raw, (), now_us()))

    def refused(self, session: str, raw: str, reason: str) -> None:
        """What the engine turned away is recorded too."""
        self._inbox.put(Heard(box.REFUSED, session, raw, (clean(reason),), now_us()))

    def failed(self, session: str, raw: str, error: BaseException) -> None:
        """Our own code failed on a message: recorded as unreadable, answered, and the engine goes on."""
        text = clean(f"{type(error).__name__}: {error}")
        self._inbox.put(Heard(box.FAILED, session, raw, (text,), now_us()))

    def may_resend(self, session: str, raw: str) -> bool:
        """Reports always; orders and replaces only while fresh, still wanted and allowed."""
        window = self._windows.get(session)
        if window is None:
            return True  # a client: every report is resent
        kind = msg_type(raw)
        cl_ord_id = _field(raw, "11")
        if kind in ("H", "AF"):
            return False
        if kind not in ("D", "G") and not is_for_replace(cl_ord_id):
            return True
        sent_at = parse_time(_field(raw, "122")) or parse_time(_field(raw, "52"))
        fresh = sent_at is not None and datetime.now(UTC) - sent_at <= window
        if fresh and not self._why_not(cl_ord_id) and self._wanted(cl_ord_id):
            return True
        self._decline(session, cl_ord_id)
        return False

    def _decline(self, session: str, cl_ord_id: str) -> None:
        """The core hears that a message is not sent again, and the ledger has it, or there is no line to say so on.

        The broker asks again at its next logon.
        """
        asker: Future[object] = Future()
        self._inbox.tell(Heard(box.RESEND_DECLINED, session, "", (cl_ord_id, asker), now_us()))
        try:
            asker.result(_COMMIT_SECONDS)
        except TimeoutError:
            self._cut(session)

    def _wanted(self, cl_ord_id: str) -> bool:
        found = self._book.at_broker(cl_ord_id)
        if found is None:
            return False
        order, child = found
        if cl_ord_id == child.child_id:
            if order.child is not child:
                return False  # another broker has it by now
            return child.life == life.ROUTED and not any(one.kind == "F" for one in order.pending_requests)
        request = order.request_by_broker_id(cl_ord_id)
        if request is None or order.life in life.TERMINAL:
            return False
        if is_for_replace(cl_ord_id):  # its client was told at once that it is pending
            return request.state == PENDING and order.child is child
        return request.state == SENT
