"""What has traded, by day, client, account, trader, symbol, side, type and broker: summed up, and what came since.

The fills are facts and never change, so their sums up to a journal row stay right for ever: `sum_up` adds what came
since it last did, off the gateway's path (`oms.ledger.keeper`), and a start adds what came after that (`since`). Rows
are found by their ids, which are made of journal numbers: what came after one is a range of a primary key.
An execution counts on the trade date on which its report was taken, a correction or bust on its own; those are netted
by the core's rules. Orders count once, at the broker that got them first; requests are those of the client itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from psycopg.rows import dict_row

from oms.core.book import number_id
from oms.core.executions import APPLIED, Entry, enter, kept_for
from oms.core.order import Child
from oms.ledger.database import connect

EVER = date.min  # in place of the day: all days that are over
LEAST = 2_000  # journal rows that are worth being summed up
KEY = ("day", "client", "account", "trader", "symbol", "side", "ord_type", "broker")
COUNTS = ("filled", "money", "fills", "orders", "replaces", "cancels")
_OF = "o.client, o.account, o.trader, o.symbol, o.side, o.ord_type"
_FIRST_CHILD = """
JOIN child_orders c ON c.order_id = o.order_id AND NOT EXISTS (
    SELECT 1 FROM child_orders e WHERE e.order_id = c.order_id AND e.sent_seq < c.sent_seq)
"""
_AMENDED = "SELECT DISTINCT child_id FROM fills WHERE kind <> 'trade' AND child_id IS NOT NULL"
_FILLS = f"""
SELECT ((f.received_at AT TIME ZONE 'UTC') - %(rollover)s)::date AS day, {_OF}, f.broker, count(*) AS fills,
       coalesce(sum(last_qty) FILTER (WHERE a.child_id IS NULL), 0) AS filled,
       coalesce(sum(last_qty * last_px) FILTER (WHERE a.child_id IS NULL), 0) AS money,
       max((client_exec_id || ' ' || last_px) COLLATE "C") AS last_trade
FROM fills f JOIN client_orders o USING (order_id) LEFT JOIN ({_AMENDED}) a USING (child_id)
WHERE client_exec_id > %(first_exec)s AND client_exec_id <= %(last_exec)s AND kind = 'trade'
GROUP BY 1, {_OF}, f.broker
"""
_OF_AMENDED = f"""
SELECT f.*, ((f.received_at AT TIME ZONE 'UTC') - %(rollover)s)::date AS day, {_OF}
FROM fills f JOIN client_orders o USING (order_id)
WHERE f.child_id IN ({_AMENDED}) AND f.child_id IN (
    SELECT child_id FROM fills WHERE client_exec_id > %(first_exec)s AND client_exec_id <= %(last_exec)s)
  AND f.client_exec_id <= %(last_exec)s
ORDER BY f.seq, f.client_exec_id
"""
_ORDERS = f"""
SELECT o.trade_date AS day, {_OF}, c.broker, count(*) AS orders
FROM client_orders o {_FIRST_CHILD}
WHERE o.order_id > %(first_order)s AND o.order_id <= %(last_order)s
GROUP BY o.trade_date, {_OF}, c.broker
"""
_REQUESTS = f"""
SELECT r.trade_date AS day, {_OF}, c.broker, count(*) FILTER (WHERE r.kind = 'G') AS replaces,
       count(*) FILTER (WHERE r.kind = 'F') AS cancels
FROM requests r JOIN client_orders o USING (order_id) {_FIRST_CHILD}
WHERE r.seq > %(first)s AND r.seq <= %(last)s AND r.kind IN ('F', 'G') AND r.orig_cl_ord_id <> ''
GROUP BY r.trade_date, {_OF}, c.broker
"""
_ADD = f"""
INSERT INTO traded_sums AS t ({", ".join((*KEY, *COUNTS, "last_trade"))})
VALUES ({", ".join(f"%({name})s" for name in (*KEY, *COUNTS, "last_trade"))})
ON CONFLICT ({", ".join(KEY)}) DO UPDATE SET {", ".join(f"{name} = t.{name} + excluded.{name}" for name in COUNTS)},
    last_trade = greatest(t.last_trade, excluded.last_trade)
"""
_OVER = f"""
WITH over AS (DELETE FROM traded_sums WHERE day > %(ever)s AND day < %(day)s RETURNING *)
INSERT INTO traded_sums AS t ({", ".join((*KEY, *COUNTS, "last_trade"))})
SELECT %(ever)s, {", ".join(KEY[1:])}, {", ".join(f"sum({name})" for name in COUNTS)}, max(last_trade)
FROM over GROUP BY {", ".join(KEY[1:])}
ON CONFLICT ({", ".join(KEY)}) DO UPDATE SET {", ".join(f"{name} = t.{name} + excluded.{name}" for name in COUNTS)},
    last_trade = greatest(t.last_trade, excluded.last_trade)
"""

Row = dict[str, Any]
Ask = Callable[[str, dict[str, object]], Iterable[Row]]


class Sum(NamedTuple):
    """What one key adds up to. `last_trade` is the id and price of its last execution."""

    key: tuple[Any, ...]
    filled: Decimal = Decimal(0)
    money: Decimal = Decimal(0)
    fills: int = 0
    orders: int = 0
    replaces: int = 0
    cancels: int = 0
    last_trade: str = ""


def kept(ask: Ask, rollover: timedelta) -> tuple[int, list[Sum]]:
    """The journal row up to which there are sums, and the sums; nothing where they were made for other days."""
    until = list(ask("SELECT last_seq, rollover_seconds FROM traded_until", {}))
    if not until or until[0]["rollover_seconds"] != int(rollover.total_seconds()):
        return 0, []
    return int(until[0]["last_seq"]), [_sum(row) for row in ask("SELECT * FROM traded_sums", {})]


def since(ask: Ask, first: int, last: int, rollover: timedelta) -> Iterator[Sum]:
    """What came after journal row `first`, up to `last`."""
    between: dict[str, object] = {
        "first": first, "last": last, "first_exec": number_id("E", first), "last_exec": number_id("E", last),
        "first_order": number_id("O", first), "last_order": number_id("O", last), "rollover": rollover,
    }  # fmt: skip
    for text in (_FILLS, _ORDERS, _REQUESTS):
        for row in ask(text, between):
            yield _sum(row)
    yield from _netted(ask(_OF_AMENDED, between), number_id("E", first))


def last_seq(ask: Ask) -> int:
    """The last journal row that is committed."""
    for row in ask("SELECT last_seq FROM batches ORDER BY batch DESC LIMIT 1", {}):
        return int(row["last_seq"])
    return 0


def sum_up(url: str, rollover: timedelta, least: int = LEAST, now: datetime | None = None) -> int:
    """Add what came since the last time to the sums; returns the rows of the journal it was, 0 if too few to matter.

    `url` is of the tables' owner. Raises psycopg.Error; then nothing has changed.
    """
    with connect(url, application_name="oms sums", row_factory=dict_row) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.execute("SET LOCAL work_mem = '64MB'")

        def ask(text: str, values: dict[str, object]) -> list[Row]:
            return list(connection.execute(text.encode(), values))

        first, _ = kept(ask, rollover)
        last = last_seq(ask)
        if last - first < max(least, 1):
            return 0
        if not first:
            connection.execute("TRUNCATE traded_sums")
        with connection.cursor() as cursor:
            found = since(ask, first, last, rollover)
            cursor.executemany(_ADD, [dict(zip(KEY, one.key, strict=True)) | _counts(one) for one in found])
        today = ((now or datetime.now(UTC)) - rollover).date()
        connection.execute(_OVER.encode(), {"ever": EVER, "day": today})
        connection.execute(
            "INSERT INTO traded_until (name, last_seq, rollover_seconds, made_at) VALUES ('sums', %s, %s, now())"
            " ON CONFLICT (name) DO UPDATE SET last_seq = excluded.last_seq,"
            " rollover_seconds = excluded.rollover_seconds, made_at = excluded.made_at",
            (last, int(rollover.total_seconds())),
        )
    return last - first


def _counts(one: Sum) -> Row:
    return {name: getattr(one, name) for name in (*COUNTS, "last_trade")}


def _sum(row: Row) -> Sum:
    counts = {name: row[name] for name in (*COUNTS, "last_trade") if row.get(name) is not None}
    return Sum(tuple([row[name] for name in KEY]), **counts)


def _netted(rows: Iterable[Row], first_exec: str) -> Iterator[Sum]:
    """What the fills after `first_exec` moved of child orders that have corrections or busts."""
    children: dict[str, Child] = {}
    for row in rows:
        child = children.get(row["child_id"])
        if child is None:
            child = Child(row["child_id"], "", row["broker"], "", Decimal(0), None, None, 0, 0)
            children[row["child_id"]] = child
        entry = Entry(
            row["kind"], row["exec_id"], row["exec_ref_id"], "", row["last_qty"], row["last_px"], row["transact_time"]
        )
        changes = [enter(child, entry), *(change for _, change in kept_for(child, row["exec_id"]))]
        if row["client_exec_id"] > first_exec:
            for change in changes:
                if change.verdict == APPLIED:
                    yield Sum(tuple([row[name] for name in KEY]), change.qty, change.money)
