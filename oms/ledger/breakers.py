"""Circuit breakers that are not closed, as the ledger has them: by the exception item that each has open.

The journal row that is an item's evidence says which breaker it is; it stays in the ledger as long as the item is
open, whatever goes into an archive. So no history is read, however long a breaker has been open.
"""

from __future__ import annotations

from sqlalchemy import Engine

from oms.core.breaker_rules import PREFIX, Open, Step
from oms.ledger.load import Reader

_OPEN = (
    "SELECT i.item_id, j.received_at, j.detail -> 'breakers' AS steps"
    " FROM exception_items i JOIN journal j USING (seq)"
    " WHERE i.state = 'open' AND i.kind = %s ORDER BY i.seq, i.item_id"
)


def open_breakers(reader: Reader) -> list[Open]:
    """What was open, or half-open, when the ledger was written last."""
    found = []
    for row in reader.rows(_OPEN, PREFIX):
        steps = [Step.of_fact(fact) for fact in row["steps"] or () if fact["item_id"] == row["item_id"]]
        found += [Open(step, row["received_at"]) for step in steps[:1]]
    return found


def open_breakers_of(engine: Engine) -> list[Open]:
    """The same, for a question that somebody asks beside the gateway."""
    reader = Reader(engine.url.set(drivername="postgresql").render_as_string(hide_password=False))
    try:
        return open_breakers(reader)
    finally:
        reader.close()
