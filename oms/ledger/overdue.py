"""Exception items by how long they may stay open: due when, overdue or not, the worst first.

What is due follows from the configuration alone (`[exceptions]`), so a change of it counts for items that are open.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Engine, case, func, select

from oms.config.people import Exceptions
from oms.ledger import schema
from oms.ledger.records import ExceptionItem

items = schema.exception_items


@dataclass(frozen=True, slots=True)
class AgedItem:
    """An exception item, how long it was or has been open, and whether that is or was too long."""

    item: ExceptionItem
    age: timedelta
    minutes: int  # that it may stay open
    overdue: bool

    @property
    def due_at(self) -> datetime:
        """By when it is to be resolved."""
        return self.item.opened_at + timedelta(minutes=self.minutes)

    def as_json(self) -> dict[str, Any]:
        """The item with what is said of its age; `evidence` are rows of the journal."""
        aged = {
            "age_seconds": round(self.age.total_seconds()),
            "sla_minutes": self.minutes,
            "due_at": self.due_at,
            "overdue": self.overdue,
            "evidence": [self.item.seq],
        }
        return asdict(self.item) | aged


def aged(item: ExceptionItem, sla: Exceptions, now: datetime) -> AgedItem:
    """One item as of a moment; a resolved one as of its end."""
    age = (item.resolved_at or now) - item.opened_at
    minutes = sla.minutes_for(item.kind, item.severity)
    return AgedItem(item, age, minutes, age > timedelta(minutes=minutes))


def list_items(
    engine: Engine,
    sla: Exceptions,
    now: datetime,
    *,
    resolved: bool = False,
    overdue: bool = False,
    order_id: str | None = None,
    owner: str | None = None,
    limit: int,
) -> list[AgedItem]:
    """Open items, the one due first first; with `resolved` those after them, newest first. `limit` at most."""
    minutes = _minutes(sla)
    due_at = items.c.opened_at + func.make_interval(0, 0, 0, 0, 0, minutes)
    is_open = items.c.state == "open"
    where: list[ColumnElement[bool]] = [] if resolved else [is_open]
    if overdue:
        where.append(func.coalesce(items.c.resolved_at, now) > due_at)
    if order_id is not None:
        where.append(items.c.order_id == order_id)
    if owner is not None:
        where.append(items.c.owner == owner)
    query = (
        select(items)
        .where(*where)
        .order_by(is_open.desc(), case((is_open, due_at)), items.c.opened_at.desc(), items.c.item_id)
        .limit(limit)
    )
    with engine.connect() as connection:
        return [aged(ExceptionItem(**row._mapping), sla, now) for row in connection.execute(query)]


def _minutes(sla: Exceptions) -> ColumnElement[int]:
    """`Exceptions.minutes_for` in the database's words."""
    by_kind = [(items.c.kind == kind, minutes) for kind, minutes in sla.kinds.items()]
    return case(*by_kind, (items.c.severity == "warning", sla.warning_minutes), else_=sla.error_minutes)
