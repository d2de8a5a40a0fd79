"""The end of the journal, proved at every start: its last batches' hashes are made again and must chain.

How much is read does not depend on the length of the journal: the last batches up to some thousand rows, and at least
one. What lies before is for `oms verify`. Rows are found by their numbers, and a row beyond the last batch, one that
is missing, or one that says it is of another batch shows too.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from oms.errors import JournalFailure
from oms.ledger.chain import GENESIS, JournalRow, batch_hash
from oms.ledger.load import Reader

TAIL_BATCHES = 100
TAIL_ROWS = 5_000

_COLUMNS = (
    "seq, kind, session, msg_type, msg_seq_num, order_id, cause, sending_time, received_at, trade_date, raw,"
    " detail::text AS detail"
)


class Tail(NamedTuple):
    """The end of the chain, and how much before it was made again; zeros and '' for a ledger without batches."""

    batch: int
    seq: int
    batches: int
    rows: int
    hash: str


def verify_tail(reader: Reader) -> Tail:
    """Make the hashes of the last batches again. Raises JournalFailure where they are not what the ledger has."""
    heads = reader.rows("SELECT * FROM batches ORDER BY batch DESC LIMIT %s", TAIL_BATCHES)
    if not heads:
        return Tail(0, 0, 0, 0, "")
    taken = [heads[0]]
    rows = _size(heads[0])
    for head in heads[1:]:
        rows += _size(head)
        if rows > TAIL_ROWS:
            break
        taken.append(head)
    taken.reverse()
    first, last = taken[0], taken[-1]
    journal = reader.rows(f"SELECT batch, {_COLUMNS} FROM journal WHERE seq >= %s ORDER BY seq", first["first_seq"])
    if journal and journal[-1]["seq"] > last["last_seq"]:
        raise _changed(f"journal row {journal[-1]['seq']} is beyond the last batch")
    by_batch: dict[int, list[JournalRow]] = {head["batch"]: [] for head in taken}
    for row in journal:
        number = row.pop("batch")
        if number not in by_batch:
            raise _changed(f"journal row {row['seq']} says it is of batch {number}")
        by_batch[number].append(JournalRow(**{**row, "raw": bytes(row["raw"])}))
    before = bytes(first["prev_hash"])
    if first["batch"] == 1 and before != GENESIS:
        raise _changed("batch 1 does not begin the chain")
    for head in taken:
        _check(head, before, by_batch[head["batch"]])
        before = bytes(head["hash"])
    return Tail(last["batch"], last["last_seq"], len(taken), len(journal), before.hex())


def _size(head: dict[str, Any]) -> int:
    return int(head["last_seq"] - head["first_seq"] + 1)


def _check(head: dict[str, Any], before: bytes, journal: list[JournalRow]) -> None:
    number = head["batch"]
    if bytes(head["prev_hash"]) != before:
        raise _changed(f"batch {number} does not chain to the one before")
    if [row.seq for row in journal] != list(range(head["first_seq"], head["last_seq"] + 1)):
        raise _changed(f"rows of batch {number} are missing")
    if batch_hash(before, number, head["committed_at"], journal) != bytes(head["hash"]):
        raise _changed(f"batch {number} does not match its hash")


def _changed(what: str) -> JournalFailure:
    return JournalFailure(
        f"the end of the journal is not as it was written: {what}; the ledger was changed by other hands: run"
        " `oms verify` and restore it before you start"
    )
