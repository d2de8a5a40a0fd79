"""The starts of the gateway as its journal has them: rows of kind `config`, found by an index of their own.

Each start has a number, the next after the last one, refused ones too. How a run ended before shows in its last row:
`Stop` in order, `Refused` before anything was open, none of both where it was cut off.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Engine, select

from oms.ledger.load import Reader
from oms.ledger.schema import journal

START, OPEN, REFUSED, STOP = "Start", "Open", "Refused", "Stop"
_ROWS_PER_START = 3  # at most

CLEAN, UNCLEAN, FIRST, NOT_TOLD = "clean", "unclean", "first start", "not told"


class Before(NamedTuple):
    """The start before this one: its number, 0 for none, and how its run ended."""

    number: int
    stop: str


def before(reader: Reader) -> Before:
    """How the run before ended. A start that was refused before it changed anything is passed over for that."""
    rows = "SELECT msg_type, detail -> 'start' AS start FROM journal WHERE kind = 'config'"
    last = reader.rows(f"{rows} ORDER BY seq DESC LIMIT 1")
    if not last:
        return Before(0, FIRST)
    number = int((last[0]["start"] or {}).get("number", 0))
    if last[0]["msg_type"] == REFUSED:
        last = reader.rows(f"{rows} AND msg_type <> '{REFUSED}' ORDER BY seq DESC LIMIT 1")
        if not last:
            return Before(number, FIRST)
        start = last[0]["start"] or {}
        if last[0]["msg_type"] == START and start.get("number") == number:
            return Before(number, REFUSED.lower())
    if last[0]["start"] is None:  # a version of the program that wrote no stops
        return Before(number, NOT_TOLD)
    return Before(number, CLEAN if last[0]["msg_type"] == STOP else UNCLEAN)


def ledger_facts(reader: Reader) -> dict[str, object]:
    """Which ledger it is, and its form."""
    found = reader.rows(
        "SELECT current_database() AS database, current_setting('server_version') AS postgres,"
        " (SELECT max(version_num) FROM alembic_version) AS schema"
    )
    return dict(found[0])


@dataclass(slots=True)
class Start:
    """One start: when, what came of it, and its report. `seq` is its first journal row, 0 for one that has none."""

    number: int
    at: datetime
    seq: int
    outcome: str  # open, refused, unfinished
    seconds: float | None = None
    opened_at: datetime | None = None
    stopped_at: datetime | None = None
    refused: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    steps: list[tuple[str, float]] = field(default_factory=list)


_columns = (journal.c.seq, journal.c.msg_type, journal.c.received_at, journal.c.detail)


def starts(engine: Engine, limit: int) -> list[Start]:
    """The last starts, the newest first."""
    query = select(*_columns).where(journal.c.kind == "config").order_by(journal.c.seq.desc())
    with engine.connect() as connection:
        rows = connection.execute(query.limit(limit * _ROWS_PER_START)).all()
    return grouped(rows)[:limit]


def start_number(engine: Engine, number: int) -> Start | None:
    """The start of this number."""
    return next((one for one in starts(engine, 1_000_000) if one.number == number), None)


def start_at(engine: Engine, at: datetime) -> Start | None:
    """The start that made the gateway what it was at a time: the last one not after it."""
    return next((one for one in starts(engine, 1_000_000) if one.at <= at), None)


def grouped(rows: Sequence[Any]) -> list[Start]:
    """Rows of kind `config`, the newest first, as starts. Those of versions without reports are left out."""
    by_number: dict[int, list[Any]] = {}
    for row in rows:
        number = ((row.detail or {}).get("start") or {}).get("number")
        if number is not None:
            by_number.setdefault(int(number), []).append(row)
    return [_start(number, reversed(own)) for number, own in by_number.items()]


def _start(number: int, rows: Iterable[Any]) -> Start:
    made: Start | None = None
    for row in rows:
        facts = dict(row.detail["start"])
        if made is None:
            made = Start(number, row.received_at, row.seq, "unfinished")
        if row.msg_type == STOP:
            made.stopped_at = row.received_at
            continue
        if "at" in facts:
            made.at = datetime.fromisoformat(facts.pop("at"))
        made.steps = [(name, seconds) for name, seconds in facts.pop("steps", [])] or made.steps
        made.seconds = facts.pop("seconds", made.seconds)
        made.refused = facts.pop("refused", made.refused)
        made.facts |= facts
        if row.msg_type == OPEN:
            made.outcome, made.opened_at = "open", row.received_at
        elif row.msg_type == REFUSED:
            made.outcome = "refused"
    if made is None:
        raise ValueError("a start without rows")
    return made
