"""The days of the journal and of the sends, each a partition of its own, made before they are needed.

`journal` is partitioned by its trade date, `sends` by the UTC date of `sent_at`, so that a day leaves the ledger by
dropping a table (`oms.ledger.archive`) and not by deleting rows. A row of a day that has no partition goes into the
default one, so no insert ever fails for the lack of one; `split_default` moves such rows to where they belong.
Invariants: a partition is as append-only as its table (triggers, no rights of the gateway's role on it by itself);
nothing here waits longer than LOCK_WAIT for a lock, so that commits are not held up behind a long reader.
Functions take a connection of the tables' owner, within a transaction of the caller's.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from oms.ledger.schema import GATEWAY_ROLE, PARTITIONED

AHEAD_DAYS = 7
LOCK_WAIT = "500ms"  # below the server's deadlock_timeout: we give up before it looks for a victim
REFUSE_FUNCTION = "oms_refuse_change"

Connection = psycopg.Connection[Any]


class Partition(NamedTuple):
    """A table that holds one day of another; `day` is None for the default one."""

    name: str
    day: date | None


def name_of(table: str, day: date) -> str:
    """The name of the partition of a day."""
    return f"{table}_{day:%Y%m%d}"


def partitions(connection: Connection, table: str) -> list[Partition]:
    """The partitions of a table, the oldest day first, the default one last."""
    found = connection.execute(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass ORDER BY 1", [table]
    )
    made = []
    for (name,) in found:
        ending = name.rpartition("_")[2]
        made.append(Partition(name, datetime.strptime(ending, "%Y%m%d").date() if ending.isdigit() else None))  # noqa: DTZ007
    return sorted(made, key=lambda one: one.day or date.max)


def is_partition(name: str) -> bool:
    """Whether a table of this name is a partition, by its name."""
    table, _, ending = name.rpartition("_")
    return table in PARTITIONED and (ending == "default" or (ending.isdigit() and len(ending) == 8))


def attach(connection: Connection, table: str, name: str, day: date) -> None:
    """Make a table of the right form the partition of a day, as append-only as the whole."""
    bounds = sql.SQL("FOR VALUES FROM ({}) TO ({})").format(
        sql.Literal(day.isoformat()), sql.Literal((day + timedelta(days=1)).isoformat())
    )
    whole, part = sql.Identifier(table), sql.Identifier(name)
    connection.execute(sql.SQL("ALTER TABLE {} ATTACH PARTITION {} ").format(whole, part) + bounds)
    secure(connection, name)


def create(connection: Connection, table: str, name: str) -> None:
    """Make an empty table of the form that a partition has."""
    made = sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING DEFAULTS)")
    connection.execute(made.format(sql.Identifier(name), sql.Identifier(table)))


def make_days(connection: Connection, days: Iterable[date]) -> list[str]:
    """Make the partitions of these days that are not there; returns their names.

    A day of which the default partition has rows is left to `split_default`. Raises psycopg.errors.LockNotAvailable
    where somebody reads the default partition for longer than LOCK_WAIT.
    """
    made = []
    wanted = sorted(set(days))
    for table, column in PARTITIONED.items():
        there = {one.day for one in partitions(connection, table)}
        for day in wanted:
            if day in there or _in_default(connection, table, column, day):
                continue
            create(connection, table, name_of(table, day))
            attach(connection, table, name_of(table, day), day)
            made.append(name_of(table, day))
    return made


def _in_default(connection: Connection, table: str, column: str, day: date) -> bool:
    asked = sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE {} >= %s AND {} < %s)").format(
        sql.Identifier(f"{table}_default"), sql.Identifier(column), sql.Identifier(column)
    )
    found = connection.execute(asked, [day, day + timedelta(days=1)]).fetchone()
    return bool(found and found[0])


def coming_days(now: datetime) -> list[date]:
    """The days that a gateway may write to in the next days; the trade date may still be yesterday's."""
    return [now.astimezone(UTC).date() + timedelta(days=number) for number in range(-1, AHEAD_DAYS + 1)]


def make_coming(connection: Connection) -> bool:
    """Make the coming days' partitions, and see that all have their triggers; False where a lock was missing."""
    try:
        with connection.transaction():
            connection.execute(f"SET LOCAL lock_timeout = '{LOCK_WAIT}'".encode())
            for table in PARTITIONED:
                for one in partitions(connection, table):
                    secure(connection, one.name)
            make_days(connection, coming_days(datetime.now(UTC)))
            connection.execute("SET LOCAL lock_timeout = 0")
    except psycopg.errors.LockNotAvailable:
        return False
    return True


def secure(connection: Connection, name: str) -> None:
    """See that nobody can change the rows of a partition, and the gateway's role not reach it by itself."""
    trigger = f"{name}_append_only"
    found = connection.execute(
        "SELECT FROM pg_trigger WHERE tgrelid = %s::regclass AND tgname = %s AND tgenabled = 'A'", [name, trigger]
    ).fetchone()
    if found is None:
        part, refuse = sql.Identifier(name), sql.Identifier(REFUSE_FUNCTION)
        connection.execute(
            sql.SQL(
                "CREATE OR REPLACE TRIGGER {} BEFORE UPDATE OR DELETE OR TRUNCATE ON {}"
                " FOR EACH STATEMENT EXECUTE FUNCTION {}()"
            ).format(sql.Identifier(trigger), part, refuse)
        )
        connection.execute(sql.SQL("ALTER TABLE {} ENABLE ALWAYS TRIGGER {}").format(part, sql.Identifier(trigger)))
        connection.execute(sql.SQL("REVOKE ALL ON {} FROM {}, PUBLIC").format(part, sql.Identifier(GATEWAY_ROLE)))


def default_days(connection: Connection) -> list[date]:
    """The days of which the default partitions have rows."""
    days: set[date] = set()
    for table, column in PARTITIONED.items():
        of = f"{column}::date" if table == "journal" else f"({column} AT TIME ZONE 'UTC')::date"
        days.update(row[0] for row in connection.execute(f"SELECT DISTINCT {of} FROM {table}_default".encode()))
    return sorted(days)


def split_default(connection: Connection) -> list[date]:
    """Move what is in the default partitions into partitions by day; returns the days.

    Commits wait until it is done. Raises psycopg.errors.LockNotAvailable where somebody reads for longer.
    """
    with connection.transaction():
        connection.execute(f"SET LOCAL lock_timeout = '{LOCK_WAIT}'".encode())
        days = default_days(connection)
        if not days:
            return []
        for table in PARTITIONED:
            connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
        days = default_days(connection)
        for table in PARTITIONED:
            connection.execute(f"ALTER TABLE {table} DETACH PARTITION {table}_default".encode())
            connection.execute(f"ALTER TABLE {table}_default RENAME TO {table}_moved".encode())
            create(connection, table, f"{table}_default")
            connection.execute(f"ALTER TABLE {table} ATTACH PARTITION {table}_default DEFAULT".encode())
            secure(connection, f"{table}_default")
        make_days(connection, days)
        for table in PARTITIONED:
            connection.execute(f"INSERT INTO {table} SELECT * FROM {table}_moved".encode())
            connection.execute(f"DROP TABLE {table}_moved".encode())
        connection.execute("SET LOCAL lock_timeout = 0")
    return days
