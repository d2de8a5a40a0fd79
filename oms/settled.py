"""What the outbox told of messages, until it is written: what became of each, and how far each session is settled.

A position is (journal row, MsgSeqNum(34)): every message up to that row is settled, and one beyond it that is not can
only have left under a higher number. Most sessions send in the order of the journal, so that the last message told is
the position; a paced one (`oms.paced`) tells the row with each note. Owned by the core thread.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from oms import inbox as box
from oms.inbox import Heard
from oms.ledger.batch import Send

_WAIT = timedelta(milliseconds=100)
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class Settled:
    """See the module head."""

    def __init__(self) -> None:
        self.sends: list[Send] = []
        self._since: datetime | None = None
        self._positions: dict[str, tuple[int, int]] = {}

    def position(self, session: str) -> tuple[int, int]:
        """How far a session is settled; (0, 0) where nothing is."""
        return self._positions.get(session, (0, 0))

    def begin(self, session: str, seq: int, number: int) -> None:
        """How far it was settled before this start."""
        self._positions[session] = (seq, number)

    def renumbered(self, session: str, next_out: int) -> None:
        """No number from `next_out` on is settled: it is used again, and a start must look for what left then."""
        seq, number = self.position(session)
        self._positions[session] = (seq, min(number, next_out - 1))

    def told(self, heard: Heard) -> None:
        """The outbox tells of messages of one session."""
        if heard.kind == box.SENT_PACED:
            cursor, *sends = heard.matter
            _, number = self.position(heard.session)
            for send in sends:
                assert isinstance(send, Send)
                self.sends.append(send)
                number = send.msg_seq_num or number  # what is not settled leaves under a higher one
            assert isinstance(cursor, int)
            self._positions[heard.session] = (cursor, number)
        else:
            for send in heard.matter:
                assert isinstance(send, Send)
                self.sends.append(send)
                self._positions[send.session] = (send.seq, send.msg_seq_num or 0)
        if self._since is None:
            self._since = datetime.now(UTC)

    def hurry(self) -> None:
        """What was told is due now."""
        self._since = _LONG_AGO

    @property
    def due(self) -> bool:
        """Whether what was told has waited long enough for something to be written with."""
        return self._since is not None and datetime.now(UTC) - self._since >= _WAIT

    def take(self) -> list[Send]:
        """What was told, to be written with this batch."""
        sends, self.sends, self._since = self.sends, [], None
        return sends
