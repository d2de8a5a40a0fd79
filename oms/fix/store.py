"""QuickFIX's file store, read before the engine opens it: what was stored under which MsgSeqNum(34); or made anew.

A message in the store will reach its counterparty by the session protocol; one that is not has never left.
The engine writes a message first, then counts its number as used, then sends: a message whose number was not
counted before a kill has not left either, and its number is used again, by the next Logon(A).
The engine flushes after every message but never syncs: enough after `kill -9`, not after a loss of power,
which is why the journal, not the store, is the truth.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from oms.config.sessions import SessionSpec
from oms.core.replies import utc_text
from oms.errors import OperatorError
from oms.fix.fields import SOH

STORE_FILES = ("body", "header", "session", "seqnums")
_NEXT_SENDER = re.compile(rb"\s*(\d+) : ")
_BLOCK = 65_536  # bytes of the index read at first
_ROOM = 65_536  # bytes; less than that and a store would fail soon
_ENTRY = re.compile(rb"(\d+),(\d+),(\d+) ")  # the space ends an entry: without it the last one is torn


class Stored(NamedTuple):
    """One message of the store, raw as it went to the socket."""

    msg_seq_num: int
    raw: str


def stored_messages(prefix: Path, after: int, *, below: int = 0) -> list[Stored]:
    """Messages of the store with a MsgSeqNum(34) above `after`, in order. Empty where there is no store.

    With `below` those under that number, also where the numbers were set back since and are not used again yet.

    `prefix` is the path of the session's store files without `.header`, `.body` and `.seqnums`.
    """
    header, body, numbers = (Path(f"{prefix}.{ending}") for ending in ("header", "body", "seqnums"))
    if not header.exists() or not body.exists() or not numbers.exists():
        return []
    counted = _NEXT_SENDER.match(numbers.read_bytes())
    next_sender = int(counted[1]) if counted else 1
    entries = _entries_after(header, 0 if below else after)
    next_sender = below or next_sender
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


def _entries_after(header: Path, after: int) -> list[list[int]]:
    """Number, offset and size of the index's entries, from some entry not above `after` on to the end.

    Numbers go up but for a reset: the index, which grows until one, is read from its end, no further than needed.
    """
    with header.open("rb") as file:
        start = end = file.seek(0, os.SEEK_END)
        data, whole = b"", 0
        while start:
            start = max(end - max(4 * len(data), _BLOCK), 0)
            file.seek(start)
            data = file.read(end - start)
            whole = data.find(b" ") + 1 if start else 0  # the first entry may be cut
            first = _ENTRY.match(data, whole)
            if first is not None and int(first[1]) <= after:
                break
    return [[int(part) for part in entry.groups()] for entry in _ENTRY.finditer(data, whole)]


def carry_over(prefix: Path, now: datetime) -> None:
    """Let the store of a session without a schedule pass for one that was made now (UTC).

    The engine learns that a session never ends only after it has looked whether its store is of another day, and
    such a store it empties: numbers, and messages still to be delivered, were lost at the first start of every day.
    """
    if not Path(f"{prefix}.session").exists():
        return
    draft = Path(f"{prefix}.session.new")
    draft.write_text(f"{now:%Y%m%d-%H:%M:%S}", encoding="ascii")
    draft.replace(f"{prefix}.session")


def mend_torn(prefix: Path) -> bool:
    """Cut off an entry of the store's index that was only half written; whether there was one.

    A disk that is full takes a part of a write. The engine would append the next entry to that part, and at its next
    start read neither them nor what follows: messages it could no longer resend. For a store nobody has open.
    """
    header = Path(f"{prefix}.header")
    if not header.exists():
        return False
    data = header.read_bytes()
    whole = data.rfind(b" ") + 1
    if whole == len(data):
        return False
    with header.open("r+b") as file:
        file.truncate(whole)
    return True


def require_room(directories: Iterable[Path]) -> None:
    """Raise OperatorError where a message store could not be written: a session could log on and send nothing."""
    for directory in sorted(directories):
        try:
            directory.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=directory) as probe:
                probe.write(bytes(_ROOM))
                probe.flush()
                os.fsync(probe.fileno())  # some file systems look for room only then
        except OSError as error:
            raise OperatorError(
                f"the message stores in {directory} cannot be written: {error.strerror}; make room on that disk, or"
                " let this user write there, and start again"
            ) from error


def envelope(spec: SessionSpec, number: int, sending_time: datetime, text: str) -> bytes:
    """A message as the engine stores it: `text` (MsgType(35) first) with the session's header and trailer."""
    head, _, rest = text.partition(SOH)
    who = f"49={spec.sender_comp_id}{SOH}52={utc_text(sending_time)}{SOH}56={spec.target_comp_id}"
    body = f"{head}{SOH}34={number}{SOH}{who}{SOH}{rest}".encode("utf-8", "surrogateescape")
    message = f"8={spec.begin_string}{SOH}9={len(body)}{SOH}".encode() + body
    return message + f"10={sum(message) % 256:03d}{SOH}".encode()


def write_store(
    prefix: Path, messages: Iterable[tuple[int, bytes]], next_sender: int, next_target: int, began_at: datetime
) -> None:
    """Make a store as the engine would have left it; in place of one that is there.

    `messages` are MsgSeqNum(34) and raw text, in order. `began_at` is when its numbers began, or any moment since
    then within the same session of the schedule: at the first moment of a later one the engine begins at 1.
    """
    prefix.parent.mkdir(parents=True, exist_ok=True)
    place, entries, texts = 0, [], []
    for number, raw in messages:
        entries.append(f"{number},{place},{len(raw)} ")
        texts.append(raw)
        place += len(raw)
    contents = {
        "body": b"".join(texts),
        "header": "".join(entries).encode(),
        "session": f"{began_at:%Y%m%d-%H:%M:%S}".encode(),
        "seqnums": f"{next_sender:020d} : {next_target:020d}".encode(),
    }
    for ending, content in contents.items():
        with Path(f"{prefix}.{ending}").open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())


def has_store(prefix: Path) -> bool:
    """Whether there is a store that the engine would go on with."""
    return Path(f"{prefix}.seqnums").exists()


def missing_stores(specs: Iterable[SessionSpec]) -> list[str]:
    """Names of the sessions that have no store; whether they had one is for the ledger to say."""
    return [spec.name for spec in specs if not has_store(spec.store_path / spec.store_prefix)]


def set_aside(prefix: Path, directory: Path) -> None:
    """Move what there is of a store to another directory."""
    for ending in STORE_FILES:
        file = Path(f"{prefix}.{ending}")
        if file.exists():
            directory.mkdir(parents=True, exist_ok=True)
            file.replace(directory / file.name)
