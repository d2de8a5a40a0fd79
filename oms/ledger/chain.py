"""The hash chain over the journal: what is hashed, and how.

hash(batch) = SHA-256(prev_hash, batch number, commit time, then every journal row of the batch in order).
A row is hashed in a canonical text that can be made again, byte for byte, from what the table holds. Changing,
dropping, adding or reordering a committed row therefore breaks every later hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import date, datetime
from typing import NamedTuple

GENESIS = bytes(32)


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


def canonical(row: JournalRow) -> bytes:
    """The bytes of a row that are hashed. Times must be aware and in UTC."""
    head = (
        f"{row.seq}\x1f{row.kind}\x1f{row.session}\x1f{row.msg_type}\x1f{row.msg_seq_num}\x1f{row.order_id}"
        f"\x1f{row.cause}\x1f{row.sending_time}\x1f{row.received_at}\x1f{row.trade_date}\x1f{row.detail}\x1f"
        f"{len(row.raw)}\x1f"
    )
    return head.encode() + row.raw + b"\x1e"


def batch_hash(prev_hash: bytes, batch: int, committed_at: datetime, rows: Iterable[JournalRow]) -> bytes:
    """The hash of one batch, given that of the batch before (GENESIS for the first)."""
    digest = hashlib.sha256(prev_hash)
    digest.update(f"{batch}\x1f{committed_at}\x1e".encode())
    for row in rows:
        digest.update(canonical(row))
    return digest.digest()
