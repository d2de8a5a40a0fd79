"""The hash chain over the journal: what is hashed, and how.

hash(batch) = SHA-256(prev_hash, batch number, commit time, then every journal row of the batch in order).
A row is hashed in a canonical text that can be made again, byte for byte, from what the table holds. Changing,
dropping, adding or reordering a committed row therefore breaks every later hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import date, datetime
from functools import lru_cache
from typing import NamedTuple

GENESIS = bytes(32)
FIELD, LINE, NULL = "\x1f", "\x1e", "\x1d"

_text = lru_cache(maxsize=4096)(str)  # an event's rows share their times


class JournalRow(NamedTuple):
    """One row of the journal, in the order of the table's columns less `batch`."""

    seq: int
    kind: str
    session: str
    msg_type: str
    msg_seq_num: int | None
    order_id: str | None
    cause: int | None
    sending_time: datetime | None
    received_at: datetime
    trade_date: date
    raw: bytes
    detail: str | None


def canonical(row: JournalRow) -> str:
    """The text of a row that is hashed: its fields in order, the message in hexadecimal. Times are in UTC.

    It is also the text in which the row travels to the database, so the two cannot differ.
    """
    seq, kind, session, msg_type, msg_seq_num, order_id, cause, sending_time, received_at, trade_date, raw, detail = (
        row
    )
    return FIELD.join(
        (
            str(seq),
            kind,
            session,
            msg_type,
            NULL if msg_seq_num is None else str(msg_seq_num),
            order_id or NULL,
            NULL if cause is None else str(cause),
            NULL if sending_time is None else _text(sending_time),
            _text(received_at),
            _text(trade_date),
            raw.hex(),
            detail or NULL,
        )
    )


def batch_hash(prev_hash: bytes, batch: int, committed_at: datetime, rows: Iterable[JournalRow]) -> bytes:
    """The hash of one batch, given that of the batch before (GENESIS for the first)."""
    journal = LINE.join([canonical(row) for row in rows])
    return text_hash(prev_hash, batch, committed_at, journal.encode("utf-8", "backslashreplace"))


def text_hash(prev_hash: bytes, batch: int, committed_at: datetime, journal: bytes) -> bytes:
    """`batch_hash` of rows that are in their canonical text already, joined by LINE."""
    digest = hashlib.sha256(prev_hash)
    digest.update(f"{batch}{FIELD}{committed_at}{LINE}".encode())
    digest.update(journal)
    return digest.digest()
