"""QuickFIX's file store as start-up reads it: what is there whole is there, what is torn is not."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import quickfix as fix

from oms.config.sessions import SessionSpec
from oms.fix.store import Stored, envelope, has_store, set_aside, stored_messages, write_store

FIRST, SECOND, THIRD = "8=FIX.4.4\x0135=D\x01", "8=FIX.4.4\x0135=F\x0158=caf\udce9\x01", "8=FIX.4.4\x0135=G\x01"


def write(prefix: Path, header: str, body: bytes, next_sender: int = 4) -> None:
    Path(f"{prefix}.header").write_text(header)
    Path(f"{prefix}.body").write_bytes(body)
    Path(f"{prefix}.seqnums").write_text(f"{next_sender:020d} : {1:020d}")


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """A store of three messages; the second has a byte that is not UTF-8."""
    prefix = tmp_path / "FIX.4.4-OMS-BROKER"
    texts = [text.encode("utf-8", "surrogateescape") for text in (FIRST, SECOND, THIRD)]
    entries, at = [], 0
    for number, text in enumerate(texts, 1):
        entries.append(f"{number},{at},{len(text)}")
        at += len(text)
    write(prefix, " ".join(entries) + " ", b"".join(texts))
    return prefix


def test_messages_come_in_order_with_their_numbers_byte_for_byte(prefix: Path) -> None:
    assert stored_messages(prefix, 0) == [Stored(1, FIRST), Stored(2, SECOND), Stored(3, THIRD)]


def test_only_messages_after_the_given_number_come(prefix: Path) -> None:
    assert stored_messages(prefix, 1) == [Stored(2, SECOND), Stored(3, THIRD)]
    assert stored_messages(prefix, 3) == []


@pytest.mark.parametrize("missing", [".header", ".body", ".seqnums"])
def test_a_store_that_is_not_there_has_no_messages(prefix: Path, missing: str) -> None:
    Path(f"{prefix}{missing}").unlink()
    assert stored_messages(prefix, 0) == []


def test_a_message_that_was_torn_while_it_was_written_is_left_out(prefix: Path) -> None:
    body = Path(f"{prefix}.body")
    body.write_bytes(body.read_bytes()[:-1])
    assert [one.msg_seq_num for one in stored_messages(prefix, 0)] == [1, 2]


@pytest.mark.parametrize("torn", ["4", "4,", "4,0", "4,0,", "4,0,1", "4,0,13"])
def test_an_entry_that_was_torn_while_it_was_written_is_left_out(prefix: Path, torn: str) -> None:
    header = Path(f"{prefix}.header")
    header.write_text(header.read_text() + torn)
    assert [one.msg_seq_num for one in stored_messages(prefix, 0)] == [1, 2, 3]


def test_a_message_whose_number_was_not_counted_as_used_has_never_left(prefix: Path) -> None:
    Path(f"{prefix}.seqnums").write_text(f"{3:020d} : {1:020d}")
    assert stored_messages(prefix, 0) == [Stored(1, FIRST), Stored(2, SECOND)]


def test_of_two_messages_under_one_number_only_the_later_one_can_be_sent_again(prefix: Path) -> None:
    header, body = Path(f"{prefix}.header"), Path(f"{prefix}.body")
    size = len(body.read_bytes())
    logon = "8=FIX.4.4\x0135=A\x01"
    header.write_text(header.read_text() + f"3,{size},{len(logon)} ")
    body.write_bytes(body.read_bytes() + logon.encode())
    assert stored_messages(prefix, 1) == [Stored(2, SECOND), Stored(3, logon)]


def test_an_empty_store_has_no_messages(tmp_path: Path) -> None:
    write(tmp_path / "empty", "", b"")
    assert stored_messages(tmp_path / "empty", 0) == []


@pytest.mark.parametrize("after", [0, 9, 19_998, 19_999, 20_000, 25_000, 29_999])
def test_of_a_long_store_the_same_messages_come_however_much_of_its_index_is_read(tmp_path: Path, after: int) -> None:
    numbers = [*range(1, 20_001), *range(19_999, 30_001)]  # two numbers were used again
    header = "".join(f"{number},{place % 7},3 " for place, number in enumerate(numbers))
    write(tmp_path / "long", header, b"0123456789", 30_000)
    last = {number: place % 7 for place, number in enumerate(numbers)}
    wanted = [Stored(number, "0123456789"[last[number] :][:3]) for number in range(after + 1, 30_000)]
    assert stored_messages(tmp_path / "long", after) == wanted


# -- a store made anew ------------------------------------------------------------------------------------------

AT = datetime(2026, 3, 2, 13, 0, 7, 512000, tzinfo=UTC)
SPEC = cast(
    SessionSpec, SimpleNamespace(begin_string="FIX.4.4", sender_comp_id="OMS", target_comp_id="BROKER", name="B")
)


def test_a_message_gets_the_sessions_envelope_with_the_right_length_and_checksum() -> None:
    raw = envelope(SPEC, 17, AT, "35=8\x0197=Y\x0137=O1\x0158=D\udcfcsseldorf\x01")
    assert raw == (
        b"8=FIX.4.4\x019=78\x0135=8\x0134=17\x0149=OMS\x0152=20260302-13:00:07.512\x0156=BROKER\x01"
        b"97=Y\x0137=O1\x0158=D\xfcsseldorf\x0110=060\x01"
    )
    plain = envelope(SPEC, 17, AT, "35=8\x0137=O1\x0158=Dorf\x01").decode()
    assert fix.Message(plain, True).toString() == plain  # True: QuickFIX raises where length or sum are wrong


def test_a_store_made_anew_is_read_back_as_it_was_made(tmp_path: Path) -> None:
    prefix = tmp_path / "made" / "FIX.4.4-OMS-BROKER"
    messages = [(2, FIRST.encode()), (5, SECOND.encode("utf-8", "surrogateescape"))]
    assert not has_store(prefix)
    write_store(prefix, messages, 9000, 12, AT)
    assert has_store(prefix)
    assert stored_messages(prefix, 0) == [Stored(2, FIRST), Stored(5, SECOND)]
    assert Path(f"{prefix}.session").read_text() == "20260302-13:00:07"
    assert Path(f"{prefix}.seqnums").read_text() == "00000000000000009000 : 00000000000000000012"
    write_store(prefix, [], 3, 1, AT)
    assert stored_messages(prefix, 0) == []


def test_a_store_that_is_set_aside_is_whole_elsewhere(prefix: Path, tmp_path: Path) -> None:
    set_aside(prefix, tmp_path / "lost")
    assert not has_store(prefix)
    assert len(stored_messages(tmp_path / "lost" / prefix.name, 0)) == 3
    set_aside(prefix, tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()
