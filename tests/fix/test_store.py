"""QuickFIX's file store as start-up reads it: what is there whole is there, what is torn is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from oms.fix.store import Stored, stored_messages

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
