"""Days leave the ledger: each into a file that is read back and found right before anything is dropped.

What goes: the journal and the sends of a trade date. What stays: batches (the hash chain goes on unbroken), fills
(they are the positions, and no fill may come twice), orders, requests and items; and of the journal the rows that a
start, a late answer or a person still needs (`_KEPT`): those of live orders and of open items, configuration,
operators' commands, what has not left yet. Days go in order, the oldest first; the day of the newest row never goes.
Invariants: a day's rows are dropped only in the transaction that notes its file; that transaction waits half a second
at most for the running gateway, and holds it up for as long as dropping a table takes. Killed at any instant, either
the rows are in the ledger, or the file is whole and noted.
"""

from __future__ import annotations

import getpass
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from oms.errors import OperatorError
from oms.ledger import partitions
from oms.ledger.archive_file import Manifest, check_file, read_manifest, write_file
from oms.ledger.database import SCHEMA_VERSION, connect
from oms.ledger.moment import archived_days
from oms.ledger.verify import kept_digest

Connection = psycopg.Connection[Any]
Told = Callable[[str, int, int], None]  # step, done, in all

TRIES = 20  # of half a second each: how long a reader of the journal is waited for
_PAUSE = 0.5


class Day(NamedTuple):
    """A day that can go: its batches and rows."""

    day: date
    first_batch: int
    last_batch: int
    first_seq: int
    last_seq: int
    rows: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Which days go, and why the others before the date do not."""

    days: tuple[Day, ...]
    stays: tuple[tuple[date, str], ...]


class Done(NamedTuple):
    """A day that went."""

    day: date
    file: Path
    size: int
    rows: int
    kept: int


# Journal rows of a day that stay: beyond the last whole batch; not about one order and not a message; of orders that
# are alive or that somebody looks at, from beginning to end; the evidence of open items; what was not sent yet, and
# the last that was.
_KEPT = """
CREATE TEMP TABLE archive_kept ON COMMIT DROP AS
WITH wanted_orders AS (
    SELECT order_id FROM client_orders WHERE NOT finished
    UNION SELECT order_id FROM exception_items WHERE state = 'open' AND order_id IS NOT NULL
    UNION SELECT order_id FROM journal WHERE trade_date < %(day)s AND seq < %(first_seq)s AND order_id IS NOT NULL
), wanted_rows AS (
    SELECT seq FROM exception_items WHERE state = 'open'
    UNION SELECT seq FROM requests WHERE order_id = '' AND state NOT IN ('accepted', 'rejected')
    UNION SELECT journal.cause FROM requests JOIN journal USING (seq)
        WHERE requests.order_id = '' AND state NOT IN ('accepted', 'rejected')
)
SELECT seq FROM journal LEFT JOIN session_positions AS place USING (session)
WHERE trade_date = %(day)s AND (
    batch > %(last_batch)s
    OR kind IN ('config', 'operator')
    OR (order_id IS NULL AND kind NOT IN ('in', 'out', 'refused'))
    OR order_id IN (SELECT order_id FROM wanted_orders)
    OR seq IN (SELECT seq FROM wanted_rows WHERE seq IS NOT NULL)
    OR (kind = 'out' AND seq >= coalesce(place.out_seq, 0))
    OR (kind = 'in' AND order_id IS NULL AND msg_type IN ('q', 'r'))
)
"""


def plan(connection: Connection, before: date) -> Plan:
    """What can go of the days before a date. Splits the default partition where it has rows of such days.

    Raises OperatorError where the ledger is empty of such days for a reason that a person can mend.
    """
    if any(day < before for day in partitions.default_days(connection)):
        patiently(lambda: partitions.split_default(connection))
    away = {one.day: one for one in archived_days(connection)}
    head = connection.execute("SELECT coalesce(max(seq), 0) FROM journal").fetchone()
    newest = connection.execute("SELECT trade_date FROM journal WHERE seq = %s", [head and head[0]]).fetchone()
    last = max(away.values(), key=lambda one: one.last_batch, default=None)
    batch, seq = (last.last_batch + 1, last.last_seq + 1) if last is not None else (1, 1)
    days: list[Day] = []
    stays: list[tuple[date, str]] = []
    for part in partitions.partitions(connection, "journal"):
        if part.day is None or part.day >= before or newest is None:
            continue
        known = away.get(part.day)
        if known is not None:
            if not known.is_away:
                days.append(
                    Day(known.day, known.first_batch, known.last_batch, known.first_seq, known.last_seq, known.rows)
                )
            continue
        if not _has_rows(connection, part.name):
            continue
        if part.day >= newest[0]:
            stays.append((part.day, "it is the day of the newest journal row"))
            continue
        end = _end_of(connection, part.day, batch)
        if end is None:
            stays.append((part.day, "rows of a later day come before its own: a clock was wrong"))
            continue
        days.append(Day(part.day, batch, end[0], seq, end[1], end[1] - seq + 1))
        batch, seq = end[0] + 1, end[1] + 1
    return Plan(tuple(days), tuple(stays))


def _has_rows(connection: Connection, name: str) -> bool:
    found = connection.execute(sql.SQL("SELECT EXISTS (SELECT FROM {})").format(sql.Identifier(name))).fetchone()
    return bool(found and found[0])


def _end_of(connection: Connection, day: date, first_batch: int) -> tuple[int, int] | None:
    """The last batch, and its last row, before the first that has a row of a later day; None before `first_batch`."""
    found = connection.execute(
        "SELECT batch, last_seq FROM batches WHERE batch = (SELECT batch - 1 FROM journal WHERE seq ="
        " (SELECT min(seq) FROM journal WHERE trade_date > %s))",
        [day],
    ).fetchone()
    return None if found is None or found[0] < first_batch else (found[0], found[1])


def archive_day(url: str, wanted: Day, directory: Path, told: Told) -> Done:
    """Write the file of a day, read it back, then drop its rows in the transaction that notes the file.

    ``url`` is of the tables' owner. Raises OperatorError; nothing is dropped then.
    """
    path = (directory / f"journal-{wanted.day}.zip").resolve()
    with connect(url, autocommit=True, application_name="oms archive") as connection:
        manifest = _write(connection, wanted, path, told)
        read = 0

        def tell(size: int) -> None:
            nonlocal read
            read += size
            told("reading back", read, 0)

        report = check_file(path, tell)
        if report.problem or report.manifest != manifest:
            raise OperatorError(
                f"{path} is not what was written ({report.problem or 'its manifest differs'}): nothing was dropped;"
                " look at the disk, and give another directory by --to"
            )
        told("taking the rows out", 0, 0)
        note = (str(path), report.size, report.sha256)
        kept = patiently(lambda: _take_out(connection, wanted, manifest, note))
    return Done(wanted.day, path, report.size, wanted.rows, kept)


def ledger_id(connection: Connection) -> str:
    """What tells one ledger from another: the hash of its first batch, in hexadecimal."""
    found = connection.execute("SELECT hash FROM batches WHERE batch = 1").fetchone()
    if found is None:
        raise OperatorError("the ledger is empty: no gateway has written to it yet")
    return bytes(found[0]).hex()


def _write(connection: Connection, wanted: Day, path: Path, told: Told) -> Manifest:
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        ends = {
            row[0]: (bytes(row[1]).hex(), bytes(row[2]).hex())
            for row in connection.execute(
                "SELECT batch, prev_hash, hash FROM batches WHERE batch IN (%s, %s)",
                [wanted.first_batch, wanted.last_batch],
            )
        }
        manifest = Manifest(
            format=1,
            ledger=ledger_id(connection),
            schema=SCHEMA_VERSION,
            day=wanted.day.isoformat(),
            first_batch=wanted.first_batch,
            last_batch=wanted.last_batch,
            first_seq=wanted.first_seq,
            last_seq=wanted.last_seq,
            prev_hash=ends[wanted.first_batch][0],
            first_hash=ends[wanted.first_batch][1],
            last_hash=ends[wanted.last_batch][1],
            made_at=datetime.now(UTC).isoformat(timespec="seconds"),
            tables={},
        )
        _not_over_another(path, manifest)
        done = 0

        def tell(size: int) -> None:
            nonlocal done
            done += size
            told("writing", done, 0)

        return write_file(path, connection, _queries(wanted), manifest, tell)


def _not_over_another(path: Path, manifest: Manifest) -> None:
    if not path.exists():
        return
    there = read_manifest(path)
    if (there.ledger, there.day, there.last_hash) != (manifest.ledger, manifest.day, manifest.last_hash):
        raise OperatorError(f"{path} is there already and holds another day; give another directory by --to")


def _queries(wanted: Day) -> dict[str, str]:
    """What goes into the file: the day's batches and rows, sends that go with it, and what the rows added up to."""
    rows = f"seq BETWEEN {wanted.first_seq} AND {wanted.last_seq}"
    end = f"TIMESTAMPTZ '{wanted.day + timedelta(days=1)} 00:00+00'"
    orders = f"new_seq BETWEEN {wanted.first_seq} AND {wanted.last_seq}"
    sent = f"sent_seq BETWEEN {wanted.first_seq} AND {wanted.last_seq}"
    return {
        "journal": f"SELECT * FROM journal WHERE {rows} ORDER BY seq",
        "batches": f"SELECT * FROM batches WHERE batch BETWEEN {wanted.first_batch} AND {wanted.last_batch}"
        " ORDER BY batch",
        "sends": f"SELECT * FROM sends WHERE seq <= {wanted.last_seq}"
        f" AND (seq >= {wanted.first_seq} OR sent_at < {end}) ORDER BY seq",
        "fills": f"SELECT * FROM fills WHERE {rows} ORDER BY seq",
        "client_orders": f"SELECT * FROM client_orders WHERE {orders} ORDER BY new_seq",
        "child_orders": f"SELECT * FROM child_orders WHERE {sent} ORDER BY sent_seq",
        "requests": f"SELECT * FROM requests WHERE {rows} ORDER BY seq",
        "exception_items": f"SELECT * FROM exception_items WHERE {rows} ORDER BY seq",
    }


def _take_out(connection: Connection, wanted: Day, manifest: Manifest, note: tuple[str, int, bytes]) -> int:
    """Put the rows that are kept in the place of the day's partition, and note the file; returns how many."""
    with connection.transaction():
        connection.execute(f"SET LOCAL lock_timeout = '{partitions.LOCK_WAIT}'".encode())
        going = _going(connection, wanted.day)
        for _, part in going:  # nothing more comes into them; the gateway writes to the present day's
            connection.execute(sql.SQL("LOCK TABLE {} IN SHARE MODE").format(sql.Identifier(part.name)))
        _require_whole(connection, wanted)
        values = {"day": wanted.day, "last_batch": wanted.last_batch, "first_seq": wanted.first_seq}
        connection.execute(_KEPT, values)
        connection.execute("CREATE UNIQUE INDEX ON archive_kept (seq)")
        connection.execute("ANALYZE archive_kept")
        stay = f"(trade_date <> '{wanted.day}' OR seq IN (SELECT seq FROM archive_kept))"
        kept = kept_digest(connection, wanted.first_seq, wanted.last_seq, stay)
        made = [_keep(connection, table, part, wanted) for table, part in going]
        connection.execute("LOCK TABLE journal, sends IN ACCESS EXCLUSIVE MODE")
        for table, part, beside in made:
            swap(connection, table, part, beside)
        _note(connection, wanted, manifest, note, kept)
    return kept[0]


def _note(
    connection: Connection, wanted: Day, manifest: Manifest, note: tuple[str, int, bytes], kept: tuple[int, bytes]
) -> None:
    file, size, sha256 = note
    connection.execute(
        "INSERT INTO archives (day, first_batch, last_batch, first_seq, last_seq, prev_hash, hash, rows, file,"
        " size, sha256, kept_rows, kept_hash, archived_at, archived_by)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, now(), %s)"
        " ON CONFLICT (day) DO UPDATE SET file = excluded.file, size = excluded.size, sha256 = excluded.sha256,"
        " kept_rows = excluded.kept_rows, kept_hash = excluded.kept_hash, archived_at = excluded.archived_at,"
        " archived_by = excluded.archived_by, restored_at = NULL, restored_by = NULL",
        [
            *wanted[:5], bytes.fromhex(manifest.prev_hash), bytes.fromhex(manifest.last_hash), wanted.rows,
            file, size, sha256, *kept, operator(),
        ],
    )  # fmt: skip


def _going(connection: Connection, day: date) -> list[tuple[str, partitions.Partition]]:
    """The journal's partition of a day, and those of the sends up to that day that have more than kept rows."""
    found = [("journal", one) for one in partitions.partitions(connection, "journal") if one.day == day]
    noted = connection.execute("SELECT coalesce(max(day), 'epoch') FROM archives WHERE day < %s", [day]).fetchone()
    since = noted[0] if noted else date.min
    sends = partitions.partitions(connection, "sends")
    return found + [("sends", one) for one in sends if one.day is not None and since < one.day <= day]


def _keep(
    connection: Connection, table: str, part: partitions.Partition, wanted: Day
) -> tuple[str, partitions.Partition, str]:
    """A table beside a partition, with the rows of it that stay."""
    kept = f"{part.name}_kept"
    partitions.create(connection, table, kept)
    also = f" OR seq > {wanted.last_seq}" if table == "sends" else ""
    statement = sql.SQL("INSERT INTO {} SELECT * FROM {} WHERE seq IN (SELECT seq FROM archive_kept)" + also)
    connection.execute(statement.format(sql.Identifier(kept), sql.Identifier(part.name)))
    return table, part, kept


def swap(connection: Connection, table: str, part: partitions.Partition, new: str) -> None:
    """Another table takes the place of a partition, which is dropped. The caller holds the lock."""
    assert part.day is not None
    whole, old, name = sql.Identifier(table), sql.Identifier(part.name), sql.Identifier(new)
    connection.execute(sql.SQL("ALTER TABLE {} DETACH PARTITION {}").format(whole, old))
    connection.execute(sql.SQL("DROP TABLE {}").format(old))
    connection.execute(sql.SQL("ALTER TABLE {} RENAME TO {}").format(name, old))
    partitions.attach(connection, table, part.name, part.day)


def _require_whole(connection: Connection, wanted: Day) -> None:
    """All rows that are in the file are still here, and none came since."""
    found = connection.execute(
        "SELECT count(*) FROM journal WHERE seq BETWEEN %s AND %s", [wanted.first_seq, wanted.last_seq]
    ).fetchone()
    if found is None or found[0] != wanted.rows:
        raise OperatorError(
            f"the journal has {found and found[0]} of the {wanted.rows} rows of {wanted.day}: nothing was dropped;"
            " run oms verify"
        )


def patiently(step: Callable[[], Any]) -> Any:
    """Do it when nobody reads the journal for long; the gateway goes on between the tries."""
    for _ in range(TRIES):
        try:
            return step()
        except psycopg.errors.LockNotAvailable:
            time.sleep(_PAUSE)
    raise OperatorError(
        "somebody reads the journal for long (an oms verify, a report): nothing was dropped; wait until it is done,"
        " then run the command again"
    )


def operator() -> str:
    """Who works: the name of the system's user."""
    return getpass.getuser()
