"""After numbers were set back, a start looks for what left under them: else a report would leave twice (I2)."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path

import pytest

from oms import inbox as box
from oms.inbox import Heard, now_us
from tests.ops.desk import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = Desk(tmp_path)
    made.flow.set_out_position("CLIENT1", 70, 500)
    return made


def settled(desk: Desk) -> tuple[int, int]:
    """Journal row and MsgSeqNum(34) up to which CLIENT1's messages count as settled in the batch."""
    batch, _ = desk.work()
    return next((one.out_seq, one.out_msg_seq_num) for one in batch.positions if one.session == "CLIENT1")


@pytest.mark.parametrize(("next_sender", "number"), [(2, 1), (501, 500), (777, 500)])
def test_a_logon_with_numbers_that_were_reset_takes_the_settled_number_back(
    desk: Desk, next_sender: int, number: int
) -> None:
    desk.inbox.follow(Heard(box.UP, "CLIENT1", "", (next_sender, 1), now_us()))
    assert settled(desk) == (70, number)


@pytest.mark.parametrize(("next_out", "number"), [("40", 39), ("900", 500), (None, 500)])
def test_numbers_that_an_operator_sets_back_do_so_too(desk: Desk, next_out: str | None, number: int) -> None:
    args = [("session", "CLIENT1"), ("next_in", "3")] + ([("next_out", next_out)] if next_out else [])
    desk.inbox.follow(Heard(box.COMMAND, "CLIENT1", "", ("ann", "sessions.set_seq", tuple(args), Future()), now_us()))
    assert settled(desk) == (70, number)
    assert desk.book.sessions["CLIENT1"].in_msg_seq_num == 2
