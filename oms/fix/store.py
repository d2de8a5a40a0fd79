"""QuickFIX's file store, read before the engine opens it: what was stored under which MsgSeqNum(34).

A message in the store will reach its counterparty by the session protocol; one that is not has never left.
The engine flushes after every message but never syncs: enough after `kill -9`, not after a loss of power,
which is why the journal, not the store, is the truth.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

_ENTRY = re.compile(rb"(\d+),(\d+),(\d+) ")  # the space ends an entry: without it the last one is torn


class Stored(NamedTuple):
    """One message of the store, raw as it went to the socket."""

    msg_seq_num: int
    raw: str


def stored_messages(prefix: Path, after: int) -> list[Stored]:
    """Messages of the store with a MsgSeqNum(34) above `after`, in order. Empty where there is no store.

    `prefix` is the path of the session's store files without `.header` and `.body`.
    """
    header, body = Path(f"{prefix}.header"), Path(f"{prefix}.body")
    if not header.exists() or not body.exists():
        return []
    found: list[Stored] = []
    with body.open("rb") as data:
        for entry in _ENTRY.finditer(header.read_bytes()):
            number, offset, size = (int(part) for part in entry.groups())
            if number <= after:
                continue
            data.seek(offset)
            raw = data.read(size)
            if len(raw) == size:  # the last one may be torn: it did not reach the socket either
                found.append(Stored(number, raw.decode("utf-8", "surrogateescape")))
    return sorted(found)
