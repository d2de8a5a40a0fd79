"""Archived days come back for questions: whole, proven first, and marked as restored.

The day's rows take the place of those that were kept of it; the hash chain, which has never left, says whether they
are the ledger's own. A restored day is verified and explained like any other, and goes again with the next
`oms archive`. Nothing but journal and sends is changed: fills, orders and requests never left.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from oms.errors import OperatorError
from oms.ledger import partitions
from oms.ledger.archive import ledger_id, operator, patiently, swap
from oms.ledger.archive_file import FileReport, Manifest, check_file, opened, table_rows
from oms.ledger.database import connect
from oms.ledger.moment import Archived, archived_days

Connection = psycopg.Connection[Any]
_PIECE = 1 << 20


def against_ledger(connection: Connection, report: FileReport) -> str:
    """What a file that holds by itself says otherwise than the ledger, '' for nothing.

    Raises OperatorError where it is another ledger's.
    """
    manifest = report.manifest
    if manifest.ledger != ledger_id(connection):
        raise OperatorError(
            f"the file is of another ledger ({manifest.ledger[:12]}..., this one is {ledger_id(connection)[:12]}...);"
            " name the configuration of that one by --config"
        )
    found = connection.execute(
        "SELECT hash, last_seq FROM batches WHERE batch = %s", [manifest.last_batch]
    ).fetchone()
    if found is None or (bytes(found[0]).hex(), found[1]) != (manifest.last_hash, manifest.last_seq):
        return f"it ends with another hash than batch {manifest.last_batch} of the ledger"
    return ""


def restore(url: str, path: Path, told: Callable[[int], None]) -> Archived:
    """Bring the day of a file back. ``url`` is the owner's. Raises OperatorError; nothing is changed then."""
    report = check_file(path, told)
    if report.problem:
        raise OperatorError(
            f"{path} does not hold: {report.problem}; take it from another copy. Nothing was restored"
        )
    with connect(url, autocommit=True, application_name="oms archive restore") as connection:
        if problem := against_ledger(connection, report):
            raise OperatorError(f"{path} does not belong here: {problem}. Nothing was restored")
        day = report.manifest.date
        noted = next((one for one in archived_days(connection) if one.day == day), None)
        if noted is None:
            raise OperatorError(f"the ledger has the rows of {day}: it was never archived, or not to the end")
        if not noted.is_away:
            raise OperatorError(
                f"{day} was restored already, {noted.restored_at:%Y-%m-%d %H:%M} by {noted.restored_by}"
            )
        patiently(lambda: _bring_back(connection, report.manifest, path))
        return next(one for one in archived_days(connection) if one.day == day)


def _bring_back(connection: Connection, manifest: Manifest, path: Path) -> None:
    day = manifest.date
    with connection.transaction(), opened(path) as (_, archive):
        for table in ("journal", "sends"):
            columns = manifest.tables[table]["columns"]
            _load(connection, archive, table, columns)
        part = next((one for one in partitions.partitions(connection, "journal") if one.day == day), None)
        back = f"{partitions.name_of('journal', day)}_back"
        partitions.create(connection, "journal", back)
        names = _names(manifest.tables["journal"]["columns"])
        into = sql.Identifier(back)
        connection.execute(
            sql.SQL("INSERT INTO {} ({}) SELECT {} FROM back_journal WHERE trade_date = %s").format(
                into, names, names
            ),
            [day],
        )
        connection.execute(f"SET LOCAL lock_timeout = '{partitions.LOCK_WAIT}'".encode())
        connection.execute("LOCK TABLE journal, sends IN ACCESS EXCLUSIVE MODE")
        if part is not None:
            connection.execute(
                sql.SQL("INSERT INTO {} SELECT * FROM {} WHERE seq NOT BETWEEN %s AND %s").format(
                    into, sql.Identifier(part.name)
                ),
                [manifest.first_seq, manifest.last_seq],
            )
            swap(connection, "journal", part, back)
        else:
            connection.execute(
                sql.SQL("ALTER TABLE {} RENAME TO {}").format(
                    into, sql.Identifier(partitions.name_of("journal", day))
                )
            )
            partitions.attach(connection, "journal", partitions.name_of("journal", day), day)
        sends = _names(manifest.tables["sends"]["columns"])
        connection.execute(
            sql.SQL("INSERT INTO sends ({}) SELECT {} FROM back_sends ON CONFLICT DO NOTHING").format(sends, sends)
        )
        connection.execute(
            "UPDATE archives SET restored_at = now(), restored_by = %s WHERE day = %s", [operator(), day]
        )


def _names(columns: list[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))


def _load(connection: Connection, archive: zipfile.ZipFile, table: str, columns: list[str]) -> None:
    """The rows of a table in a file, as a temporary table of the transaction."""
    back = sql.Identifier(f"back_{table}")
    connection.execute(
        sql.SQL("CREATE TEMP TABLE {} ON COMMIT DROP AS SELECT {} FROM {} WHERE false").format(
            back, _names(columns), sql.Identifier(table)
        )
    )
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv, HEADER)").format(back, _names(columns))
    with archive.open(f"{table}.csv") as member, connection.cursor() as cursor, cursor.copy(statement) as copy:
        while piece := member.read(_PIECE):
            copy.write(piece)


def compare_fills(connection: Connection, path: Path, limit: int = 20) -> list[str]:
    """The fills that the file has and the ledger has not, or has otherwise: client_exec_id and what differs."""
    found: list[str] = []
    with opened(path) as (manifest, archive):
        columns = manifest.tables["fills"]["columns"]
        names = [one for one in columns if one in _columns(connection, "fills")]
        for row in table_rows(archive, "fills"):
            chosen = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(one)) for one in names)
            stored = connection.execute(
                sql.SQL("SELECT {} FROM fills WHERE client_exec_id = %s").format(chosen), [row["client_exec_id"]]
            ).fetchone()
            if stored is None:
                found.append(f"fill {row['client_exec_id']} is not in the ledger")
                continue
            for name, value in zip(names, stored, strict=True):
                if (value or "") != row[name]:
                    found.append(f"fill {row['client_exec_id']} {name}: file {row[name]}, ledger {value}")
            if len(found) >= limit:
                break
    return found


def _columns(connection: Connection, table: str) -> set[str]:
    asked = "SELECT column_name FROM information_schema.columns WHERE table_name = %s"
    return {row[0] for row in connection.execute(asked, [table])}
