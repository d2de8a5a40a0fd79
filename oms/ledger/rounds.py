"""Rounds of reconciliation, read from the journal: what was asked or compared, what agrees, what does not.

A round's rows are found by its id, which stands in `journal.order_id` as an order's would; its first row has the
beginning in `detail.reconcile`, its last one the whole summary. Whatever the source (a broker's order session, a
file), the summary has the same form: `oms.core.rounds.Round.summary`. Reads only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, or_, select

from oms.ledger import schema

journal = schema.journal
_FIRST, _BEYOND = "R", "S"  # ids of rounds begin with R, those of orders do not
UNDER_WAY, INTERRUPTED = "under way", "interrupted"


@dataclass(frozen=True, slots=True)
class ReconcileRound:
    """One round. `ended` says how, or that it has not; lists name at most a thousand, `counts` count all."""

    round_id: str
    source: str
    about: str
    how: str
    begun_at: datetime
    begun_seq: int
    ended: str
    ended_at: datetime | None
    ended_seq: int | None
    orders: int
    asked: int
    matched: int
    settled: int
    overtaken: int
    counts: dict[str, int]
    differing: list[list[Any]] = field(default_factory=list)  # OrderID(37), kinds, journal row
    missing_here: list[list[Any]] = field(default_factory=list)  # the broker's OrderID(37), journal row
    adopted: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)
    refused: list[list[str]] = field(default_factory=list)  # OrderID(37), the broker's text
    found: list[list[Any]] = field(default_factory=list)  # of a file: kind, OrderID(37), text, journal row
    cause: str = ""  # what it was begun for: logon, schedule, on_break, operator NAME

    @property
    def differs(self) -> bool:
        """Whether anything is left to look at."""
        return any(self.counts.values())


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing that a round found: what, about which order, and the message that says so."""

    kind: str
    order_id: str
    text: str
    seq: int | None
    received_at: datetime | None
    raw: bytes


def list_rounds(engine: Engine, about: str | None, limit: int) -> list[ReconcileRound]:
    """Rounds, newest first, `limit` at most; `about` one broker where it is given."""
    of_rounds = (journal.c.order_id >= _FIRST, journal.c.order_id < _BEYOND, journal.c.kind != "out")
    newest = select(journal.c.order_id).where(*of_rounds).group_by(journal.c.order_id)
    if about is not None:
        told = journal.c.detail["reconcile"]["about"].as_string()  # an operator's row is of no session
        newest = newest.where(or_(journal.c.session == about, told == about))
    with engine.connect() as connection:
        ids = list(connection.scalars(newest.order_by(journal.c.order_id.desc()).limit(limit)))
        return _made(connection, ids)


def get_round(engine: Engine, round_id: str) -> ReconcileRound | None:
    """The round with this id, or None."""
    if not _FIRST <= round_id < _BEYOND:
        return None
    with engine.connect() as connection:
        found = _made(connection, [round_id])
    return found[0] if found else None


def _made(connection: Connection, ids: list[str]) -> list[ReconcileRound]:
    columns = (journal.c.order_id, journal.c.seq, journal.c.received_at, journal.c.detail)
    query = select(*columns).where(journal.c.order_id.in_(ids), journal.c.kind != "out").order_by(journal.c.seq)
    rows: dict[str, list[Any]] = {}
    for row in connection.execute(query):
        if "reconcile" in (row.detail or {}):
            rows.setdefault(row.order_id, []).append(row)
    seen: set[str] = set()
    found = []
    for name in sorted(rows, reverse=True):
        one = _round(rows[name], seen)
        seen.add(one.about)
        found.append(one)
    return found


def _round(rows: list[Any], newer: set[str]) -> ReconcileRound:
    """A round of its rows; `newer` has whom later rounds are about."""
    first, last = rows[0], rows[-1]
    told = {**first.detail["reconcile"], **last.detail["reconcile"]}
    is_over = "ended" in told
    still = INTERRUPTED if told["about"] in newer else UNDER_WAY
    named = {name: told.get(name, []) for name in ("differing", "missing_here", "adopted", "unanswered", "refused")}
    return ReconcileRound(
        told["round"],
        told["source"],
        told["about"],
        told["how"],
        first.received_at,
        first.seq,
        told["ended"] if is_over else still,
        last.received_at if is_over else None,
        last.seq if is_over else None,
        told["orders"],
        told.get("asked", 0),
        told.get("matched", 0),
        told.get("settled", 0),
        told.get("overtaken", 0),
        told.get("counts", {}),
        **named,
        found=[one for row in rows for one in row.detail["reconcile"].get("found", [])],
        cause=told.get("cause", ""),
    )


def evidence(engine: Engine, found: ReconcileRound) -> list[Evidence]:
    """What a round found, each with the message that says so."""
    seqs = [seq for *_, seq in (*found.differing, *found.missing_here)]
    columns = (journal.c.seq, journal.c.received_at, journal.c.raw, journal.c.detail)
    with engine.connect() as connection:
        rows = {row.seq: row for row in connection.execute(select(*columns).where(journal.c.seq.in_(seqs)))}
    made = [Evidence(kind, about, text, seq, None, b"") for kind, about, text, seq in found.found]
    for order_id, kinds, seq in found.differing:
        row = rows.get(seq)
        texts = _texts(row)
        made += [_evidence(kind, order_id, texts.get(kind, ""), seq, row) for kind in kinds]
    made += [
        _evidence("missing_here", "", f"OrderID(37) of the broker {name}", seq, rows.get(seq))
        for name, seq in found.missing_here
    ]
    made += [_evidence("adopted", order_id, "is an order of ours now", None, None) for order_id in found.adopted]
    made += [
        _evidence("unanswered", order_id, "the broker did not answer", None, None) for order_id in found.unanswered
    ]
    made += [_evidence("refused", order_id, text, None, None) for order_id, text in found.refused]
    return made


def _texts(row: Any) -> dict[str, str]:
    told = (row.detail or {}).get("reconcile", {}) if row is not None else {}
    return dict(told.get("differences", []))


def _evidence(kind: str, order_id: str, text: str, seq: int | None, row: Any) -> Evidence:
    if row is None:
        return Evidence(kind, order_id, text, seq, None, b"")
    return Evidence(kind, order_id, text, seq, row.received_at, bytes(row.raw))
