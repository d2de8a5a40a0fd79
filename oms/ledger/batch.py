"""One batch as the ledger takes it: every row of one commit, complete before the writer sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from oms.core.effects import Fill, Item, Price, Witness
from oms.ledger.chain import JournalRow
from oms.ledger.rows import Row


class Send(NamedTuple):
    """What became of an outgoing message: sent, stored or refused."""

    seq: int
    session: str
    outcome: str
    msg_seq_num: int | None
    sent_at: datetime
    reason: str | None


class Position(NamedTuple):
    """How far one session is committed, and whether it is logged on."""

    session: str
    role: str
    epoch: int
    in_msg_seq_num: int
    out_seq: int
    out_msg_seq_num: int
    logged_on: bool
    changed_at: datetime


@dataclass(slots=True)
class Batch:
    """Rows of one commit. `number` counts commits without a gap; journal rows are in order of `seq`."""

    number: int
    journal: list[JournalRow] = field(default_factory=list)
    sends: list[Send] = field(default_factory=list)
    fills: list[tuple[Fill, datetime | None]] = field(default_factory=list)
    witnesses: list[Witness] = field(default_factory=list)
    new_orders: list[Row] = field(default_factory=list)
    changed_orders: list[Row] = field(default_factory=list)
    new_children: list[Row] = field(default_factory=list)
    changed_children: list[Row] = field(default_factory=list)
    requests: list[Row] = field(default_factory=list)
    positions: list[Position] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    prices: list[Price] = field(default_factory=list)
    answers: list[tuple[Any, dict[str, Any]]] = field(default_factory=list)  # futures of who waits, their answers
    texts: tuple[bytes, ...] = ()  # all of the above as it travels to the database (texts.batch_texts)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to commit."""
        return not (self.journal or self.sends or self.positions)
