"""Proves the journal offline: every batch's hash is computed again, and must chain to the one before.

What shows: a journal row or batch that was changed, added, dropped or moved, and an end that was cut off while
another table still knows of it. What cannot show here: a chain that was computed anew as a whole; for that, keep
the hash of the head outside (`oms verify` prints it). Reads one snapshot, in order and in bounded memory, so a
running gateway does not disturb it. Stops at the first thing wrong: nothing after it proves anything.

Batches stay in the ledger for ever, so the chain goes on across days whose rows are in archives; of those days the
rows that were kept are compared with what was noted of them, and the rest is for `oms archive verify`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Engine

from oms.ledger.chain import LINE, JournalRow, canonical
from oms.ledger.chain_follow import Broken, ChainProblem, Follower, Link, Place
from oms.ledger.evidence import Evidence, EvidenceReport
from oms.ledger.moment import (
    CHUNK,
    Archived,
    Snapshot,
    Span,
    archived_days,
    snapshot,
    span_of_days,
    spans_here,
    stream,
)

Progress = Callable[[int, int], None]  # rows done, rows in all

# Columns that name a journal row; the largest of each must be in the journal.
_KNOWS_ROW = {
    "sends": "seq",
    "fills": "seq",
    "requests": "seq",
    "client_orders": "last_seq",
    "child_orders": "greatest(last_seq, sent_seq)",
    "session_positions": "out_seq",
    "exception_items": "seq",
}
_ROW = ", ".join("detail::text" if name == "detail" else name for name in JournalRow._fields)
_LINK = ", ".join(Link._fields)


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What was read, up to the first problem: batches and rows that hold, and the hash of the last of them.

    `passed` counts batches of which only the links were looked at: archived, or of days that were not asked for.
    """

    batches: int
    rows: int
    head: str
    problem: ChainProblem | None
    passed: int = 0

    @property
    def ok(self) -> bool:
        """Whether the whole chain holds."""
        return self.problem is None


def verify_chain(engine: Engine, progress: Progress | None = None) -> ChainReport:
    """Follows the chain from its first batch to its last. ``progress`` is called every few thousand rows."""
    return verify_journal(engine, progress)[0]


def verify_journal(
    engine: Engine, progress: Progress | None = None, first: date | None = None, last: date | None = None
) -> tuple[ChainReport, EvidenceReport]:
    """Follows the chain, and looks in the same pass at what the rows say (`oms.ledger.evidence`).

    With `first` or `last` the rows of these trade dates only; the links of the chain are followed in any case.
    """
    place = Place()
    problem = None
    passed = 0
    with snapshot(engine) as connection:
        spans = spans_here(connection, span_of_days(connection, first, last))
        evidence = Evidence(connection, spans)
        walk = _Walk(connection, place, spans, evidence, progress or _silent)
        try:
            walk.run()
            _check_end(connection, place)
        except Broken as broken:
            problem = broken.problem
        passed = walk.passed
    return ChainReport(place.batch, place.rows, place.hash.hex(), problem, passed), evidence.report


def _silent(done: int, total: int) -> None:
    """No progress is wanted."""


class _Walk:
    """The chain of a ledger, with the rows of some spans."""

    def __init__(
        self, connection: Snapshot, place: Place, spans: list[Span], evidence: Evidence, progress: Progress
    ) -> None:
        self._connection = connection
        self._place = place
        self._spans = [one for one in spans if one.last_batch >= one.first_batch]
        self._total = sum(one.rows for one in self._spans)
        self._evidence = evidence
        self._progress = progress
        self._anchors = {one.last_batch: one for one in archived_days(connection)}
        self.passed = 0

    def run(self) -> None:
        """All of it. Raises Broken."""
        follower = Follower(self._place, self._rows(), self._evidence.take)
        spans = iter(self._spans)
        span = next(spans, None)
        shown = 0
        for row in stream(self._connection, f"SELECT {_LINK} FROM batches ORDER BY batch"):
            link = Link(*row)
            while span is not None and link.batch > span.last_batch:
                span = next(spans, None)
            if span is not None and link.batch >= span.first_batch:
                follower.take(link)
            else:
                follower.pass_by(link)
                self.passed += 1
            self._check_anchor(link)
            if self._place.rows - shown >= CHUNK:
                shown = self._place.rows
                self._progress(shown, self._total)
        follower.end()
        self._evidence.end()
        for archived in self._anchors.values():
            if archived.is_away:
                _check_kept(self._connection, archived)
        self._progress(self._place.rows, self._total)

    def _check_anchor(self, link: Link) -> None:
        archived = self._anchors.get(link.batch)
        if archived is not None and (archived.hash, archived.last_seq) != (link.hash, link.last_seq):
            said = f"the archive of {archived.day} ends with another hash or row than batch {link.batch}"
            raise Broken(link.batch, None, f"{said}: table archives or batches was changed")

    def _rows(self) -> Iterator[tuple[int, JournalRow]]:
        """(batch, row) of the spans in order of seq; after the last batch whatever is there."""
        head = self._connection.execute("SELECT coalesce(max(last_seq), 0) FROM batches").fetchone()
        for span in self._spans:
            # What lies beyond the last batch must not be missed: it belongs to no batch.
            upper = None if head is not None and span.last_seq == head[0] else span.last_seq
            yield from journal_rows(self._connection, span.first_seq, upper)
        if not self._spans and head is not None:
            yield from journal_rows(self._connection, head[0] + 1, None)


def journal_rows(
    connection: Snapshot, first: int, last: int | None, also: str = "true"
) -> Iterator[tuple[int, JournalRow]]:
    """(batch, row) in order of seq; ``detail`` as the very text that was hashed.

    From the first number of all on, rows with impossible numbers are seen too.
    """
    where, values = (f"{also} AND seq >= %s", [first]) if first > 1 else (also, [])
    if last is not None:
        where, values = f"{where} AND seq <= %s", [*values, last]
    query = f"SELECT batch, {_ROW} FROM journal WHERE {where} ORDER BY seq"
    for number, *fields in stream(connection, query, *values):
        yield number, JournalRow(*fields)


def _check_kept(connection: Snapshot, archived: Archived) -> None:
    """The rows that were left of an archived day are those that were left of it."""
    if kept_digest(connection, archived.first_seq, archived.last_seq) != (archived.kept_rows, archived.kept_hash):
        said = f"the {archived.kept_rows} journal rows kept of {archived.day}, which is archived, were changed"
        raise Broken(archived.last_batch, None, f"{said}; {archived.file} has them as they were")


def kept_digest(connection: Snapshot, first_seq: int, last_seq: int, also: str = "true") -> tuple[int, bytes]:
    """How many journal rows there are from one number to another, and the SHA-256 of their canonical texts."""
    digest = hashlib.sha256()
    count = 0
    for _, row in journal_rows(connection, first_seq, last_seq, also):
        count += 1
        digest.update((canonical(row) + LINE).encode("utf-8", "backslashreplace"))
    return count, digest.digest()


def _check_end(connection: Snapshot, place: Place) -> None:
    for table, column in _KNOWS_ROW.items():
        found = connection.execute(f"SELECT max({column}) FROM {table}".encode()).fetchone()
        known = found[0] if found else None
        if known is not None and known > place.seq:
            said = f"{table} knows journal row {known}, the journal ends with {place.seq}: its end was cut off"
            raise Broken(place.batch, place.seq + 1, said)
