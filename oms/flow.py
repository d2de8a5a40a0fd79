"""Where an order goes: one batch from inbox to commit to outbox, in numbered steps, both directions.

    1 received   entries are taken from the inbox, fairly from all sessions
    2 decoded    raw FIX text becomes an event of the core
    3 decided    the core applies it: state changes, messages to send, rows to write
    4 written    every row of the batch is made: journal with its decisions, orders, fills, positions
    5 committed  one transaction (oms.committer, in its own thread; step 1 of the next batch goes on meanwhile)
    6 sent       the outbox sends what is committed, and tells the inbox what became of it (oms.outbox)

Law (I1): nothing reaches the outbox before step 5. The core thread runs steps 1 to 4 and owns all state. What
the outbox tells is written with the next batch, or by itself after a short while.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Protocol

from pydantic_core import to_json

from oms import inbox as box
from oms.core import messages as m
from oms.core import operators
from oms.core.book import SessionState
from oms.core.core import Core, Wanted
from oms.core.effects import Effects
from oms.crashpoints import reached
from oms.fix.decode import clean, decode_guarded
from oms.fix.encode import Encoder
from oms.fix.handle import msg_seq_num, msg_type
from oms.fix.rules import Rules, noted
from oms.inbox import Heard, Inbox
from oms.ledger import rows
from oms.ledger.batch import Batch, Position, Send
from oms.ledger.chain import JournalRow
from oms.ledger.texts import batch_texts
from oms.outbox import Message
from oms.own_events import Looks, noted_throttle, own_event
from oms.settled import Settled

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FINISHED_KEPT = 1000  # at least; more than the batches under way can hold, so only committed orders leave memory


def _compact(detail: dict[str, Any]) -> str:
    """A decision as JSON. pydantic's serializer is five times as fast as the standard library's."""
    return to_json(detail).decode()


def moment(at_us: int) -> datetime:
    """Microseconds since 1970 as a time."""
    return _EPOCH + timedelta(microseconds=at_us)


class Ledger(Protocol):
    """What the flow needs of the ledger: a place for batches, and orders that memory no longer has."""

    def put(self, batch: Batch, messages: list[Message]) -> None:
        """Queue a batch for commit; its messages leave after it. Blocks while two wait already."""

    def wait_for_room(self, seconds: float) -> bool:
        """Wait until `put` would not block; False if it still would."""

    def find(self, wanted: Wanted) -> list[Any]:
        """Orders by an id that memory does not know: all that left memory are committed."""

    def sent_cl_ord_id(self, session: str, number: int) -> tuple[str, str]:
        """MsgType(35) and ClOrdID(11) of what was sent to a session under a MsgSeqNum(34)."""


class Observer(Protocol):
    """Who watches: metrics and log."""

    def decided(self, batch: Batch, messages: list[Message], heard: list[Heard]) -> None:
        """A batch was worked through."""


class Flow:
    """The core thread's work."""

    def __init__(
        self,
        inbox: Inbox,
        core: Core,
        ledger: Ledger,
        encoders: dict[str, Encoder],
        fix42: frozenset[str],
        observer: Observer,
        *,
        next_batch: int,
        max_batch: int,
        shared_batch: int | None = None,
        rollover: timedelta,
        poison: frozenset[tuple[str, int, int]] = frozenset(),
        rules: Mapping[str, Rules] | None = None,
        too_fast: Mapping[str, Callable[[str], str]] | None = None,
    ) -> None:
        self._inbox = inbox
        self._core = core
        self._ledger = ledger
        self._encoders = encoders
        self._fix42 = fix42
        self._observer = observer
        self._next_batch = next_batch
        self._max_batch = max_batch
        self._shared_batch = min(shared_batch or max_batch, max_batch)
        self._rollover = rollover
        self._poison = poison
        self._rules = dict(rules or {})  # of what comes in, by session; most have none
        self.too_fast = dict(too_fast or {})  # by broker, who listens to its complaints that it gets too many
        self.in_hand: tuple[str, int, int] | None = None  # what a failure of our code would be blamed on
        self._settled = Settled()
        self._dirty: set[str] = set()
        self.looks = Looks(core, inbox)
        self.between: deque[Callable[[], None]] = deque()  # from any thread: to be done by this one, between batches

    def set_out_position(self, session: str, seq: int, number: int) -> None:
        """How far the outbox had settled a session before this start."""
        self._settled.begin(session, seq, number)

    def add_session(
        self, name: str, encoder: Encoder, rules: Rules | None, fix42: bool, settled: Iterable[Send]
    ) -> None:
        """From the core thread, between two batches; `settled` is written with the next one."""
        self._settled.sends += settled
        self._encoders[name] = encoder
        if rules is not None:
            self._rules[name] = rules
        if fix42:
            self._fix42 |= {name}
        self._dirty.add(name)

    def run_once(self, seconds: float) -> int:
        """Steps 1 to 4 for what is there; returns how many entries were taken."""
        if not self._ledger.wait_for_room(max(seconds, 1.0)):
            return 0
        heard = self._inbox.take(self._batch_size(), 0.05 if self._settled.sends else seconds)
        if heard:
            reached("received")
        self.process(heard)
        self._core.book.evict(max(_FINISHED_KEPT, 5 * self._max_batch))
        self.looks.look()
        while self.between:
            self.between.popleft()()
        return len(heard)

    def _batch_size(self) -> int:
        """What a batch may hold: an entry waits for the batches before its own, whoever filled them."""
        return self._shared_batch if self._core.book.is_shared() else self._max_batch

    def begin(self, first: JournalRow, settled: list[Send], never_left: list[Heard]) -> dict[str, int]:
        """The first batch of a run: the configuration, and what recovery found of messages sent or not.

        Returns how many exception items that opened, by kind.
        """
        batch = Batch(self._next_batch)
        batch.journal.append(first)
        batch.sends = settled
        self._dirty.update(self._core.book.sessions)
        first_seq = self._core.book.next_seq
        fx = self._core.new_batch()
        messages: list[Message] = []
        for heard in never_left:
            self._one(heard, batch, fx, messages)
        self._rows(batch, fx, first_seq)
        self._next_batch += 1
        self._ledger.put(batch, messages)
        return dict(sorted(Counter(item.kind for item in batch.items if not item.changes).items()))

    def record(self, row: JournalRow) -> None:
        """A row about the gateway itself, in a batch of its own."""
        batch = Batch(self._next_batch)
        batch.journal.append(row)
        self._next_batch += 1
        self._ledger.put(batch, [])

    def flush(self) -> None:
        """Write what the outbox told last, without waiting for more."""
        self._settled.hurry()
        self.process([])

    def process(self, heard: list[Heard]) -> None:
        """Work one batch through and hand it to the ledger."""
        batch = Batch(self._next_batch)
        first_seq = self._core.book.next_seq
        fx = self._core.new_batch()
        messages: list[Message] = []
        for entry in heard:
            self._one(entry, batch, fx, messages)
        if self._settled.sends and (batch.journal or self._settled.due):
            batch.sends = self._settled.take()
        if not batch.journal and not batch.sends:
            return
        reached("decided")
        self._rows(batch, fx, first_seq)
        batch.texts = batch_texts(batch)
        reached("written")
        self._observer.decided(batch, messages, heard)
        self._next_batch += 1
        self._ledger.put(batch, messages)

    # -- one entry ----------------------------------------------------------------------------------------

    def _one(self, heard: Heard, batch: Batch, fx: Effects, messages: list[Message]) -> None:
        if heard.kind == box.SENT or heard.kind == box.SENT_PACED:
            self._settled.told(heard)
            self._dirty.add(heard.session)
            return
        at = moment(heard.at_us)
        trade_date = self.trade_date(at)
        if heard.kind == box.IN:
            self._inbound(heard, at, trade_date, batch, fx, messages)
            return
        if heard.kind == box.COMMAND:
            self._command(heard, at, trade_date, batch, fx, messages)
            return
        body, kind, detail, number = own_event(heard)
        if heard.kind == box.FAILED:  # answered, so it must not be taken when it comes again after a restart
            self._note_number(heard.session, number)
        elif isinstance(body, m.SessionUp):  # perhaps after a reset
            self._settled.renumbered(heard.session, body.next_sender)
        event = m.Event(heard.session, number, at, trade_date, body)
        raw = heard.raw.encode("utf-8", "surrogateescape")
        self._decide(event, kind, type(body).__name__, number or None, None, raw, detail, batch, fx, messages)
        if heard.kind == box.RESEND_DECLINED:
            batch.answers.append((heard.matter[1], {}))

    def _command(
        self, heard: Heard, at: datetime, trade_date: date, batch: Batch, fx: Effects, messages: list[Message]
    ) -> None:
        """What an operator commands; the answer is given once it is committed."""
        operator, verb, args, asker = heard.matter
        body = m.Command(str(operator), str(verb), args)  # type: ignore[arg-type]
        event = m.Event("", 0, at, trade_date, body)
        detail: dict[str, Any] = {"matter": [body.operator, body.verb, [list(pair) for pair in body.args]]}
        self._decide(event, "operator", body.verb, None, None, b"", detail, batch, fx, messages)
        given = dict(body.args)
        if body.verb == operators.SET_SEQ and "next_out" in given:
            self._settled.renumbered(given["session"], int(given["next_out"]))
        batch.answers.append((asker, fx.answer or {}))

    def trade_date(self, at: datetime) -> date:
        """The gateway's trading day at a time: the UTC date on which it began, at the configured rollover."""
        return (at - self._rollover).date()

    def _note_number(self, session: str, number: int) -> None:
        """A message of a session is dealt with: it is not asked for again."""
        state = self._core.book.sessions.get(session)
        if state is not None:
            state.in_msg_seq_num = max(state.in_msg_seq_num, number)
            self._dirty.add(session)

    def _inbound(
        self,
        heard: Heard,
        at: datetime,
        trade_date: date,
        batch: Batch,
        fx: Effects,
        messages: list[Message],
    ) -> None:
        state = self._core.book.sessions[heard.session]
        number = msg_seq_num(heard.raw)
        if 0 < number <= state.in_msg_seq_num:
            return  # committed before a restart; resent because the engine was ahead of the journal
        self.in_hand = (heard.session, state.epoch, number)
        text, refusal = heard.raw, None
        rules = self._rules.get(heard.session)
        if rules is not None:
            text, refusal = rules.read(heard.raw)
        body, sending_time = decode_guarded(
            text,
            trade_date,
            from_broker=state.role != "client",
            fix42=heard.session in self._fix42,
            poisoned=self.in_hand in self._poison,
        )
        reached("decoded")
        detail: dict[str, Any] = {}
        if rules is not None:
            body = noted(body, refusal, heard.raw, text, detail)
        if heard.matter:  # of a client that has a rate, and went on beyond it
            body = noted_throttle(body, heard, detail)
        if isinstance(body, m.MessageReject) and not body.cl_ord_id and body.ref_seq_num:
            kind, cl_ord_id = self._ledger.sent_cl_ord_id(heard.session, body.ref_seq_num)
            body = body._replace(cl_ord_id=cl_ord_id, ref_msg_type=body.ref_msg_type or kind)
            detail["about"] = [body.ref_msg_type, cl_ord_id]
        elif isinstance(body, m.Unreadable):
            detail["unreadable"] = list(body)
        if (watch := self.too_fast.get(heard.session)) is not None and (slower := watch(text)):
            detail["too_fast"] = slower
        event = m.Event(heard.session, number, at, trade_date, body)
        self._note_number(heard.session, number)
        raw = heard.raw.encode("utf-8", "surrogateescape")
        kind = clean(msg_type(heard.raw))
        self._decide(event, "in", kind, number, sending_time, raw, detail, batch, fx, messages)
        self.in_hand = None

    def _decide(
        self,
        event: m.Event,
        kind: str,
        name: str,
        number: int | None,
        sending_time: datetime | None,
        raw: bytes,
        detail: dict[str, Any],
        batch: Batch,
        fx: Effects,
        messages: list[Message],
    ) -> None:
        """Step 3, and the journal rows of step 4 that belong to this event."""
        core = self._core
        wanted = core.missing(event)
        if wanted is not None:
            for order in self._ledger.find(wanted):
                if order.order_id not in core.book.orders:
                    core.remember(order)
        seq = core.book.take_seq()
        before, fills = len(fx.outgoing), len(fx.fills)
        core.apply(seq, event)
        detail |= fx.detail
        batch.journal.append(
            JournalRow(
                seq,
                kind,
                event.session,
                name,
                number,
                fx.order_id,
                None,
                sending_time,
                event.received_at,
                event.trade_date,
                raw,
                _compact(detail) if detail else None,
            )
        )
        batch.fills += [(fill, sending_time) for fill in fx.fills[fills:]]
        for out in fx.outgoing[before:]:
            self._outgoing(out, seq, event, batch, messages)

    def _outgoing(self, out: m.Outgoing, cause: int, event: m.Event, batch: Batch, messages: list[Message]) -> None:
        text, dropped = (out.text, ()) if out.text else self._encoders[out.session].encode(out)
        batch.journal.append(
            JournalRow(
                out.seq,
                "out",
                out.session,
                out.msg_type,
                None,
                out.order_id or None,
                cause,
                None,
                event.received_at,
                event.trade_date,
                text.encode("utf-8", "surrogateescape"),
                _compact({"dropped": list(dropped)}) if dropped else None,
            )
        )
        messages.append(Message(out.seq, out.session, out.msg_type, text, event.received_at, out.order_id))

    # -- rows ---------------------------------------------------------------------------------------------

    def _rows(self, batch: Batch, fx: Effects, first_seq: int) -> None:
        """Step 4: whatever changed, once, in its last state."""
        for order in fx.orders.values():
            if order.new_seq >= first_seq:
                batch.new_orders.append(rows.order_row(order))
            else:
                batch.changed_orders.append(rows.order_changes(order))
        for child in fx.children.values():
            if child.sent_seq >= first_seq:
                batch.new_children.append(rows.child_row(child))
            else:
                batch.changed_children.append(rows.child_changes(child))
        batch.requests = [rows.request_row(request) for request in fx.requests.values()]
        batch.items = list(fx.items.values())
        batch.witnesses = fx.witnesses
        batch.prices = list(fx.prices.values())
        for name in sorted(self._dirty | fx.sessions):
            state: SessionState = self._core.book.sessions[name]
            out_seq, out_number = self._settled.position(name)
            changed_at = state.changed_at if isinstance(state.changed_at, datetime) else datetime.now(UTC)
            batch.positions.append(
                Position(
                    name,
                    state.role,
                    state.epoch,
                    state.in_msg_seq_num,
                    out_seq,
                    out_number,
                    state.logged_on,
                    changed_at,
                )
            )
        self._dirty.clear()
