"""The journal's rows of some operators' commands, in order: what was said, by whom and when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Engine, select

from oms.ledger.schema import journal


def command_rows(engine: Engine, verbs: Sequence[str]) -> list[dict[str, Any]]:
    """`received_at` and `detail` of the commands of these verbs."""
    asked = (
        select(journal.c.received_at, journal.c.detail)
        .where(journal.c.kind == "operator", journal.c.msg_type.in_(verbs))
        .order_by(journal.c.seq)
    )
    with engine.connect() as connection:
        return [dict(row._mapping) for row in connection.execute(asked)]
