"""A drop copy confirms fills and raises what differs; it never moves an order, books a fill or is answered."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal as D
from typing import Any

import pytest

from oms.core import messages as m
from oms.core.book import SessionState
from oms.core.copies import Key, Recalled, Waiting, Word
from oms.core.drop_copy import Watch, copy_word, fill_word
from oms.core.judge import Judge, LiveJudge, RecordedJudge
from oms.core.terms import Terms
from tests.core.desk import Desk, number
from tests.core.driver import BROKER, DAY, TERMS, Sent

COPY = "COPY1"
ISO = DAY.isoformat()


class CopyDesk(Desk):
    """A desk whose first broker has a drop copy session; what only one witness tells is raised after 30 s."""

    def __init__(self, terms: Terms = TERMS, *, judge: Judge | None = None, **more: Any) -> None:
        super().__init__(terms, judge=judge, **more)
        self.book.sessions[COPY] = SessionState(COPY, "drop_copy", logged_on=True, changed_at=self.now)
        self.book.drop_copies.configure({COPY: BROKER}, {COPY: 30})
        self.witnesses: list[tuple[str, str, str, D | None, D | None]] = []

    def apply(self, event: m.Event, seq: int | None = None) -> list[Sent]:
        left = super().apply(event, seq)
        self.witnesses += [(one.broker, one.exec_id, one.kind, one.quantity, one.price) for one in self.fx.witnesses]
        return left

    def copy(self, about: str, exec_type: str, qty: object, px: object, exec_id: str, **more: Any) -> list[Sent]:
        """The same report on the drop copy session."""
        msg = self.report_of(
            about, exec_type, last_qty=number(qty), last_px=number(px), exec_id=exec_id, cum_qty=None, **more
        )
        return self.event(COPY, msg)

    def raised(self, kind: str, exec_id: str) -> list[tuple[str, str]]:
        """The time is over for an execution that only one witness told; returns the items that were opened."""
        self.event("", m.Unmatched(kind, BROKER, ISO, exec_id, 30))
        return self.outcome.items

    def again(self) -> None:
        """Replay: everything comes out alike, from what the journal has."""
        judge = RecordedJudge()
        other = CopyDesk(judge=judge)
        for seq, event, detail in self.events:
            judge.detail = detail
            other.apply(event, seq)
        assert (other.raw, other.fills, other.items) == (self.raw, self.fills, self.items)
        assert other.witnesses == self.witnesses
        assert other.book.orders == self.book.orders


def working() -> CopyDesk:
    desk = CopyDesk()
    desk.working("A1")
    return desk


def test_a_copy_after_its_fill_confirms_it_and_changes_nothing_else() -> None:
    desk = working()
    desk.fill("A1", 40, 10, "x1")
    before = desk.state("A1")
    assert desk.copy("A1", "F", 40, 10, "x1") == []
    assert (desk.outcome.fills, desk.outcome.items) == ([], [])
    assert desk.details[-1] == {"drop_copy": "agrees"}
    assert desk.witnesses == [(BROKER, "x1", "trade", D(40), D(10))]
    assert desk.state("A1") == before
    desk.again()


def test_a_copy_before_its_fill_waits_for_it_and_then_confirms_it() -> None:
    desk = working()
    assert desk.copy("A1", "F", 40, 10, "x1") == []
    assert desk.details[-1] == {"drop_copy": "waits for its fill"}
    assert desk.state("A1")[2] == "0"
    desk.fill("A1", 40, 10, "x1")
    assert desk.details[-1]["drop_copy"] == "agrees"
    assert len(desk.book.drop_copies.of_broker[BROKER].words) == 0
    assert desk.open_items() == []
    desk.again()


def test_a_copy_that_comes_again_is_no_second_word() -> None:
    desk = working()
    desk.copy("A1", "F", 40, 10, "x1")
    desk.copy("A1", "F", 40, 10, "x1")  # while it waits
    assert desk.details[-1] == {"duplicate": True}
    desk.fill("A1", 40, 10, "x1")
    desk.copy("A1", "F", 41, 10, "x1")  # after it was confirmed
    assert desk.details[-1] == {"duplicate": True}
    assert len(desk.witnesses) == 1
    desk.again()


@pytest.mark.parametrize(
    ("exec_type", "qty", "px", "words"),
    [
        ("F", 41, 10, "the order session tells a trade LastQty(32) 40 LastPx(31) 10, the drop copy a trade"
         " LastQty(32) 41 LastPx(31) 10"),
        ("F", 40, "10.01", "the order session tells a trade LastQty(32) 40 LastPx(31) 10, the drop copy a trade"
         " LastQty(32) 40 LastPx(31) 10.01"),
        ("G", 40, 10, "the order session tells a trade LastQty(32) 40 LastPx(31) 10, the drop copy a correct"
         " LastQty(32) 40 LastPx(31) 10"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("copy_first", [True, False])
def test_other_figures_are_raised_with_both_words_whoever_comes_first(
    exec_type: str, qty: object, px: object, words: str, copy_first: bool
) -> None:
    desk = working()
    for is_copy in (copy_first, not copy_first):
        if is_copy:
            desk.copy("A1", exec_type, qty, px, "x1")
            row = desk.events[-1][0]
        else:
            desk.fill("A1", 40, 10, "x1")
    [item] = [one for one in desk.items if one.kind == "drop_copy_mismatch"]
    assert (item.seq, item.session, item.order_id) == (row, COPY, desk.order("A1").order_id)
    assert item.text == f"{BROKER}, ExecID(17) x1 of {ISO}: {words}"
    assert desk.state("A1")[2] == "40"
    desk.again()


def test_a_price_written_otherwise_and_a_figure_that_is_not_told_agree() -> None:
    desk = working()
    desk.fill("A1", 40, 10, "x1")
    desk.copy("A1", "F", "40.0", "10.00", "x1")
    desk.correct("A1", "x1", qty=30, px=10, exec_id="x2")
    desk.copy("A1", "G", None, 10, "x2", exec_ref_id="x1")
    desk.bust("A1", "x2", exec_id="x3")
    desk.copy("A1", "H", 30, 10, "x3", exec_ref_id="x2")
    assert [detail["drop_copy"] for detail in desk.details if "drop_copy" in detail] == ["agrees"] * 3
    assert desk.open_items() == []
    desk.again()


def test_what_only_the_drop_copy_tells_is_raised_and_closes_when_the_order_session_brings_it() -> None:
    desk = working()
    desk.copy("A1", "F", 40, 10, "x1")
    row = desk.events[-1][0]
    assert desk.raised("missing_here", "x1") == [("missing_here", "open")]
    item = desk.items[-1]
    assert (item.session, item.seq, item.order_id) == (COPY, row, desk.order("A1").order_id)
    assert item.text == (
        f"COPY1 tells an execution that BROKER1 has not told for 30 s: ClOrdID(11) {desk.to_broker('A1')},"
        f" ExecID(17) x1 of {ISO}, a trade LastQty(32) 40 LastPx(31) 10, Symbol(55) IBM, Side(54) 1"
    )
    assert desk.raised("missing_here", "x1") == []
    desk.fill("A1", 40, 10, "x1")
    assert desk.outcome.items == [("missing_here", "resolved")]
    assert desk.items[-1].resolution == "the order session has told it"
    assert desk.open_items() == []
    desk.again()


def test_a_fill_that_the_drop_copy_does_not_tell_is_raised_and_closes_when_it_does() -> None:
    desk = working()
    desk.fill("A1", 40, 10, "x1")
    row = desk.events[-1][0]
    assert desk.raised("missing_there", "x1") == [("missing_there", "open")]
    item = desk.items[-1]
    assert (item.session, item.seq, item.order_id) == (BROKER, row, desk.order("A1").order_id)
    assert item.text.startswith("COPY1 has not told an execution of BROKER1 for 30 s: ExecID(17) x1 of")
    desk.copy("A1", "F", 40, 10, "x1")
    assert desk.outcome.items == [("missing_there", "resolved")]
    desk.again()


def test_an_item_that_an_operator_closed_is_not_closed_again() -> None:
    desk = working()
    desk.copy("A1", "F", 40, 10, "x1")
    desk.raised("missing_here", "x1")
    item = desk.items[-1]
    args = (("item_id", item.item_id), ("kind", item.kind), ("order_id", item.order_id or ""), ("text", "by phone"))
    desk.event("", m.Command("ann", "exceptions.resolve", args))
    desk.fill("A1", 40, 10, "x1")
    assert desk.outcome.items == []
    desk.again()


def test_what_has_met_by_then_is_not_raised() -> None:
    desk = working()
    desk.fill("A1", 40, 10, "x1")
    desk.copy("A1", "F", 40, 10, "x1")
    assert desk.raised("missing_there", "x1") == []
    assert desk.raised("missing_here", "x1") == []
    desk.again()


@pytest.mark.parametrize("exec_type", ["0", "4", "8", "I", "6"])
def test_copies_that_are_no_executions_are_on_record_only(exec_type: str) -> None:
    desk = working()
    before = desk.state("A1")
    assert desk.copy("A1", exec_type, None, None, "x1") == []
    assert (desk.outcome.items, desk.details[-1], desk.state("A1")) == ([], {}, before)


@pytest.mark.parametrize(
    "body",
    [
        m.CancelReject("B-1", "C1", "", "0", "", ()),
        m.Unsupported("AE", "T1"),
        m.MessageReject(3, "8", "", "no"),
        m.MassCancelReport("C1", "7", "", 1, (), ""),
    ],
)
def test_nothing_else_of_a_drop_copy_is_answered_or_raised(body: m.Body) -> None:
    desk = working()
    assert desk.event(COPY, body) == []
    assert desk.outcome.items == []


@pytest.mark.parametrize(
    ("qty", "px", "exec_id", "problem"),
    [
        (None, 10, "x1", "a trade needs LastQty(32) and LastPx(31)"),
        (40, None, "x1", "a trade needs LastQty(32) and LastPx(31)"),
        (40, 10, "", "an execution without ExecID(17) cannot be compared with a fill"),
        (40, 10, "0", "an execution without ExecID(17) cannot be compared with a fill"),
    ],
)
def test_a_copy_that_cannot_be_compared_is_raised(qty: object, px: object, exec_id: str, problem: str) -> None:
    desk = working()
    assert desk.copy("A1", "F", qty, px, exec_id) == []
    assert desk.open_items() == ["unreadable_copy"]
    assert desk.items[-1].text == f"{BROKER}, ExecID(17) {exec_id or 'absent'}: {problem}"
    assert desk.witnesses == []


def test_a_copy_of_an_order_that_nobody_knows_waits_like_any_other() -> None:
    desk = CopyDesk()
    desk.copy("THEIRS", "F", 40, 10, "x1")
    assert desk.raised("missing_here", "x1") == [("missing_here", "open")]
    assert desk.items[-1].order_id is None
    desk.again()


def test_without_a_drop_copy_fills_wait_for_nobody() -> None:
    desk = working()
    desk.book.drop_copies.configure({}, {})
    desk.fill("A1", 40, 10, "x1")
    assert len(desk.book.drop_copies.of_broker[BROKER].fills) == 0


# -- age -------------------------------------------------------------------------------------------------------


def looks(desk: CopyDesk, *seconds: float) -> list[list[tuple[str, str]]]:
    """What each look finds, so many seconds after now."""
    watch = Watch(desk.book)
    return [[(one.kind, one.exec_id) for one in watch.look(desk.now + timedelta(seconds=at))] for at in seconds]


def test_what_only_one_tells_is_found_once_when_its_time_is_over() -> None:
    desk = working()
    desk.fill("A1", 10, 10, "here")
    desk.copy("A1", "F", 10, 10, "there")
    assert looks(desk, 0, 29, 30, 31) == [[], [], [("missing_here", "there"), ("missing_there", "here")], []]


def test_after_a_start_the_order_session_has_the_whole_time_again() -> None:
    desk = working()
    desk.copy("A1", "F", 10, 10, "x1")
    assert looks(desk, 1000, 1029, 1030) == [[], [], [("missing_here", "x1")]]


def test_while_the_drop_copy_is_logged_out_nothing_is_missed_and_after_its_logon_it_has_the_whole_time() -> None:
    desk = working()
    desk.fill("A1", 10, 10, "x1")
    desk.event(COPY, m.SessionDown())
    assert looks(desk, 0, 100) == [[], []]
    desk.tick(1)
    desk.event(COPY, m.SessionUp(1, 1))
    assert looks(desk, 0, 29, 30) == [[], [], [("missing_there", "x1")]]


def test_at_most_fifty_are_found_at_a_time() -> None:
    desk = CopyDesk()
    for one in range(70):
        desk.copy("THEIRS", "F", 1, 1, f"x{one}")
    watch, after = Watch(desk.book), desk.now + timedelta(seconds=31)
    watch.look(desk.now)
    found = watch.look(after)
    assert [len(found), len(watch.look(after))] == [50, 0]
    for one in found:
        desk.event("", one)
    assert len(watch.look(after)) == 20


# -- what memory lets go ---------------------------------------------------------------------------------------


class Ledger:
    """What is committed, as the gateway's ledger answers for it."""

    def __init__(self, desk: CopyDesk) -> None:
        self._desk = desk
        self.asked: list[str] = []

    def copy_told(self, broker: str, key: Key) -> bool:
        self.asked.append(f"told {key[1]}")
        return any(one.exec_id == key[1] for _, _, one in self._written())

    def recall(self, broker: str, day: date, exec_id: str) -> Recalled:
        self.asked.append(f"recall {exec_id}")
        fill = next((fill_word(one) for one in self._desk.fills if one.exec_id == exec_id), None)
        copy = next((word for _, word, one in self._written() if one.exec_id == exec_id), None)
        return Recalled(*(None if word is None else self._with_item(word) for word in (fill, copy)))

    def _with_item(self, word: Word) -> Word:
        states = [one.state for one in self._desk.items if one.item_id == word.item_id]
        return word._replace(item=states[-1] if states else "")

    def _written(self) -> list[tuple[int, Word, Any]]:
        return [(one.seq, copy_word(one), one) for one in self._desk.rows]


class BoundedDesk(CopyDesk):
    """Keeps three of each kind in memory, and asks the ledger for the others."""

    def __init__(self) -> None:
        self.ledger = Ledger(self)
        judge = LiveJudge(TERMS, lambda broker: True, recall=self.ledger.recall)
        super().__init__(judge=judge)
        self.rows: list[Any] = []
        self.book.drop_copies.of_broker.clear()
        self.book.drop_copies.configure({COPY: BROKER}, {COPY: 30}, self.ledger.copy_told, keep=3)

    def apply(self, event: m.Event, seq: int | None = None) -> list[Sent]:
        left = super().apply(event, seq)
        self.rows += self.fx.witnesses
        return left


def test_fills_that_left_memory_are_confirmed_all_the_same_and_replay_agrees() -> None:
    desk = BoundedDesk()
    desk.working("A1")
    for one in range(6):
        desk.fill("A1", 10, 10, f"x{one}")
    desk.raised("missing_there", "x3")
    assert len(desk.book.drop_copies.of_broker[BROKER].fills) == 3
    desk.fill("A1", 10, 10, "x6")  # x3, which has its item, is let go first
    desk.copy("A1", "F", 10, 10, "x0")
    assert desk.details[-1]["drop_copy"] == "agrees"
    desk.copy("A1", "F", 11, 10, "x3")
    assert desk.outcome.items == [("missing_there", "resolved"), ("drop_copy_mismatch", "open")]
    assert desk.ledger.asked == ["told x0", "recall x0", "told x3", "recall x3"]
    desk.again()


def test_copies_that_left_memory_are_met_all_the_same_and_replay_agrees() -> None:
    desk = BoundedDesk()
    desk.working("A1")
    desk.copy("A1", "F", 10, 10, "x0")
    desk.raised("missing_here", "x0")
    for one in range(1, 6):
        desk.copy("A1", "F", 10, 10, f"x{one}")
    assert len(desk.book.drop_copies.of_broker[BROKER].words) == 3
    desk.fill("A1", 10, 10, "x0")
    assert desk.outcome.items == [("missing_here", "resolved")]
    desk.copy("A1", "F", 10, 10, "x1")
    assert desk.details[-1] == {"duplicate": True}
    desk.fill("A1", 10, 10, "x9")
    assert "drop_copy" not in desk.details[-1]
    desk.again()


def test_no_more_than_the_bound_waits_and_what_has_an_item_goes_first() -> None:
    waiting = Waiting(2)
    for one in range(4):
        waiting.add((DAY, f"x{one}"), Word("trade", D(1), D(1), one, f"X{one}", item="open" if one == 1 else ""))
    assert (list(waiting.fresh), list(waiting.raised), waiting.forgot) == ([(DAY, "x2"), (DAY, "x3")], [], True)
