"""The projections made anew from the journal, beside those in use, compared, and taken into use when asked.

`client_orders`, `child_orders` and `requests` are replayed into the schema `rebuilt`; a running gateway is not
disturbed. Rows of orders whose days are in archives are taken over as they stand. `adopt` puts the new rows in the
place of the old in one transaction, while no gateway runs, and notes the version of the rules that made them.
Invariant: a gateway starts only on projections of its own version (`require_version`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from oms.errors import OperatorError
from oms.ledger import rows
from oms.ledger.compare import CHILDREN, ORDERS, REQUESTS, Compared, Comparison, Difference
from oms.ledger.database import GATEWAY_LOCK, engine
from oms.ledger.moment import Snapshot, Span, snapshot, spans_here, whole_span
from oms.ledger.replay_tables import Player, Progress, by_keys
from oms.ledger.schema import PROJECTION_VERSION

BESIDE = "rebuilt"
NAME = "orders"
MADE = (ORDERS, CHILDREN, REQUESTS)

Query = Callable[[str], Sequence[Any]]


class Rebuilt(NamedTuple):
    """What was made: rows by table, how much of it is otherwise than in use, and the first of that."""

    rows: dict[str, int]
    last_seq: int
    differing: int
    differences: list[Difference]
    adopted: bool


def version_of(connection: psycopg.Connection[Any]) -> int:
    """The version of the rules that made the projections in use."""
    found = connection.execute("SELECT version FROM projection_versions WHERE name = %s", [NAME]).fetchone()
    return int(found[0]) if found else 0


def require_version(ask: Query) -> None:
    """Raises OperatorError where another version of the rules made the projections. `ask` gives rows as dicts."""
    found = ask("SELECT version FROM projection_versions WHERE name = 'orders'")
    version = found[0]["version"] if found else 0
    if version != PROJECTION_VERSION:
        raise OperatorError(
            f"the ledger's orders were made by version {version} of the rules, this program has {PROJECTION_VERSION};"
            " make them anew from the journal: oms db rebuild --adopt"
        )


def rebuild(url: str, progress: Progress, *, adopt: bool) -> Rebuilt:
    """Make the projections anew beside those in use; with `adopt` take them into use. ``url`` is of the owner.

    Raises OperatorError where a gateway runs and they are to be taken into use.
    """
    made = engine(url)
    try:
        with snapshot(made) as connection:
            if adopt:
                _no_gateway(connection)
            by_keys(connection)
            _make_beside(connection)
            parts = spans_here(connection, whole_span(connection))
            span = parts[-1] if parts else Span(1, 0, 1, 0)
            sink = _Sink(connection, span)
            player = Player(connection, span, sink)
            player.run(progress)
            _take_over(connection, span, sorted(player.passed_over))
            counted = {one.table.name: _count(connection, one) for one in MADE}
            if adopt:
                _adopt(connection, span.last_seq)
            connection.commit()
    finally:
        made.dispose()
    return Rebuilt(counted, span.last_seq, sink.differing, sink.differences, adopt)


class _Sink(Comparison):
    """Writes what the replay made of orders beside, and compares it as well."""

    def differ(self, one: Compared, made: Sequence[rows.Row]) -> dict[str, list[Difference]]:
        if one in MADE and made:
            _put(self._connection, one, made)
        return super().differ(one, made)


def _no_gateway(connection: Snapshot) -> None:
    found = connection.execute("SELECT pg_try_advisory_xact_lock(%s)", [GATEWAY_LOCK]).fetchone()
    if not found or not found[0]:
        raise OperatorError(
            "a gateway runs on this ledger; stop it to take the new tables into use, or leave --adopt out to compare"
        )


def _make_beside(connection: Snapshot) -> None:
    schema = sql.Identifier(BESIDE)
    connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(schema))
    connection.execute(sql.SQL("CREATE SCHEMA {}").format(schema))
    for one in MADE:
        name = sql.Identifier(one.table.name)
        connection.execute(sql.SQL("CREATE TABLE {}.{} (LIKE {} INCLUDING ALL)").format(schema, name, name))


def _put(connection: Snapshot, one: Compared, made: Sequence[rows.Row]) -> None:
    columns = sql.SQL(", ").join(map(sql.Identifier, one.columns))
    key = sql.SQL(", ").join(map(sql.Identifier, one.keys))
    values = sql.SQL(", ").join([sql.Placeholder()] * len(one.columns))
    sets = sql.SQL(", ").join(
        sql.SQL("{} = excluded.{}").format(sql.Identifier(name), sql.Identifier(name)) for name in one.columns
    )
    statement = sql.SQL("INSERT INTO {}.{} ({}) VALUES ({}) ON CONFLICT ({}) DO UPDATE SET {}")
    with connection.cursor() as cursor:
        into = statement.format(sql.Identifier(BESIDE), sql.Identifier(one.table.name), columns, values, key, sets)
        cursor.executemany(into, made)


def _take_over(connection: Snapshot, span: Span, passed_over: list[str]) -> None:
    """Orders that cannot be replayed: they began before the span, or late news of them could not be followed."""
    for one in MADE:
        name, born = sql.Identifier(one.table.name), sql.Identifier(one.born)
        connection.execute(
            sql.SQL(
                "INSERT INTO {}.{} SELECT * FROM {} WHERE {} < %s OR order_id = ANY(%s) ON CONFLICT DO NOTHING"
            ).format(sql.Identifier(BESIDE), name, name, born),
            [span.first_seq, passed_over],
        )


def _count(connection: Snapshot, one: Compared) -> int:
    counted = sql.SQL("SELECT count(*) FROM {}.{}").format(sql.Identifier(BESIDE), sql.Identifier(one.table.name))
    found = connection.execute(counted).fetchone()
    return int(found[0]) if found else 0


def _adopt(connection: Snapshot, last_seq: int) -> None:
    for one in MADE:
        name = sql.Identifier(one.table.name)
        connection.execute(sql.SQL("TRUNCATE {}").format(name))
        connection.execute(sql.SQL("INSERT INTO {} SELECT * FROM {}.{}").format(name, sql.Identifier(BESIDE), name))
    connection.execute("DELETE FROM traded_until")  # sums of the tables that go: they are made anew
    connection.execute(
        "INSERT INTO projection_versions (name, version, made_at, last_seq) VALUES (%s, %s, now(), %s)"
        " ON CONFLICT (name) DO UPDATE SET version = excluded.version, made_at = excluded.made_at,"
        " last_seq = excluded.last_seq",
        [NAME, PROJECTION_VERSION, last_seq],
    )
    connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(BESIDE)))
