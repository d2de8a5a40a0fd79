"""A new machine: the sessions' message stores are lost, and made again from the ledger.

    1 which stores are lost: the ledger knows numbers of the session, and its store is not there (or not the last one)
    2 an operator must have said that this is so; otherwise the start is refused
    3 each lost store is made again: what left under which MsgSeqNum(34), as far as it was noted; the next number to
      expect follows the last one committed; the next number to send lies above all that can have been used
    4 messages whose sending was not noted are in doubt: the core settles them with the first batch (oms.core.doubt)

A counterparty sees a gap, asks for it, gets again what was noted and had not reached it, and a gap fill for the rest.
Until the batch of 4 is committed the stores count as lost, whatever is in them: a kill in between changes nothing.
Nothing is sent here. Why it is safe: docs/decisions/new_machine.md.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from oms import inbox as box
from oms.config.load import Config
from oms.config.sessions import SessionSpec
from oms.core.book import SessionState
from oms.errors import OperatorError
from oms.fix.store import envelope, has_store, set_aside, write_store
from oms.inbox import Heard, now_us
from oms.ledger.batch import Send
from oms.ledger.load import UNSETTLED, Reader
from oms.outbox import cl_ord_id_of

RUNS = "runs.json"  # beside the stores: of which runs of the gateway they are
MESSAGES = 50_000  # made again at most, the last ones: far more than can be on its way to a counterparty
MARGIN = 10_000
_LONG_AGO = timedelta(days=365)
_REASON = "the message store was lost: whether it left is not known"
_PAGE = 10_000


class Rebuilt(NamedTuple):
    """One store that was made again, for the log and the journal."""

    why: str
    messages: int
    last_known: int
    next_sender: int
    next_target: int


class Used(NamedTuple):
    """What the ledger knows of the numbers of a session: the last one used for certain, when, and what it left as."""

    last: int
    at: datetime
    seq: int
    messages: list[tuple[int, bytes]]


# -- 1 and 2: which are lost ----------------------------------------------------------------------------------------


def lost_stores(config: Config, reader: Reader, sessions: Mapping[str, SessionState]) -> dict[str, str]:
    """Sessions of which the ledger knows numbers and whose store is none to go on with, and why."""
    lost: dict[str, str] = {}
    last_run = _last_run(reader)
    for name, spec in config.sessions.items():
        state = sessions.get(name)
        if state is None:
            continue
        if not has_store(spec.store_path / spec.store_prefix):
            why = f"missing in {spec.store_path}"
        elif not _is_of(spec, last_run):
            why = f"those in {spec.store_path} are not of the run that wrote the ledger last"
        else:
            continue
        if state.in_msg_seq_num or state.epoch or _last_logon(reader, name) is not None:
            lost[name] = why
    return lost


def require_said(
    lost: Mapping[str, str], sessions: Mapping[str, SessionState], empty_stores: frozenset[str], new_machine: bool
) -> None:
    """OperatorError where stores are lost and nobody has said what to do about it."""
    unsaid = {name: why for name, why in lost.items() if name not in empty_stores}
    if not unsaid or new_machine:
        return
    reasons: dict[str, list[str]] = {}
    for name, why in unsaid.items():
        number = sessions[name].in_msg_seq_num
        reasons.setdefault(why, []).append(f"{name} (MsgSeqNum(34) {number} came last)" if number else name)
    said = "; ".join(f"{', '.join(names)}: {why}" for why, names in reasons.items())
    empty = next(iter(unsaid))
    raise OperatorError(
        f"message stores are lost, and the ledger has messages of their sessions: {said}. Restore them if you can."
        " On a new machine, or where they are gone for good: oms run --new-machine makes them again from the ledger."
        f" Where a reset of the sequence numbers is agreed with the counterparty: oms run --empty-store {empty}"
    )


def note_run(config: Config, reader: Reader, lost: Mapping[str, str], run: str) -> None:
    """Write down beside the stores whose they are: of the last run and of this one, or of this one alone.

    A run counts as the last one when its first batch is committed: until then a lost store stays lost, whatever is
    made of it, and one that is not lost stays so, also where the start is refused.
    """
    last_run = _last_run(reader)
    for directory in sorted({spec.store_path for spec in config.sessions.values()}):
        runs = {name: [run] if name in lost else [last_run or "", run] for name in config.sessions}
        runs |= {name: [last_run or "", run] for name in _resting(directory, config, last_run)}
        draft = directory / f"{RUNS}.new"
        with draft.open("w", encoding="utf-8") as file:
            file.write(json.dumps(runs, indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(directory / RUNS)


def _resting(directory: Path, config: Config, last_run: str | None) -> list[str]:
    """Sessions that are not configured now, and whose stores there are those of the last run: nobody writes them."""
    try:
        noted: dict[str, list[str]] = json.loads((directory / RUNS).read_text(encoding="utf-8"))
        return [name for name, runs in noted.items() if name not in config.sessions and last_run in runs]
    except (OSError, ValueError, AttributeError, TypeError):
        return []  # then they count as lost when they are configured again


def _last_run(reader: Reader) -> str | None:
    """The run that wrote the ledger last; '' where it noted no name, None where the ledger does not tell."""
    rows = reader.rows(
        "SELECT detail ->> 'run' AS run FROM journal WHERE kind = 'config' AND msg_type = 'Start'"
        " ORDER BY seq DESC LIMIT 1"
    )
    return (rows[0]["run"] or "") if rows else None


def _is_of(spec: SessionSpec, run: str | None) -> bool:
    """Whether a session's store is the one that a run has used."""
    file = spec.store_path / RUNS
    try:
        return run is None or run in json.loads(file.read_text(encoding="utf-8")).get(spec.name, [])
    except FileNotFoundError:
        return not run
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise OperatorError(
            f"{file} cannot be read ({error}); restore it, or delete it: then the stores beside it count as lost"
        ) from error


# -- 3: made again --------------------------------------------------------------------------------------------------


def rebuild(
    config: Config,
    reader: Reader,
    sessions: Mapping[str, SessionState],
    lost: Mapping[str, str],
    empty_stores: frozenset[str],
    last_seq: int,
    now: datetime,
) -> dict[str, Rebuilt]:
    """Make the lost stores again, but for those that are to be empty; `last_seq` is the last journal row.

    What is left of old ones is kept in a directory beside them. OperatorError where a file cannot be written.
    """
    rebuilt: dict[str, Rebuilt] = {}
    try:
        for name, why in lost.items():
            spec = config.sessions[name]
            prefix = spec.store_path / spec.store_prefix
            set_aside(prefix, spec.store_path / f"lost-{now:%Y%m%d-%H%M%S}")
            if name in empty_stores:
                continue
            used = _used(reader, spec, now)
            next_sender = used.last + 1 + _margin(used, last_seq, now)
            next_target = sessions[name].in_msg_seq_num + 1
            write_store(prefix, used.messages, next_sender, next_target, used.at)
            rebuilt[name] = Rebuilt(why, len(used.messages), used.last, next_sender, next_target)
    except OSError as error:
        raise OperatorError(
            f"{error.filename}: {error.strerror}; the message stores must be writable for this user"
        ) from error
    return rebuilt


def _margin(used: Used, last_seq: int, now: datetime) -> int:
    """Numbers that may have been used since the last one known, at the most.

    Session messages are not in the ledger. Heartbeats and logons come less than once a second; a Reject(3), and a
    message of ours whose sending was not noted, has a journal row. Too many cost nothing: one gap fill covers them.
    """
    idle = max(int((now - used.at).total_seconds()), 0)
    return MARGIN + idle + max(last_seq - used.seq, 0)


def _last_logon(reader: Reader, name: str) -> dict[str, Any] | None:
    rows = reader.rows(
        "SELECT seq, received_at, detail FROM journal WHERE kind = 'session' AND msg_type = 'SessionUp'"
        " AND session = %s ORDER BY seq DESC LIMIT 1",
        name,
    )
    return rows[0] if rows else None


def _used(reader: Reader, spec: SessionSpec, now: datetime) -> Used:
    """What left on a session since its numbers began, as far as the ledger knows."""
    logon = _last_logon(reader, spec.name)
    last, at, seq = 0, now - _LONG_AGO, 0  # nothing is known of what was archived
    if logon is not None:
        last, at, seq = int(logon["detail"]["matter"][0]) - 1, logon["received_at"], logon["seq"]
    messages: list[tuple[int, bytes]] = []
    above = None
    found = reader.rows(
        "SELECT journal.seq, journal.raw, sends.msg_seq_num, sends.sent_at FROM journal JOIN sends USING (seq)"
        " WHERE journal.session = %s AND journal.kind = 'out' AND sends.outcome IN ('sent', 'stored')"
        " ORDER BY journal.seq DESC LIMIT %s",
        spec.name,
        MESSAGES,
    )
    if spec.paced:  # it does not get them in the order of the journal
        found.sort(key=lambda row: (row["sent_at"], row["msg_seq_num"]), reverse=True)
    for row in found:
        number, sent_at = row["msg_seq_num"], row["sent_at"]
        began_anew = logon is not None and sent_at < logon["received_at"] and number > last
        if began_anew or (above is not None and number >= above):
            break  # of before the numbers were reset
        above = number
        if number > last:
            last, at, seq = number, max(sent_at, at), max(row["seq"], seq)
        text = bytes(row["raw"]).decode("utf-8", "surrogateescape")
        messages.append((number, envelope(spec, number, sent_at, text)))
    messages.reverse()
    return Used(last, at, seq, messages)


# -- 4: what is in doubt --------------------------------------------------------------------------------------------


def in_doubt(reader: Reader, spec: SessionSpec, cursor: int) -> tuple[list[Send], list[Heard]]:
    """The messages after `cursor`, none of which was noted: settled as in doubt, and what the core has to hear."""
    settled: list[Send] = []
    heard: list[Heard] = []
    now = datetime.now(UTC)
    while rows := reader.rows(
        "SELECT seq, msg_type, order_id, raw FROM journal WHERE session = %s AND kind = 'out' AND seq > %s"
        f" AND {UNSETTLED} ORDER BY seq LIMIT %s",
        spec.name,
        cursor,
        _PAGE,
    ):
        for row in rows:
            text = bytes(row["raw"]).decode("utf-8", "surrogateescape")
            settled.append(Send(row["seq"], spec.name, "in_doubt", None, now, _REASON))
            cl_ord_id = cl_ord_id_of(text) if spec.role == "broker" else ""
            matter = (row["seq"], row["msg_type"], cl_ord_id, row["order_id"] or "")
            heard.append(Heard(box.IN_DOUBT, spec.name, text, matter, now_us()))
        cursor = rows[-1]["seq"]
    return settled, heard
