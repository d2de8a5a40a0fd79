"""What operators did, from their rows in the journal, which stay when days go into an archive. Reads only."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text

from oms.ledger.database import Engine

# The index of operators' rows has them all; there are few next to messages.
_LAST_ACTS = text(
    "SELECT detail -> 'matter' ->> 0 AS operator, msg_type AS verb, count(*) AS number, max(received_at) AS last"
    " FROM journal WHERE kind = 'operator' GROUP BY 1, 2 ORDER BY 1, 2"
)


class Act(NamedTuple):
    """How often somebody gave a command, and when last."""

    operator: str
    verb: str
    times: int
    last: datetime


def last_acts(engine: Engine) -> list[Act]:
    """Every operator's commands, each kind once. Raises OperatorError without a ledger."""
    with engine.connect() as connection:
        return [Act(row.operator or "", row.verb, row.number, row.last) for row in connection.execute(_LAST_ACTS)]
