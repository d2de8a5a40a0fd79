"""The drop copy: a broker's second session, with a copy of every report, as a second witness of what was traded.

Law: a copy never moves an order, never books a fill, and is never answered. Each execution, correction and bust that
it tells is written down as the drop copy's word (`Witness`) and compared with the fill of the same broker, trade date
and ExecID(17), whichever comes first. Differing figures are an exception item at once. What only one of the two has
told for too long is one as well, and closes by itself when the other tells it too.

The core has no clock: `Watch` finds by age, outside, what it tells the core as an event (`Unmatched`). After a start
the drop copy and the order session have the whole time again, because what was missed is sent again then; so has the
drop copy after each logon of its own, and while it is logged out nothing is missed there.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

from oms.core import copies as c
from oms.core import messages as m
from oms.core import replies
from oms.core.book import Book, number_id
from oms.core.copies import Copies, Key, Word
from oms.core.effects import Fill, Witness
from oms.core.messages import Event, ExecutionReport, Unmatched
from oms.core.order import ZERO, decimal_text
from oms.core.replies import Context

WITNESS: Final = "drop copy"
KINDS: Final = {"F": "trade", "G": "correct", "H": "bust"}
MISSING_HERE: Final = "missing_here"
MISSING_THERE: Final = "missing_there"
_FIGURES = ("ExecID(17)", "LastQty(32)", "LastPx(31)")
_AT_ONCE = 50  # raised per look and broker

# What a session brings that is not its own coming and going.
MESSAGES = frozenset(
    [m.ExecutionReport, m.CancelReject, m.MassCancelReport, m.MessageReject, m.Unsupported, m.Unreadable]
)


def message(ctx: Context, seq: int, event: Event, copies: Copies) -> None:
    """A message of a drop copy session: executions are compared, the rest is on record and nothing more."""
    body = event.body
    if isinstance(body, m.Unreadable):
        replies.open_item(ctx, seq, event, "unreadable_copy", body.text, None)
    elif isinstance(body, ExecutionReport) and body.exec_type in KINDS:
        problem = _problem(body)
        if problem:
            text = f"{copies.broker}, ExecID(17) {body.exec_id or 'absent'}: {problem}"
            replies.open_item(ctx, seq, event, "unreadable_copy", text, None)
        else:
            _copy(ctx, seq, event, copies, body)


def _problem(msg: ExecutionReport) -> str:
    """Why a copy cannot be compared, '' if it can."""
    if msg.problem is not None and msg.problem.tag in _FIGURES:
        return f"{msg.problem.tag}: {msg.problem.text}"
    if msg.exec_id in ("", "0"):
        return "an execution without ExecID(17) cannot be compared with a fill"
    if msg.exec_type == "F" and (msg.last_qty is None or msg.last_px is None):
        return "a trade needs LastQty(32) and LastPx(31)"
    return ""


def _copy(ctx: Context, seq: int, event: Event, copies: Copies, msg: ExecutionReport) -> None:
    """An execution as the drop copy tells it."""
    key = (msg.trade_date, msg.exec_id)
    if key in copies.words:
        ctx.fx.detail["duplicate"] = True
        return
    fill = copies.fills.take(key)
    known = fill is not None or ctx.book.fill_key_seen(copies.broker, *key)
    if fill is None and (known or copies.words.forgot) and key in copies.told:
        ctx.fx.detail["duplicate"] = True
        return
    if fill is None and known:
        fill = _recall(ctx, copies, key).fill
    witness = Witness(
        copies.broker, msg.trade_date, msg.exec_id, WITNESS, KINDS[msg.exec_type], msg.last_qty, msg.last_px, seq,
        event.received_at, msg.cl_ord_id, msg.account, msg.symbol, msg.side,
    )  # fmt: skip
    copies.told.add(key)
    ctx.fx.witnesses.append(witness)
    if fill is not None:
        _met(ctx, seq, event, copies, key, fill, copy_word(witness))
    elif not known:
        copies.words.add(key, copy_word(witness))
        ctx.fx.detail["drop_copy"] = "waits for its fill"


def booked(ctx: Context, seq: int, event: Event, fill: Fill) -> None:
    """The order session told it: a fill was booked."""
    copies = ctx.book.drop_copies.of_broker.get(fill.broker)
    if copies is None or not copies.session:
        return
    key = (fill.trade_date, fill.exec_id)
    word = copies.words.take(key)
    if word is None and copies.words.forgot and key in copies.told:
        word = _recall(ctx, copies, key).copy
    own = fill_word(fill)
    if word is None:
        copies.fills.add(key, own)
    else:
        _met(ctx, seq, event, copies, key, own, word)


def fill_word(fill: Fill) -> Word:
    """A fill as the order session's word."""
    return Word(
        fill.kind, fill.last_qty, fill.last_px, fill.seq, fill_item_id(fill.client_exec_id), fill.received_at,
        order_id=fill.order_id or "", symbol=fill.symbol, side=fill.side,
    )  # fmt: skip


def copy_word(witness: Witness) -> Word:
    """What the drop copy tells, as its word."""
    return Word(
        witness.kind, witness.quantity, witness.price, witness.seq, copy_item_id(witness.seq), witness.at,
        cl_ord_id=witness.cl_ord_id, symbol=witness.symbol, side=witness.side,
    )  # fmt: skip


def fill_item_id(client_exec_id: str) -> str:
    """The id of the exception item of a fill that the drop copy does not tell."""
    return f"X{client_exec_id[1:]}-there"


def copy_item_id(seq: int) -> str:
    """The id of the exception item of a copy, by its journal row, whose fill is not known."""
    return f"{number_id('X', seq)}-here"


def _recall(ctx: Context, copies: Copies, key: Key) -> c.Recalled:
    """What the ledger has of an execution that memory let go: part of the decision, so that replay has it too."""
    found = ctx.judge.recall(copies.broker, *key)
    ctx.fx.detail["recalled"] = [None if word is None else word.recorded() for word in found]
    return found


def _met(ctx: Context, seq: int, event: Event, copies: Copies, key: Key, fill: Word, word: Word) -> None:
    """Both have told it: close what was raised about the one alone, and compare."""
    if fill.item == c.OPEN:
        done = "the drop copy has told it"
        replies.resolve(ctx, seq, event, MISSING_THERE, fill.item_id, fill.order_id or None, done)
    if word.item == c.OPEN:
        done = "the order session has told it"
        replies.resolve(ctx, seq, event, MISSING_HERE, word.item_id, fill.order_id or None, done)
    wrong = differences(fill, word)
    ctx.fx.detail["drop_copy"] = f"differs: {', '.join(wrong)}" if wrong else "agrees"
    if not wrong:
        return
    day, exec_id = key
    text = (
        f"{copies.broker}, ExecID(17) {exec_id} of {day}: the order session tells {_figures(fill)},"
        f" the drop copy {_figures(word)}"
    )
    item_id = f"{number_id('X', word.seq)}-mismatch"
    told = event._replace(session=copies.session)
    replies.open_item(
        ctx, word.seq, told, "drop_copy_mismatch", text, None, item_id=item_id, order_id=fill.order_id
    )  # fmt: skip


def differences(fill: Word, word: Word) -> list[str]:
    """What two witnesses tell otherwise, by name; [] where they agree. What one does not state is not compared.

    A bust says that there is no trade, whatever figures it repeats.
    """
    if fill.kind != word.kind:
        return ["kind"]
    if fill.kind == "bust":
        return []
    pairs = (("LastQty(32)", fill.quantity, word.quantity), ("LastPx(31)", fill.price, word.price))
    return [name for name, ours, theirs in pairs if not _same(fill.kind, ours, theirs)]


def _same(kind: str, ours: Decimal | None, theirs: Decimal | None) -> bool:
    if kind == "correct" and ours == ZERO:
        return True  # of a correction that came before its execution what it did not state is booked as 0
    return ours is None or theirs is None or ours == theirs


def _figures(word: Word) -> str:
    figures = (("LastQty(32)", word.quantity), ("LastPx(31)", word.price))
    told = " ".join(f"{name} {decimal_text(value)}" for name, value in figures if value is not None)
    return f"a {word.kind} {told}".rstrip()


# -- what only one of the two has told --------------------------------------------------------------------


class Watch:
    """Finds what only one witness has told for too long. Outside the core, on its thread."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._since: datetime | None = None
        self._told: set[tuple[str, str, Key]] = set()

    def look(self, now: datetime) -> list[Unmatched]:
        """What has become overdue since the last look, some at a time, each once. Costs nothing where all is well."""
        since = self._since = self._since or now
        found: list[Unmatched] = []
        still: set[tuple[str, str, Key]] = set()
        for copies in self._book.drop_copies:
            if not copies.seconds:
                continue
            late = list(self._late(copies.words, now, since, copies.seconds, MISSING_HERE))
            up_since = self._up_since(copies.session)
            if up_since is not None:
                late += self._late(copies.fills, now, up_since, copies.seconds, MISSING_THERE)
            for kind, key in late:
                name = (copies.broker, kind, key)
                still.add(name)
                if name not in self._told:
                    found.append(Unmatched(kind, copies.broker, key[0].isoformat(), key[1], copies.seconds))
        self._told = still
        return found

    @staticmethod
    def _late(
        waiting: c.Waiting, now: datetime, since: datetime, seconds: int, kind: str
    ) -> Iterator[tuple[str, Key]]:
        before = now - timedelta(seconds=seconds)
        if since > before:
            return
        for number, (key, word) in enumerate(waiting.fresh.items()):
            if number == _AT_ONCE or word.at is None or word.at > before:
                return  # the others are younger
            yield kind, key

    def _up_since(self, session: str) -> datetime | None:
        state = self._book.sessions.get(session)
        if state is None or not state.logged_on or not isinstance(state.changed_at, datetime):
            return None
        return state.changed_at


def unmatched(ctx: Context, seq: int, event: Event, msg: Unmatched) -> None:
    """Raise what only one witness has told, if it is still so."""
    copies = ctx.book.drop_copies.of_broker.get(msg.broker)
    if copies is None:
        return
    key = (date.fromisoformat(msg.trade_date), msg.exec_id)
    waiting = copies.words if msg.kind == MISSING_HERE else copies.fills
    word = waiting.raise_item(key)
    if word is None:
        return
    order_id = word.order_id
    if msg.kind == MISSING_HERE:
        found = ctx.book.at_broker(word.cl_ord_id)
        if found is not None and found[1].broker == msg.broker:
            order_id = found[0].order_id
            copies.words.raised[key] = word._replace(order_id=order_id)
    ctx.fx.order_id = order_id or None
    what = (
        f"ExecID(17) {msg.exec_id} of {msg.trade_date}, {_figures(word)}, Symbol(55) {word.symbol or 'absent'},"
        f" Side(54) {word.side or 'absent'}"
    )
    if msg.kind == MISSING_HERE:
        about = f"ClOrdID(11) {word.cl_ord_id or 'absent'}, {what}"
        text = f"{copies.session} tells an execution that {msg.broker} has not told for {msg.seconds} s: {about}"
        told = event._replace(session=copies.session)
        replies.open_item(
            ctx, word.seq, told, "missing_here", text, None, item_id=word.item_id, order_id=order_id
        )  # fmt: skip
    else:
        text = f"{copies.session} has not told an execution of {msg.broker} for {msg.seconds} s: {what}"
        told = event._replace(session=msg.broker)
        replies.open_item(
            ctx, word.seq, told, "missing_there", text, None, item_id=word.item_id, order_id=order_id
        )  # fmt: skip


def awaited_order(book: Book, msg: Unmatched) -> str:
    """The ClOrdID(11) of the order that `unmatched` will look for and memory does not hold, '' for none."""
    copies = book.drop_copies.of_broker.get(msg.broker)
    if copies is None or msg.kind != MISSING_HERE:
        return ""
    word = copies.words.fresh.get((date.fromisoformat(msg.trade_date), msg.exec_id))
    return word.cl_ord_id if word is not None and book.at_broker(word.cl_ord_id) is None else ""
