"""Rows that a replay made, held against the ledger's, a few hundred at a time.

A row is compared when the replay is done with it: at once for facts (fills, witnesses), for an order with all that
belongs to it when it has finished. An order that differs then may have late news to come: it is compared again after
it, and counts as different only if it differs at the end. What the ledger has beyond what was made shows by counting,
and is named with the help of one bit per journal number. Memory stays bounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import psycopg
from psycopg import sql
from sqlalchemy import Table
from sqlalchemy.dialects import postgresql

from oms.ledger import rows, schema
from oms.ledger.evicted import number_of
from oms.ledger.moment import Span, stream

SHOWN = 50
ABSENT = "no such row"
_DIALECT = postgresql.dialect()


class Difference(NamedTuple):
    """One value that replay gives otherwise than the ledger has it."""

    table: str
    key: str
    column: str
    replayed: str
    stored: str


class Compared(NamedTuple):
    """A table that replay makes: its columns in the order of the rows, and the column that says when a row began."""

    table: Table
    columns: tuple[str, ...]
    born: str

    @property
    def keys(self) -> tuple[str, ...]:
        """The primary key's columns."""
        return tuple(column.name for column in self.table.primary_key)


ORDERS = Compared(schema.client_orders, rows.ORDER_COLUMNS, "new_seq")
CHILDREN = Compared(schema.child_orders, rows.CHILD_COLUMNS, "sent_seq")
REQUESTS = Compared(schema.requests, rows.REQUEST_COLUMNS, "seq")
FILLS = Compared(schema.fills, rows.FILL_COLUMNS, "seq")
WITNESSES = Compared(schema.witnesses, rows.WITNESS_COLUMNS, "seq")
ALL = (ORDERS, CHILDREN, REQUESTS, FILLS, WITNESSES)


class Numbers:
    """A set of journal numbers, one bit each."""

    def __init__(self) -> None:
        self._bits = bytearray()

    def add(self, number: int) -> None:
        """Take a number in."""
        place = number >> 3
        if place >= len(self._bits):
            self._bits.extend(bytes(place + 1 - len(self._bits) + (1 << 16)))
        self._bits[place] |= 1 << (number & 7)

    def __contains__(self, number: int) -> bool:
        return number >> 3 < len(self._bits) and bool(self._bits[number >> 3] >> (number & 7) & 1)


class Comparison:
    """One comparison with the ledger of one moment. `span` is what is replayed: rows born in it are counted."""

    def __init__(self, connection: psycopg.Connection[Any], span: Span) -> None:
        self._connection = connection
        self._span = span
        self._queries = {one.table.name: _query(one) for one in ALL}
        self._seen = {one.table.name: Numbers() for one in ALL}
        self._born = {one.table.name: 0 for one in ALL}
        self._missing = {one.table.name: 0 for one in ALL}
        self.compared = {one.table.name: 0 for one in ALL}
        self.differing = 0
        self.differences: list[Difference] = []

    def differ(self, one: Compared, made: Sequence[rows.Row]) -> dict[str, list[Difference]]:
        """What is different of these rows, by their key; nothing is counted."""
        if not made:
            return {}
        places = [one.columns.index(key) for key in one.keys]
        named = {tuple([str(row[place]) for place in places]): row for row in made}
        found: dict[str, list[Difference]] = {}
        stored = self._connection.execute(self._queries[one.table.name], [list(part) for part in zip(*named)])  # noqa: B905
        there = {tuple([str(row[place]) for place in places]): row for row in stored}
        for key, row in named.items():
            name = " ".join(key)
            if key not in there:
                found[name] = [Difference(one.table.name, name, "", "a row", ABSENT)]
                continue
            apart = [
                Difference(one.table.name, name, column, str(ours), str(theirs))
                for column, ours, theirs in zip(one.columns, row, map(rows.text, there[key]), strict=True)
                if ours != theirs
            ]
            if apart:
                found[name] = apart
        return found

    def count(self, one: Compared, made: Iterable[rows.Row], *, again: bool = False) -> None:
        """These rows were made by the replay. With `again` they may have been told before, and count once."""
        name, born = one.table.name, one.columns.index(one.born)
        first, last = self._span.first_seq, self._span.last_seq
        seen = self._seen[name]
        for row in made:
            mark = self._mark(one, row)
            if again and mark in seen:
                continue
            seen.add(mark)
            self.compared[name] += 1
            if first <= int(row[born] or 0) <= last:
                self._born[name] += 1

    @staticmethod
    def _mark(one: Compared, row: Sequence[Any]) -> int:
        """A number that stands for a row: that of its id, else of the journal row that it began with."""
        key = row[one.columns.index(one.keys[0])]
        made = number_of(str(key)) if len(one.keys) == 1 and one is not REQUESTS else None
        return int(row[one.columns.index(one.born)]) if made is None else made

    def note(self, found: Iterable[Difference]) -> None:
        """These differences stand."""
        for difference in found:
            self.differing += 1
            self._missing[difference.table] += difference.stored == ABSENT
            if len(self.differences) < SHOWN:
                self.differences.append(difference)

    def beyond(self, passed_over: list[str]) -> None:
        """Rows that the ledger has of this span and the replay did not make; of some orders none is expected."""
        for one in ALL:
            table = one.table.name
            values: list[object] = [self._span.first_seq, self._span.last_seq]
            where = f"{one.born} BETWEEN %s AND %s"
            if passed_over and "order_id" in one.columns:
                where += " AND (order_id IS NULL OR order_id <> ALL(%s))"
                values.append(passed_over)
            found = self._connection.execute(
                f"SELECT count(*) FROM {table} WHERE {where}".encode(), values
            ).fetchone()
            stored = found[0] if found else 0
            expected = self._born[table] - self._missing[table]
            if stored != expected:
                self.note(self._strange(one, where, values) or [_amounts(table, expected, stored)])

    def _strange(self, one: Compared, where: str, values: list[object]) -> list[Difference]:
        table, columns = one.table.name, ", ".join(one.columns)
        strange = []
        for row in stream(self._connection, f"SELECT {columns} FROM {table} WHERE {where}", *values):
            if self._mark(one, row) not in self._seen[table]:
                key = " ".join([str(row[one.columns.index(name)]) for name in one.keys])
                strange.append(Difference(table, key, "", ABSENT, "a row"))
        return strange


def _amounts(table: str, made: int, stored: int) -> Difference:
    return Difference(table, "", "", f"{made} rows", f"{stored} rows")


def _query(one: Compared) -> sql.Composed:
    """The rows of a table by their keys, each key column given as a list of texts."""
    kinds = [one.table.c[key].type.compile(_DIALECT) for key in one.keys]
    given = ", ".join(["unnest(%s::text[])"] * len(kinds))
    names = ", ".join(f"k{number}" for number in range(len(kinds)))
    same = " AND ".join(
        f"stored.{key} = k{number}::{kind}" for number, (key, kind) in enumerate(zip(one.keys, kinds, strict=True))
    )
    columns = ", ".join(f"stored.{column}" for column in one.columns)
    rows_from = f"ROWS FROM ({given}) AS wanted({names})" if len(kinds) > 1 else f"{given} AS wanted({names})"
    return sql.SQL(f"SELECT {columns} FROM {rows_from} JOIN {one.table.name} AS stored ON {same}")  # type: ignore[return-value]
