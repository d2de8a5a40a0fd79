"""QuickFIX's file store, read before the engine opens it: what was stored under which MsgSeqNum(34).

A message in the store will reach its counterparty by the session protocol; one that is not has never left.
The engine writes a message first, then counts its number as used, then sends: a message whose number was not
counted before a kill has not left either, and its number is used again, by the next Logon(A).
The engine flushes after every message but never syncs: enough after `kill -9`, not after a loss of power,
which is why the journal, not the store, is the truth.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

_NEXT_SENDER = re.compile(rb"\s*(\d+) : ")
_ENTRY = re.compile(rb"(\d+),(\d+),(\d+) ")  # the space ends an entry: without it the last one is torn


class Stored(NamedTuple):
    """One message of the store, raw as it went to the socket."""

    msg_seq_num: int
    raw: str


def stored_messages(prefix: Path, after: int) -> list[Stored]:
    """Messages of the store with a MsgSeqNum(34) above `after`, in order. Empty where there is no store.

    `prefix` is the path of the session's store files without `.header`, `.body` and `.seqnums`.
    """
    header, body, numbers = (Path(f"{prefix}.{ending}") for ending in ("header", "body", "seqnums"))
    if not header.exists() or not body.exists() or not numbers.exists():
        return []
    counted = _NEXT_SENDER.match(numbers.read_bytes())
    next_sender = int(counted[1]) if counted else 1
    entries = [[int(part) for part in entry.groups()] for entry in _ENTRY.finditer(header.read_bytes())]
    found: list[Stored] = []
    with body.open("rb") as data:
        # Of two messages under one number the engine knows the later one only.
        for number, (offset, size) in sorted({number: place for number, *place in entries}.items()):
            if not after < number < next_sender:
                continue
            data.seek(offset)
            raw = data.read(size)
            if len(raw) == size:  # the last one may be torn: it did not reach the socket either
                found.append(Stored(number, raw.decode("utf-8", "surrogateescape")))
    return found
