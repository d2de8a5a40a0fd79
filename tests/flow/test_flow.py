"""One batch from inbox to ledger: which rows and messages follow from what was heard."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from oms import inbox as box
from oms.inbox import Heard
from oms.ledger.batch import Batch, Send
from oms.ledger.chain import JournalRow
from tests.ops.desk import START, Desk, at

ORDER = "35=D|11={}|1=HOUSE|55=AAPL|54=1|38=100|40=2|44=150.00|59=0|60=20260302-13:00:00|21=1"
ALL = ("CLIENT1", "CLIENT2", "BROKER1", "BROKER2")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = Desk(tmp_path)
    made.log_on(*ALL)
    made.work()
    return made


def rows(batch: Batch) -> list[tuple[Any, ...]]:
    """Journal rows as (seq, kind, session, msg_type, msg_seq_num, cause)."""
    return [(one.seq, one.kind, one.session, one.msg_type, one.msg_seq_num, one.cause) for one in batch.journal]


def detail(row: JournalRow) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(row.detail or "{}")
    return found


def position(batch: Batch, session: str) -> int:
    """The last MsgSeqNum(34) that the batch commits for a session."""
    return next(one.in_msg_seq_num for one in batch.positions if one.session == session)


def report(order: str, exec_id: str, what: str) -> str:
    return f"35=8|37=B1|17={exec_id}|20=0|11={order}|{what}|55=AAPL|54=1|38=100|6=0"


def test_an_order_and_its_report_make_one_row_in_and_one_out_each_with_its_cause(desk: Desk) -> None:
    desk.hear("CLIENT1", ORDER.format("A1"))
    batch, messages = desk.work()
    seq = batch.journal[0].seq
    assert rows(batch) == [(seq, "in", "CLIENT1", "D", 1, None), (seq + 1, "out", "BROKER1", "D", None, seq)]
    assert [(one.seq, one.session, one.msg_type) for one in messages] == [(seq + 1, "BROKER1", "D")]
    assert batch.journal[1].raw.decode() == messages[0].text
    assert (len(batch.new_orders), len(batch.new_children), position(batch, "CLIENT1")) == (1, 1, 1)
    order = messages[0].text.partition("\x0111=")[2].partition("\x01")[0]
    desk.hear("BROKER1", report(order, "X1", "150=1|39=1|32=40|31=150|151=60|14=40"))
    batch, messages = desk.work()
    assert rows(batch) == [(seq + 2, "in", "BROKER1", "8", 1, None), (seq + 3, "out", "CLIENT1", "8", None, seq + 2)]
    assert [fill.exec_id for fill, _ in batch.fills] == ["X1"]
    assert (len(batch.new_orders), len(batch.changed_orders), position(batch, "BROKER1")) == (0, 1, 1)


def test_a_message_that_was_committed_before_a_restart_is_not_taken_again(desk: Desk) -> None:
    desk.book.sessions["CLIENT1"].in_msg_seq_num = 1
    desk.hear("CLIENT1", ORDER.format("A1"))
    desk.hear("CLIENT1", ORDER.format("A2"))
    batch, _ = desk.work()
    assert [row.msg_seq_num for row in batch.journal if row.kind == "in"] == [2]


def test_after_a_logon_from_one_low_numbers_are_taken_again(desk: Desk) -> None:
    desk.book.sessions["CLIENT1"].in_msg_seq_num = 500
    desk.inbox.follow(Heard(box.DOWN, "CLIENT1", "", (), 0))
    desk.inbox.follow(Heard(box.UP, "CLIENT1", "", (2, 1), 0))
    desk.hear("CLIENT1", ORDER.format("A1"))
    batch, _ = desk.work()
    assert [(row.kind, row.msg_type) for row in batch.journal] == [
        ("session", "SessionDown"),
        ("session", "SessionUp"),
        ("in", "D"),
        ("out", "D"),
    ]
    assert [one.epoch for one in batch.positions if one.session == "CLIENT1"] == [1]
    assert position(batch, "CLIENT1") == 1


def test_a_message_that_broke_a_callback_is_answered_and_counts_as_taken(desk: Desk) -> None:
    raw = "8=FIX.4.4|9=0|35=D|34=7|49=CLIENT1|56=OMS|11=A1|".replace("|", "\x01")
    desk.inbox.put(Heard(box.FAILED, "CLIENT1", raw, ("ZeroDivisionError: ours",), 0))
    batch, messages = desk.work()
    assert [(row.kind, row.msg_type, row.msg_seq_num) for row in batch.journal] == [
        ("refused", "Unreadable", 7),
        ("out", "j", None),
    ]
    assert (batch.journal[0].raw.decode(), position(batch, "CLIENT1")) == (raw, 7)
    assert [item.kind for item in batch.items] == ["unreadable_message"]
    assert [one.session for one in messages] == ["CLIENT1"]


@pytest.mark.parametrize(
    ("session", "kind", "items"),
    [
        ("BROKER1", "8", ["report_refused_by_engine"]),
        ("BROKER1", "9", ["report_refused_by_engine"]),
        ("BROKER1", "0", []),
        ("CLIENT1", "8", []),
        ("CLIENT1", "D", []),
        ("", "8", []),
    ],
)
def test_what_the_engine_refused_is_recorded_and_a_brokers_report_is_an_item(
    desk: Desk, session: str, kind: str, items: list[str]
) -> None:
    desk.refuse(session, f"8=FIX.4.2|35={kind}|34=9|", "Value is incorrect (out of range) for this tag")
    batch, messages = desk.work()
    assert [(row.kind, row.msg_type, row.session) for row in batch.journal] == [("refused", "Refused", session)]
    assert detail(batch.journal[0])["refused"] == "Value is incorrect (out of range) for this tag"
    assert [item.kind for item in batch.items] == items
    assert (messages, batch.positions) == ([], [])  # it is not counted: after a mended dictionary it may come again


def test_what_the_outbox_told_is_written_with_the_next_batch(desk: Desk) -> None:
    desk.hear("CLIENT1", ORDER.format("A1"))
    _, messages = desk.work()
    note = Send(messages[0].seq, "BROKER1", "sent", 12, START, None)
    desk.inbox.tell(Heard(box.SENT, "BROKER1", "", (note,), 0))
    desk.hear("CLIENT1", ORDER.format("A2"))
    batch, _ = desk.work()
    assert batch.sends == [note]
    settled = next(one for one in batch.positions if one.session == "BROKER1")
    assert (settled.out_seq, settled.out_msg_seq_num) == (messages[0].seq, 12)


def test_an_order_that_never_left_before_a_restart_is_answered_with_the_first_batch(desk: Desk) -> None:
    """The note that it was refused and the client's answer are one commit: a start in between cannot send it."""
    desk.hear("CLIENT1", ORDER.format("A1"))
    _, messages = desk.work()
    for name in ALL:
        desk.book.sessions[name].logged_on = False
    text = messages[0].text.partition("\x0111=")[2].partition("\x01")[0]
    note = Send(messages[0].seq, "BROKER1", "refused", None, START, "BROKER1 was logged out before a restart")
    told = Heard(box.NOT_SENT, "BROKER1", "", (messages[0].seq, "D", text, note.reason), 0)
    first = JournalRow(
        desk.book.take_seq(), "config", "", "Start", None, None, None, None, START, date(2026, 3, 2), b"", "{}"
    )
    desk.flow.begin(first, [note], [told])
    batch, answers = desk.ledger.batches[-1]
    assert batch.sends == [note]
    assert [(row.kind, row.session, row.msg_type) for row in batch.journal] == [
        ("config", "", "Start"),
        ("feedback", "BROKER1", "NotSent"),
        ("out", "CLIENT1", "8"),
    ]
    assert "\x0139=8\x01" in answers[0].text
    assert "BROKER1 was logged out before a restart" in answers[0].text


def test_a_report_that_cannot_be_sent_to_its_client_is_an_item(desk: Desk) -> None:
    desk.inbox.tell(Heard(box.NOT_SENT, "CLIENT1", "", (5, "8", "A1", "no such thing"), 0))
    batch, messages = desk.work()
    text = "MsgType(35) 8 of journal row 5 cannot be sent to CLIENT1: no such thing"
    assert [(item.kind, item.severity, item.text) for item in batch.items] == [("not_delivered", "error", text)]
    assert messages == []


def test_a_reject_says_what_it_is_about_by_its_number_and_the_journal_keeps_that(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.hear("CLIENT1", ORDER.format("A1"))
    _, messages = desk.work()
    order = messages[0].text.partition("\x0111=")[2].partition("\x01")[0]
    asked: list[tuple[str, int]] = []

    def sent(session: str, number: int) -> tuple[str, str]:
        asked.append((session, number))
        return "D", order

    monkeypatch.setattr(desk.ledger, "sent_cl_ord_id", sent)
    desk.hear("BROKER1", "35=3|45=33|58=no")
    batch, answers = desk.work()
    assert asked == [("BROKER1", 33)]
    assert detail(batch.journal[0])["about"] == ["D", order]
    assert "\x0139=8\x01" in answers[0].text


def test_entries_are_worked_through_in_the_order_they_were_heard(desk: Desk) -> None:
    for number in range(5):
        desk.hear("CLIENT1", ORDER.format(f"A{number}"), at(number))
    batch, messages = desk.work()
    assert [row.msg_seq_num for row in batch.journal if row.kind == "in"] == [1, 2, 3, 4, 5]
    assert [one.seq for one in messages] == [row.seq for row in batch.journal if row.kind == "out"]
