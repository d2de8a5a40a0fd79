"""What the journal's rows say, held against THE table and against `sends`, in one pass over the journal.

Table law: every transition noted in a row's `detail` is one that `oms.core.transitions` has, or one that changed
nothing. Sends: each word about a message is about one that went out to that session, there is one word only, and
every message up to the place where its session's outbox was settled has one. What is found is collected, not raised:
the first findings are kept, all are counted. Bounded memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

from oms.core.transitions import TABLE
from oms.ledger.chain import JournalRow
from oms.ledger.moment import Snapshot, Span, stream

SHOWN = 50
_NOTED = '"transition":'


class Finding(NamedTuple):
    """One thing that the journal contradicts: the journal row, and what is wrong."""

    seq: int
    text: str


class EvidenceReport(NamedTuple):
    """What was looked at, how much was found, and the first of it."""

    transitions: int = 0
    sends: int = 0
    found: int = 0
    findings: tuple[Finding, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.found


class Evidence:
    """Rows of the journal in order of their numbers. Use: `take` each, then `end`."""

    def __init__(self, connection: Snapshot, spans: list[Span]) -> None:
        self._sends = _sends(connection, spans)
        self._send = next(self._sends, None)
        settled = connection.execute("SELECT session, out_seq FROM session_positions").fetchall()
        self._settled: dict[str, int] = dict(settled)
        self._transitions = self._sent = self._found = 0
        self._findings: list[Finding] = []

    @property
    def report(self) -> EvidenceReport:
        """What was found until now."""
        return EvidenceReport(self._transitions, self._sent, self._found, tuple(self._findings))

    def _note(self, seq: int, text: str) -> None:
        self._found += 1
        if len(self._findings) < SHOWN:
            self._findings.append(Finding(seq, text))

    def take(self, row: JournalRow) -> None:
        """The next row."""
        if row.detail is not None and _NOTED in row.detail:
            self._law(row.seq, row.detail)
        while self._send is not None and self._send[0] < row.seq:
            self._strange()
        words = 0
        while self._send is not None and self._send[0] == row.seq:
            words += 1
            self._word(row, words)
        if not words and row.kind == "out" and row.seq <= self._settled.get(row.session, 0):
            self._note(
                row.seq, f"went out to {row.session}, whose outbox is settled beyond it, and sends has no word"
            )

    def end(self) -> None:
        """There are no more rows."""
        while self._send is not None:
            self._strange()

    def _strange(self) -> None:
        assert self._send is not None
        self._note(self._send[0], "sends has a word on a journal row that is not there")
        self._send = next(self._sends, None)

    def _word(self, row: JournalRow, words: int) -> None:
        assert self._send is not None
        _, session, outcome, number = self._send
        self._send = next(self._sends, None)
        self._sent += 1
        if row.kind != "out":
            self._note(row.seq, "sends has a word on a row that is no message to a counterparty")
        elif words > 1:
            self._note(row.seq, f"sends has {words} words on one message")
        elif session != row.session:
            self._note(row.seq, f"went out to {row.session}, sends says to {session}")
        elif (number is None and outcome in ("sent", "stored")) or (number is not None and outcome == "refused"):
            self._note(row.seq, f"sends says {outcome}, with MsgSeqNum(34) {number or 'absent'}")

    def _law(self, seq: int, detail: str) -> None:
        noted = json.loads(detail)
        transition = noted.get("transition") if isinstance(noted, dict) else None
        if transition is None:
            return
        self._transitions += 1
        before, event, after = transition
        if before == after or TABLE.get(before, {}).get(event) == after:
            return
        self._note(seq, f"an order went from {before} by {event} to {after}, which THE table does not allow")


def _sends(connection: Snapshot, spans: list[Span]) -> Iterator[tuple[int, str, str, int | None]]:
    for span in spans:
        yield from stream(
            connection,
            "SELECT seq, session, outcome, msg_seq_num FROM sends WHERE seq BETWEEN %s AND %s ORDER BY seq",
            span.first_seq,
            span.last_seq,
        )
