"""Follows a hash chain, batch by batch and row by row, wherever the rows come from: the ledger, or an archive's file.

Stops at the first thing wrong, because nothing after it proves anything. Pure: batches and rows in, problem out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from oms.ledger.chain import GENESIS, JournalRow, batch_hash

Rows = Iterator[tuple[int, JournalRow]]  # number of the batch, row


class Link(NamedTuple):
    """A row of `batches`."""

    batch: int
    first_seq: int
    last_seq: int
    prev_hash: bytes
    hash: bytes
    committed_at: datetime


@dataclass(frozen=True, slots=True)
class ChainProblem:
    """The first thing wrong: in which batch, at which journal row (None where it cannot be told), and what."""

    batch: int
    seq: int | None
    text: str


class Broken(Exception):
    """The chain does not hold."""

    def __init__(self, batch: int, seq: int | None, what: str) -> None:
        super().__init__(what)
        self.problem = ChainProblem(batch, seq, what)


@dataclass(slots=True)
class Place:
    """How far a chain has been followed; `rows` counts those whose hash was made again."""

    batch: int = 0
    seq: int = 0
    rows: int = 0
    hash: bytes = GENESIS


class Follower:
    """One walk along a chain. `seen` is told of every row whose place is right."""

    def __init__(self, place: Place, rows: Rows, seen: Callable[[JournalRow], None] | None = None) -> None:
        self.place = place
        self._rows = rows
        self._ahead = next(rows, None)
        self._seen = seen

    def pass_by(self, link: Link) -> None:
        """A batch whose rows are elsewhere: only its links are looked at. Raises Broken."""
        self._check_links(link)
        place = self.place
        place.batch, place.seq, place.hash = link.batch, link.last_seq, link.hash

    def take(self, link: Link) -> None:
        """A batch with all of its rows. Raises Broken."""
        self._check_links(link)
        place = self.place
        taken: list[JournalRow] = []
        ahead = self._ahead
        while ahead is not None and (ahead[0] == link.batch or ahead[1].seq <= link.last_seq):
            _check_row(*ahead, link, place.seq + len(taken) + 1)
            taken.append(ahead[1])
            ahead = next(self._rows, None)
        self._ahead = ahead
        end = place.seq + len(taken)
        if end != link.last_seq:
            raise Broken(link.batch, end + 1, _missing("journal row", end + 1, link.last_seq))
        if batch_hash(place.hash, link.batch, link.committed_at, taken) != link.hash:
            raise Broken(link.batch, None, f"hash differs: {_what_was_changed(taken)}")
        if self._seen is not None:
            for row in taken:
                self._seen(row)
        place.batch, place.seq, place.hash = link.batch, end, link.hash
        place.rows += len(taken)

    def end(self) -> None:
        """No batch follows: no row may be left. Raises Broken."""
        if self._ahead is not None:
            number, row = self._ahead
            raise Broken(number, row.seq, f"journal row {row.seq} belongs to no batch")

    def _check_links(self, link: Link) -> None:
        place = self.place
        if link.batch != place.batch + 1:
            raise Broken(link.batch, None, _missing("batch", place.batch + 1, link.batch - 1) + " before it")
        if link.prev_hash != place.hash:
            raise Broken(link.batch, None, f"does not chain to batch {place.batch}: its prev_hash is another")
        if link.first_seq != place.seq + 1:
            said = f"begins with journal row {link.first_seq}, batch {place.batch} ends with {place.seq}"
            raise Broken(link.batch, min(link.first_seq, place.seq + 1), said)


def follow(place: Place, links: Iterable[Link], rows: Rows) -> ChainProblem | None:
    """Follow a whole chain from a place on; None where all of it holds. `place` tells how far it does."""
    follower = Follower(place, rows)
    try:
        for link in links:
            follower.take(link)
        follower.end()
    except Broken as broken:
        return broken.problem
    return None


def _missing(what: str, first: int, last: int) -> str:
    if first == last:
        return f"{what} {first} is missing"
    return f"{what.replace('batch', 'batche')}s {first} to {last} are missing"


def _what_was_changed(rows: list[JournalRow]) -> str:
    its_time = "the batch's commit time or hash"
    if not rows:
        return f"{its_time} was changed"
    which = f"journal row {rows[0].seq}" if len(rows) == 1 else f"a journal row from {rows[0].seq} to {rows[-1].seq}"
    return f"{which}, or {its_time}, was changed"


def _check_row(number: int, row: JournalRow, link: Link, expected: int) -> None:
    if row.seq != expected:
        raise Broken(link.batch, expected, _missing("journal row", expected, row.seq - 1))
    if number != link.batch:
        raise Broken(link.batch, row.seq, f"journal row {row.seq} says it is of batch {number}")
    if row.seq > link.last_seq:
        said = f"journal row {row.seq} is beyond the batch's last row {link.last_seq}"
        raise Broken(link.batch, row.seq, said)
