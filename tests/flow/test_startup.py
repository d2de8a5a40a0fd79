"""Recovery of what was sent: the journal's outgoing messages against the session's own store (I2)."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from oms.config.sessions import SessionSpec
from oms.ledger.load import Reader
from oms.startup import note_poison, read_poison, settle_session

NOW = datetime(2026, 3, 2, 13, 0, tzinfo=UTC)


class Journal:
    """Outgoing rows of a session, numbered from 1."""

    def __init__(self, *texts: str) -> None:
        self.rows: list[dict[str, Any]] = [
            {"seq": seq, "msg_type": text[3], "received_at": NOW, "raw": text.replace("|", "\x01").encode()}
            for seq, text in enumerate(texts, 1)
        ]

    def outgoing(self, session: str, after: int, limit: int) -> list[dict[str, Any]]:
        """As `oms.ledger.load.Reader`."""
        return [row for row in self.rows if row["seq"] > after][:limit]


class Store:
    """A session's message store, written as QuickFIX writes it."""

    def __init__(self, directory: Path, role: str) -> None:
        self.spec = cast(
            SessionSpec, SimpleNamespace(name="S", role=role, store_path=directory, store_prefix="FIX.4.4-OMS-S")
        )
        self._prefix = directory / "FIX.4.4-OMS-S"
        self._at = 0
        self.put(1, "35=A|98=0|108=30|")

    def put(self, number: int, text: str) -> None:
        """One message, with the session's header around it and counted as sent."""
        kind, _, rest = text.partition("|")
        body = f"{kind}|34={number}|49=OMS|52=20260302-13:00:00|56=S|{rest}10=000|"
        raw = f"8=FIX.4.4|9={len(body)}|{body}".replace("|", "\x01").encode()
        with Path(f"{self._prefix}.header").open("ab") as header, Path(f"{self._prefix}.body").open("ab") as data:
            header.write(f"{number},{self._at},{len(raw)} ".encode())
            data.write(raw)
        self._at += len(raw)
        Path(f"{self._prefix}.seqnums").write_text(f"{number + 1:020d} : {1:020d}")


def settled(journal: Journal, store: Store, cursor: int = 0, number: int = 0) -> tuple[list[Any], list[Any]]:
    """What became of each message, as (seq, outcome, MsgSeqNum), and what the core has to hear."""
    sends, never_left = settle_session(cast(Reader, journal), store.spec, cursor, number)
    return (
        [(one.seq, one.outcome, one.msg_seq_num) for one in sends],
        [(one.kind, one.matter[:3]) for one in never_left],
    )


@pytest.mark.parametrize("role", ["broker", "client"])
def test_messages_in_the_store_are_settled_and_those_after_them_are_left_to_the_outbox(
    tmp_path: Path, role: str
) -> None:
    store = Store(tmp_path, role)
    store.put(2, "35=D|11=C1|38=100|")
    store.put(3, "35=0|")
    store.put(4, "35=D|11=C2|38=100|")
    journal = Journal("35=D|11=C1|38=100|", "35=D|11=C2|38=100|", "35=D|11=C3|38=100|")
    assert settled(journal, store) == ([(1, "stored", 2), (2, "stored", 4)], [])


def test_an_empty_store_settles_nothing(tmp_path: Path) -> None:
    spec = cast(SessionSpec, SimpleNamespace(name="S", role="broker", store_path=tmp_path, store_prefix="none"))
    assert settle_session(cast(Reader, Journal("35=D|11=C1|")), spec, 0, 0) == ([], [])


def test_the_search_begins_after_what_was_settled_before(tmp_path: Path) -> None:
    store = Store(tmp_path, "broker")
    store.put(2, "35=D|11=C1|")
    store.put(3, "35=D|11=C2|")
    journal = Journal("35=D|11=C1|", "35=D|11=C2|")
    assert settled(journal, store, 1, 2) == ([(2, "stored", 3)], [])
    assert settled(journal, store, 2, 3) == ([], [])


def test_the_order_of_fields_does_not_matter_and_foreign_text_is_compared_as_bytes(tmp_path: Path) -> None:
    store = Store(tmp_path, "broker")
    store.put(2, "35=D|1=F|11=C1|453=2|448=A|447=D|452=1|448=B|447=D|452=3|58=Zürich|")
    journal = Journal("35=D|11=C1|1=F|58=Zürich|453=2|448=A|447=D|452=1|448=B|447=D|452=3|")
    assert settled(journal, store) == ([(1, "stored", 2)], [])


def test_a_request_that_was_passed_over_because_its_broker_was_logged_out_never_left(tmp_path: Path) -> None:
    """Sending it now, behind the later ones, would be an order that its client may take for rejected."""
    store = Store(tmp_path, "broker")
    store.put(2, "35=D|11=C1|")
    store.put(3, "35=F|11=C4|")
    journal = Journal("35=D|11=C1|", "35=D|11=C2|", "35=G|11=C3|", "35=F|11=C4|", "35=D|11=C5|")
    assert settled(journal, store) == (
        [(1, "stored", 2), (2, "refused", None), (3, "refused", None), (4, "stored", 3)],
        [("not_sent", (2, "D", "C2")), ("not_sent", (3, "G", "C3"))],
    )


def test_a_report_to_a_client_is_never_taken_for_refused(tmp_path: Path) -> None:
    store = Store(tmp_path, "client")
    store.put(2, "35=8|17=E1|")
    store.put(3, "35=8|17=E3|")
    journal = Journal("35=8|17=E1|", "35=8|17=E2|", "35=8|17=E3|")
    assert settled(journal, store) == ([(1, "stored", 2)], [])


def test_a_torn_entry_did_not_leave(tmp_path: Path) -> None:
    store = Store(tmp_path, "broker")
    store.put(2, "35=D|11=C1|")
    body = tmp_path / "FIX.4.4-OMS-S.body"
    body.write_bytes(body.read_bytes()[:-5])
    assert settled(Journal("35=D|11=C1|"), store) == ([], [])


def test_poison_is_known_by_session_epoch_and_number(tmp_path: Path) -> None:
    assert read_poison(tmp_path) == frozenset()
    note_poison(tmp_path, None)
    assert read_poison(tmp_path) == frozenset()
    note_poison(tmp_path, ("CLIENT1", 0, 7))
    note_poison(tmp_path, ("CLIENT1", 2, 7))
    assert read_poison(tmp_path) == {("CLIENT1", 0, 7), ("CLIENT1", 2, 7)}
