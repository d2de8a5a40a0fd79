"""The orders of a whole ledger at one moment, as records: for the comparison with what counterparties recorded.

Everything is read in one transaction, so that the parts fit each other, and held in memory: meant for the ledgers
of demos and tests, not for those of years.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Table, select

from oms.ledger import schema
from oms.ledger.records import ChildOrder, ClientOrder, ExceptionItem, Fill, Request

R = TypeVar("R", ClientOrder, ChildOrder, Request, Fill, ExceptionItem)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All rows, each kind in the order of the journal; `never_left` has the child_ids that the outbox held back."""

    orders: tuple[ClientOrder, ...] = ()
    children: tuple[ChildOrder, ...] = ()
    requests: tuple[Request, ...] = ()
    fills: tuple[Fill, ...] = ()
    items: tuple[ExceptionItem, ...] = ()
    never_left: frozenset[str] = frozenset()


def read_snapshot(engine: Engine) -> Snapshot:
    """Read it. Raises the database's own errors."""
    children, sends = schema.child_orders, schema.sends
    held_back = select(children.c.child_id).join(sends, sends.c.seq == children.c.sent_seq)
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        return Snapshot(
            orders=_all(connection, ClientOrder, schema.client_orders, "new_seq"),
            children=_all(connection, ChildOrder, children, "sent_seq"),
            requests=_all(connection, Request, schema.requests, "seq"),
            fills=_all(connection, Fill, schema.fills, "seq"),
            items=_all(connection, ExceptionItem, schema.exception_items, "seq"),
            never_left=frozenset(connection.scalars(held_back.where(sends.c.outcome == "refused"))),
        )


def _all(connection: Connection, kind: type[R], table: Table, by: str) -> tuple[R, ...]:
    rows: Any = connection.execute(select(table).order_by(table.c[by]))
    return tuple([kind(**row._mapping) for row in rows])
