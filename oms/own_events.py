"""What the gateway tells itself: found by looking at the book from time to time, and heard as events of the core.

The core has no clock, so what is found by age comes to it as an entry of the inbox like any other, is journaled, and
replays. `Looks` is owned by the core thread; its memory begins anew with a start, and so do the ages.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from typing import Any

from oms import inbox as box
from oms.core import approvals, disconnect, drop_copy
from oms.core import messages as m
from oms.core.ageing import Ageing
from oms.core.core import Core
from oms.core.rounds import Rounds
from oms.core.throttled import throttled
from oms.fix.decode import clean
from oms.fix.handle import msg_seq_num, msg_type
from oms.inbox import Heard, Inbox, now_us

_EVERY = timedelta(seconds=1)
_FOUND: dict[str, Any] = {  # what is found by looking at the book
    box.OVERDUE: m.Overdue,
    box.UNMATCHED: m.Unmatched,
    box.RECONCILE: m.Reconcile,
    box.GONE: m.CancelOnDisconnect,
    box.OVER_RATE: m.OverRate,
    box.PRICES: m.Prices,
    box.PRICE_SOURCE: m.PriceSource,
}


class Looks:
    """Looks at the book once a second, and tells the inbox what is due."""

    def __init__(self, core: Core, inbox: Inbox) -> None:
        self._book = core.book
        self._inbox = inbox
        self._ageing = Ageing(core.book, core.brokers)
        self._unmatched = drop_copy.Watch(core.book)
        self._rounds = Rounds(core.book, core.brokers)
        self._disconnects = disconnect.Watch(core.book, core.graces)
        self._next = datetime(1970, 1, 1, tzinfo=UTC)
        self.commands: Callable[[datetime], list[tuple[str, m.Pairs]]] = lambda now: []  # of the gateway itself

    def look(self) -> None:
        """Tell what is due by now, if the last look is a second ago."""
        now = datetime.now(UTC)
        if now < self._next:
            return
        self._next = now + _EVERY
        for found in self._ageing.look(now):
            self._tell(box.OVERDUE, "", tuple(found))
        for alone in self._unmatched.look(now):
            self._tell(box.UNMATCHED, "", tuple(alone))
        for proposal_id in approvals.overdue(self._book, now):
            self._command(approvals.EXPIRE, (("proposal_id", proposal_id),))
        for verb, args in self.commands(now):
            self._command(verb, args)
        for client, gone in self._disconnects.look(now):
            self._tell(box.GONE, client, tuple(gone))
        for broker, step in self._rounds.look(now):
            self._tell(box.RECONCILE, broker, tuple(step))

    def _command(self, verb: str, args: m.Pairs) -> None:
        asker: Future[dict[str, Any]] = Future()
        self._tell(box.COMMAND, "", ("oms", verb, args, asker))

    def _tell(self, kind: str, session: str, matter: tuple[object, ...]) -> None:
        self._inbox.tell(Heard(kind, session, "", matter, now_us()))


def noted_throttle(body: m.Body, heard: Heard, detail: dict[str, Any]) -> m.Body:
    """The event of a message that its session's rate delayed or refuses; `detail` gets what replay needs of it."""
    refused, delayed_ms = heard.matter
    detail["throttle"] = {"refused": refused} if refused else {}
    if delayed_ms:
        detail["throttle"]["delayed_ms"] = delayed_ms
    return throttled(body, clean(msg_type(heard.raw)), str(refused)) if refused else body


def own_event(heard: Heard) -> tuple[m.Body, str, dict[str, Any], int]:
    """An entry that is no message, as an event; its journal kind, what replay needs of it, and a MsgSeqNum(34)."""
    matter = heard.matter
    values: Any = list(matter)
    if heard.kind == box.UP:
        return m.SessionUp(*values), "session", {"matter": values}, 0
    if heard.kind == box.DOWN:
        return m.SessionDown(), "session", {}, 0
    if heard.kind == box.NOT_SENT:
        return m.NotSent(*values), "feedback", {"matter": values}, 0
    if heard.kind == box.RESEND_DECLINED:
        return m.ResendDeclined(values[0]), "feedback", {"matter": values[:1]}, 0
    if heard.kind == box.IN_DOUBT:
        return m.InDoubt(*values)._replace(text=heard.raw), "feedback", {"matter": values}, 0
    if found := _FOUND.get(heard.kind):
        return found(*values), "feedback", {"matter": values}, 0
    number = msg_seq_num(heard.raw)
    if heard.kind == box.FAILED:
        text = f"the gateway could not read this message: {values[0]}"
        return m.Unreadable(clean(msg_type(heard.raw)), "", text), "refused", {"matter": [text]}, number
    values.append(clean(msg_type(heard.raw)))
    return m.Refused(*values), "refused", {"matter": values}, number
