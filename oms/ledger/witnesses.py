"""What others than the order session tell of executions: for the core at start and in doubt, and for people.

`fills` is the order session's word, `witnesses` that of the drop copy and of end-of-day files; the same broker, trade
date and ExecID(17) mean the same execution. Reads only. The core's questions are bounded: of what waits for the other
witness only the newest comes back at a start, looked for among the newest LOOK_BACK rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from typing import Any

from sqlalchemy import Connection, and_, or_, select

from oms.core.book import number_id
from oms.core.copies import CLOSED, OPEN, Copies, Key, Recalled, Word
from oms.core.drop_copy import WITNESS as DROP_COPY
from oms.core.drop_copy import copy_word, differences, fill_item_id
from oms.core.effects import Witness
from oms.ledger import schema
from oms.ledger.records import Confirmation, Fill

LOOK_BACK = 50_000
ORDER_SESSION = "order session"
_STARTS = 200

Query = Callable[..., list[dict[str, Any]]]  # statement and values to rows

_SAME = "{0}.broker = {1}.broker AND {0}.trade_date = {1}.trade_date AND {0}.exec_id = {1}.exec_id"
# Entered by hand under an id of ours (`oms.core.manual`), which no drop copy can tell.
_UNNAMED = "f.origin = 'manual' AND f.exec_id = 'M' || substr(f.client_exec_id, 2)"


# -- for the core ------------------------------------------------------------------------------------------


def copy_told(rows: Query, broker: str, day: date, exec_id: str) -> bool:
    """Whether the drop copy has told an execution, as far as it is committed."""
    return bool(_copies(rows, broker, day, exec_id))


def recall(rows: Query, broker: str, day: date, exec_id: str) -> Recalled:
    """An execution as both witnesses told it, with what became of the exception items about it."""
    fills = rows("SELECT * FROM fills WHERE broker = %s AND trade_date = %s AND exec_id = %s", broker, day, exec_id)
    words = [_fill_word(row) for row in fills], [_copy_word(row) for row in _copies(rows, broker, day, exec_id)]
    fill, copy = (next(iter(_with_items(rows, some)), None) for some in words)
    return Recalled(fill, copy)


def _copies(rows: Query, broker: str, day: date, exec_id: str) -> list[dict[str, Any]]:
    return rows(
        "SELECT * FROM witnesses WHERE broker = %s AND trade_date = %s AND exec_id = %s AND witness = %s",
        broker,
        day,
        exec_id,
        DROP_COPY,
    )


def restore(rows: Query, copies: Copies) -> None:
    """Bring back what waits for the other witness, oldest first: since the drop copy is configured, and bounded."""
    since = _configured_since(rows, copies)
    if since is not None:
        found = rows(
            "SELECT * FROM (SELECT * FROM fills WHERE client_exec_id > %s ORDER BY client_exec_id DESC LIMIT %s) AS f"
            f" WHERE f.broker = %s AND NOT ({_UNNAMED})"
            f" AND NOT EXISTS (SELECT FROM witnesses AS w WHERE {_SAME.format('w', 'f')}"
            " AND w.witness = %s) ORDER BY f.seq",
            number_id("E", since),
            LOOK_BACK,
            copies.broker,
            DROP_COPY,
        )
        for row, word in zip(found, _with_items(rows, [_fill_word(row) for row in found]), strict=True):
            copies.fills.add(_key(row), word)
    found = rows(
        "SELECT * FROM (SELECT * FROM witnesses WHERE broker = %s ORDER BY seq DESC LIMIT %s) AS w"
        f" WHERE w.witness = %s AND NOT EXISTS (SELECT FROM fills AS f WHERE {_SAME.format('f', 'w')})"
        " ORDER BY w.seq",
        copies.broker,
        LOOK_BACK,
        DROP_COPY,
    )
    for row, word in zip(found, _with_items(rows, [_copy_word(row) for row in found]), strict=True):
        copies.words.add(_key(row), word)
    newest = rows(
        "SELECT count(*) AS number FROM (SELECT FROM witnesses WHERE broker = %s LIMIT %s) AS w",
        copies.broker,
        LOOK_BACK,
    )
    copies.words.forgot |= newest[0]["number"] >= LOOK_BACK  # what is older may wait too


def _configured_since(rows: Query, copies: Copies) -> int | None:
    """The journal row of the first start since which every start had this drop copy, None if the last had not."""
    since = None
    for row in rows(
        "SELECT seq, detail -> 'sessions' -> %s ->> 'drop_copy_of' AS broker FROM journal WHERE kind = 'config'"
        " AND msg_type = 'Start' ORDER BY seq DESC LIMIT %s",
        copies.session,
        _STARTS,
    ):
        if row["broker"] != copies.broker:
            break
        since = int(row["seq"])
    return since


def _key(row: dict[str, Any]) -> Key:
    return row["trade_date"], row["exec_id"]


def _fill_word(row: dict[str, Any]) -> Word:
    return Word(
        row["kind"],
        row["last_qty"],
        row["last_px"],
        row["seq"],
        fill_item_id(row["client_exec_id"]),
        row["received_at"],
        order_id=row["order_id"] or "",
        symbol=row["symbol"],
        side=row["side"],
    )


def _copy_word(row: dict[str, Any]) -> Word:
    return copy_word(Witness(**{name: row[name] for name in Witness._fields}))


def _with_items(rows: Query, words: Sequence[Word]) -> list[Word]:
    """The words with the state of the exception items about them."""
    found = rows(
        "SELECT item_id, state FROM exception_items WHERE item_id = ANY(%s)", [word.item_id for word in words]
    )
    states = {row["item_id"]: OPEN if row["state"] == "open" else CLOSED for row in found}
    return [word._replace(item=states.get(word.item_id, "")) for word in words]


# -- for people --------------------------------------------------------------------------------------------


def confirmations(connection: Connection, fills: Iterable[Fill]) -> dict[str, list[Confirmation]]:
    """Who tells each fill, by its ExecID(17) to the client: the order session first, then the others by name."""
    given = list(fills)
    said: dict[tuple[str, date, str], list[Any]] = {}
    table = schema.witnesses
    for start in range(0, len(given), 1000):
        some = [
            and_(table.c.broker == one.broker, table.c.trade_date == one.trade_date, table.c.exec_id == one.exec_id)
            for one in given[start : start + 1000]
        ]
        for row in connection.execute(select(table).where(or_(*some)).order_by(table.c.witness)):
            said.setdefault((row.broker, row.trade_date, row.exec_id), []).append(row)
    made = {}
    for fill in given:
        others = said.get((fill.broker, fill.trade_date, fill.exec_id), [])
        made[fill.client_exec_id] = [_own(fill), *(_confirmation(fill, row) for row in others)]
    return made


def _own(fill: Fill) -> Confirmation:
    name = ORDER_SESSION if fill.origin == "broker" else fill.origin
    return Confirmation(name, True, fill.last_qty, fill.last_px, fill.seq, fill.received_at)


def _confirmation(fill: Fill, row: Any) -> Confirmation:
    ours = Word(fill.kind, fill.last_qty, fill.last_px, fill.seq, "")
    theirs = Word(row.kind, row.quantity, row.price, row.seq, "")
    return Confirmation(row.witness, not differences(ours, theirs), row.quantity, row.price, row.seq, row.at)
