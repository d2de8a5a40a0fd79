"""Message stores made again from the ledger: which are lost, and what is put into them (I2)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from oms.config.load import Config
from oms.config.sessions import SessionSpec
from oms.core.book import SessionState
from oms.errors import OperatorError
from oms.fix.store import stored_messages
from oms.ledger.load import Reader
from oms.new_machine import MARGIN, RUNS, in_doubt, lost_stores, note_run, rebuild, require_said

NOW = datetime(2026, 3, 2, 13, 0, tzinfo=UTC)
NOBODY: frozenset[str] = frozenset()
ARCHIVED = "archived"


class Ledger:
    """What a ledger says of one session: its last logon, what was noted as sent, what left without a note."""

    def __init__(self, logon: tuple[int, datetime] | None = (2, NOW - timedelta(hours=1))) -> None:
        self.logon = logon
        self.noted: list[dict[str, Any]] = []
        self.unnoted: list[dict[str, Any]] = []
        self.last_run: str | None = "R1"

    def note(self, seq: int, number: int, at: datetime = NOW, text: str = "35=8|17=E|") -> None:
        """A message that was noted as sent."""
        raw = text.replace("|", "\x01").encode()
        self.noted.insert(0, {"seq": seq, "raw": raw, "msg_seq_num": number, "sent_at": at})

    def rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        """As `oms.ledger.load.Reader`."""
        if "'config'" in query:
            return [] if self.last_run == ARCHIVED else [{"run": self.last_run}]
        if "SessionUp" in query:
            if self.logon is None:
                return []
            number, at = self.logon
            return [{"seq": 3, "received_at": at, "detail": {"matter": [number, 1]}}]
        if "JOIN sends" in query:
            return self.noted
        return [row for row in self.unnoted if row["seq"] > cast(int, values[1])][: cast(int, values[2])]


class Place:
    """A state directory with one session, S."""

    def __init__(self, directory: Path, role: str = "client") -> None:
        self.stores = directory / "fix_store"
        self.stores.mkdir(parents=True)
        self.prefix = self.stores / "FIX.4.4-OMS-S"
        self.spec = cast(
            SessionSpec,
            SimpleNamespace(
                name="S",
                role=role,
                begin_string="FIX.4.4",
                sender_comp_id="OMS",
                target_comp_id="S",
                store_path=self.stores,
                store_prefix="FIX.4.4-OMS-S",
                paced=False,
            ),
        )
        self.config = cast(Config, SimpleNamespace(sessions={"S": self.spec}))
        self.states = {"S": SessionState("S", role, in_msg_seq_num=11)}

    def lost(self, ledger: Ledger) -> dict[str, str]:
        """What is lost, and why."""
        return lost_stores(self.config, cast(Reader, ledger), self.states)

    def start(self, ledger: Ledger, run: str, *, commits: bool = True) -> dict[str, str]:
        """A start that makes lost stores again, and may come as far as its first batch; what was lost."""
        lost = self.lost(ledger)
        note_run(self.config, cast(Reader, ledger), lost, run)
        if lost:
            self.rebuild(ledger)
        if commits:
            ledger.last_run = run
        return lost

    def rebuild(self, ledger: Ledger, last_seq: int = 100) -> tuple[int, int, int]:
        """Make it again: the last number known, the next to send beyond that and the margin, the next to expect."""
        made = rebuild(self.config, cast(Reader, ledger), self.states, {"S": "gone"}, NOBODY, last_seq, NOW)["S"]
        assert made.messages == len(stored_messages(self.prefix, 0))
        return made.last_known, made.next_sender - made.last_known - 1 - MARGIN, made.next_target

    def numbers(self) -> list[int]:
        """The MsgSeqNums(34) of the messages in the store."""
        return [one.msg_seq_num for one in stored_messages(self.prefix, 0)]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


# -- which are lost ------------------------------------------------------------------------------------------------


def test_a_store_that_is_missing_is_lost_if_the_ledger_knows_of_the_session(place: Place) -> None:
    assert place.lost(Ledger()) == {"S": f"missing in {place.stores}"}
    place.states["S"].in_msg_seq_num = 0
    assert list(place.lost(Ledger())) == ["S"]  # it has logged on
    assert place.lost(Ledger(logon=None)) == {}
    place.states.clear()
    assert place.lost(Ledger()) == {}


def test_a_store_goes_on_from_run_to_run_also_over_starts_that_did_not_come_far(place: Place) -> None:
    ledger = Ledger()
    assert place.start(ledger, "R2") == {"S": f"missing in {place.stores}"}
    assert place.start(ledger, "R3") == {}
    for run in ("R4", "R5", "R6"):
        assert place.start(ledger, run, commits=False) == {}
    assert place.start(ledger, "R7") == {}


def test_a_store_is_lost_once_another_directory_was_used_until_it_is_made_again(tmp_path: Path) -> None:
    ledger, here, there = Ledger(), Place(tmp_path / "here"), Place(tmp_path / "there")
    here.start(ledger, "R2")
    there.start(ledger, "R3", commits=False)  # refused there: what is here is still the last
    assert here.lost(ledger) == {}
    there.start(ledger, "R3")
    why = {"S": f"those in {here.stores} are not of the run that wrote the ledger last"}
    assert here.lost(ledger) == why
    assert here.start(ledger, "R4", commits=False) == why  # killed before its first batch
    assert here.start(ledger, "R5") == why
    assert here.lost(ledger) == {}
    assert list(there.lost(ledger)) == ["S"]


def test_a_store_of_a_program_that_noted_no_runs_is_taken_for_the_last_one(place: Place) -> None:
    ledger = Ledger()
    ledger.last_run = None
    place.rebuild(ledger)
    assert place.lost(ledger) == {}
    assert place.start(ledger, "R2", commits=False) == {}
    assert place.start(ledger, "R3") == {}
    assert place.lost(ledger) == {}
    (place.stores / RUNS).unlink()
    assert list(place.lost(ledger)) == ["S"]


def test_where_the_start_of_the_last_run_is_archived_the_store_is_taken_for_the_last_one(place: Place) -> None:
    ledger = Ledger()
    place.start(ledger, "R2")
    ledger.last_run = ARCHIVED
    assert place.start(ledger, "R3") == {}
    assert place.lost(ledger) == {}


def test_a_file_of_runs_that_cannot_be_read_stops_the_start_and_says_what_to_do(place: Place) -> None:
    ledger = Ledger()
    place.start(ledger, "R2")
    for content in ("{", "[]", '{"S": 1}'):
        (place.stores / RUNS).write_text(content)
        with pytest.raises(OperatorError) as caught:
            place.lost(ledger)
        assert str(caught.value).endswith("; restore it, or delete it: then the stores beside it count as lost")


def test_a_lost_store_refuses_the_start_until_somebody_says_what_to_do(place: Place) -> None:
    lost = {"S": "missing in /x", "T": "missing in /x", "U": "those in /y are old"}
    states = place.states | {"T": SessionState("T", "client"), "U": SessionState("U", "client")}
    with pytest.raises(OperatorError) as caught:
        require_said(lost, states, frozenset({"V"}), False)
    assert str(caught.value) == (
        "message stores are lost, and the ledger has messages of their sessions: S (MsgSeqNum(34) 11 came last), T:"
        " missing in /x; U: those in /y are old. Restore them if you can. On a new machine, or where they are gone"
        " for good: oms run --new-machine makes them again from the ledger. Where a reset of the sequence numbers is"
        " agreed with the counterparty: oms run --empty-store S"
    )
    require_said(lost, states, frozenset({"S", "T", "U"}), False)
    require_said(lost, states, NOBODY, True)
    require_said({}, states, NOBODY, False)


# -- what is put into them -----------------------------------------------------------------------------------------


def test_what_was_noted_is_there_again_under_its_number_with_the_time_it_left(place: Place) -> None:
    ledger = Ledger()
    ledger.note(10, 2, text="35=8|17=E1|")
    ledger.note(12, 5, text="35=9|11=C1|")
    assert place.rebuild(ledger) == (5, 88, 12)
    assert [one.raw.replace("\x01", "|") for one in stored_messages(place.prefix, 0)] == [
        "8=FIX.4.4|9=53|35=8|34=2|49=OMS|52=20260302-13:00:00.000|56=S|17=E1|10=030|",
        "8=FIX.4.4|9=53|35=9|34=5|49=OMS|52=20260302-13:00:00.000|56=S|11=C1|10=026|",
    ]


def test_the_next_number_lies_above_all_that_can_have_been_used_since(place: Place) -> None:
    """A second may have been a heartbeat, a row of the journal a Reject(3) or a message without a note."""
    ledger = Ledger(logon=(70, NOW - timedelta(seconds=500)))
    assert place.rebuild(ledger, last_seq=103) == (69, 500 + 100, 12)
    ledger.note(60, 80, NOW - timedelta(seconds=20))
    assert place.rebuild(ledger, last_seq=103) == (80, 20 + 43, 12)


def test_a_session_of_which_everything_was_archived_gets_a_number_beyond_a_year_of_heartbeats(place: Place) -> None:
    assert place.rebuild(Ledger(logon=None), last_seq=103) == (0, 365 * 86_400 + 103, 12)


def test_messages_of_before_a_reset_are_left_out(place: Place) -> None:
    """What does not go down towards the past is of an earlier count; so is what is above the last logon's number."""
    ledger = Ledger(logon=(3, NOW - timedelta(minutes=5)))
    ledger.note(10, 900, NOW - timedelta(hours=2))
    assert place.rebuild(ledger)[0] == 2
    assert place.numbers() == []
    ledger.note(20, 4)
    ledger.note(21, 6)
    assert place.rebuild(ledger)[0] == 6
    assert place.numbers() == [4, 6]


def test_a_session_whose_numbers_are_to_begin_anew_gets_an_empty_store_and_the_old_one_is_kept(place: Place) -> None:
    ledger = Ledger()
    ledger.note(10, 2)
    place.rebuild(ledger)
    made = rebuild(place.config, cast(Reader, ledger), place.states, {"S": "old"}, frozenset({"S"}), 100, NOW)
    assert made == {}
    assert not place.prefix.with_suffix(".4-OMS-S.seqnums").exists()
    kept = place.stores / "lost-20260302-130000" / place.prefix.name
    assert [one.msg_seq_num for one in stored_messages(kept, 0)] == [2]


# -- what is in doubt ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("role", "cl_ord_id"), [("broker", "C1"), ("client", "")])
def test_every_message_without_a_note_is_in_doubt(tmp_path: Path, role: str, cl_ord_id: str) -> None:
    ledger = Ledger()
    ledger.unnoted = [
        {"seq": seq, "msg_type": "D", "order_id": order_id, "raw": b"35=D\x0111=C1\x01"}
        for seq, order_id in ((4, "O1"), (5, "O1"), (7, None))
    ]
    settled, heard = in_doubt(cast(Reader, ledger), Place(tmp_path, role).spec, 4)
    assert [(one.seq, one.outcome, one.msg_seq_num, one.session) for one in settled] == [
        (5, "in_doubt", None, "S"),
        (7, "in_doubt", None, "S"),
    ]
    assert [(one.kind, one.session, one.matter, one.raw) for one in heard] == [
        ("in_doubt", "S", (5, "D", cl_ord_id, "O1"), "35=D\x0111=C1\x01"),
        ("in_doubt", "S", (7, "D", cl_ord_id, ""), "35=D\x0111=C1\x01"),
    ]
