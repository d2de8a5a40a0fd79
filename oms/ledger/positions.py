"""Positions: what the fills add up to, per account, symbol and broker, as of any moment. Nothing else is asked.

Executions that were never corrected nor busted are summed by the database. The few that were are netted by the
core's own rules (`oms.core.executions`), so that a position cannot say otherwise than the orders do. Fills of no
order of ours count as well: they have no account, and are listed under '' until they are explained.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Engine, func, select

from oms.core.executions import APPLIED, Entry, enter, kept_for
from oms.core.order import Child
from oms.ledger import schema

ZERO = Decimal(0)
BUY_SIDES = ("1", "3")  # Side(54): buy, buy minus
SELL_SIDES = ("2", "4", "5", "6")  # sell, sell plus, sell short, sell short exempt
_STEP = Decimal("0.00000001")

fills = schema.fills
Key = tuple[str, str, str, str]  # account, symbol, broker, side


@dataclass(frozen=True, slots=True)
class Position:
    """Shares bought and sold, and what was paid and received for them, in the instrument's currency."""

    account: str
    symbol: str
    broker: str
    bought: Decimal
    sold: Decimal
    paid: Decimal
    received: Decimal
    other: Decimal  # shares of fills whose Side(54) is neither a buy nor a sell

    @property
    def net(self) -> Decimal:
        """Shares held: above zero long, below zero short."""
        return self.bought - self.sold

    @property
    def avg_buy_px(self) -> Decimal | None:
        """Average price of what was bought, None where nothing was."""
        return (self.paid / self.bought).quantize(_STEP) if self.bought else None

    @property
    def avg_sell_px(self) -> Decimal | None:
        """Average price of what was sold, None where nothing was."""
        return (self.received / self.sold).quantize(_STEP) if self.sold else None


def positions(
    engine: Engine,
    *,
    as_of: datetime | None = None,
    trade_date: date | None = None,
    account: str | None = None,
    symbol: str | None = None,
    broker: str | None = None,
) -> list[Position]:
    """Positions by account, symbol and broker, of what was received until `as_of`; of one trade date where given.

    A correction or bust counts to the trade date of the execution that it amends.
    """
    where: list[ColumnElement[bool]] = [] if as_of is None else [fills.c.received_at <= as_of]
    for column, value in ((fills.c.account, account), (fills.c.symbol, symbol), (fills.c.broker, broker)):
        if value is not None:
            where.append(column == value)
    sums: dict[Key, list[Decimal]] = defaultdict(lambda: [ZERO, ZERO])
    place = func.coalesce(fills.c.child_id, "at " + fills.c.broker)  # where ExecID(17) and ExecRefID(19) meet
    amended = select(place).where(fills.c.kind != "trade", *where[:1] if as_of is not None else [])
    by = (fills.c.account, fills.c.symbol, fills.c.broker, fills.c.side)
    money = fills.c.last_qty * fills.c.last_px
    query = (
        select(*by, func.sum(fills.c.last_qty), func.sum(money)).where(*where, place.not_in(amended)).group_by(*by)
    )
    if trade_date is not None:
        query = query.where(fills.c.trade_date == trade_date)
    rest = select(fills).where(*where, place.in_(amended)).order_by(fills.c.seq)
    with engine.connect() as connection:
        for row in connection.execute(query):
            _add(sums, (row[0], row[1], row[2], row[3]), row[4], row[5])
        rows = [dict(row) for row in connection.execute(rest).mappings()]
    for key, qty, moved in _netted(rows, trade_date):
        _add(sums, key, qty, moved)
    return _by_place(sums)


def _add(sums: dict[Key, list[Decimal]], key: Key, qty: Decimal, money: Decimal) -> None:
    sums[key][0] += qty
    sums[key][1] += money


def _netted(rows: Iterable[dict[str, Any]], trade_date: date | None) -> Iterable[tuple[Key, Decimal, Decimal]]:
    """What the fills of child orders with corrections or busts add up to, step by step."""
    children: dict[str, Child] = {}
    traded_on: dict[tuple[str, str], date] = {}
    for row in rows:
        place = row["child_id"] or f"at {row['broker']}"
        child = children.get(place)
        if child is None:
            child = children[place] = Child(place, "", row["broker"], "", ZERO, None, None, 0, 0)
        day = traded_on.get((place, row["exec_ref_id"]), row["trade_date"])
        traded_on[place, row["exec_id"]] = day
        entry = Entry(
            row["kind"], row["exec_id"], row["exec_ref_id"], "", row["last_qty"], row["last_px"], row["transact_time"]
        )
        changes = [enter(child, entry), *(change for _, change in kept_for(child, row["exec_id"]))]
        if trade_date is None or day == trade_date:
            key = (row["account"], row["symbol"], row["broker"], row["side"])
            for change in changes:
                if change.verdict == APPLIED:
                    yield key, change.qty, change.money


def _by_place(sums: dict[Key, list[Decimal]]) -> list[Position]:
    places: dict[tuple[str, str, str], dict[str, Decimal]] = defaultdict(lambda: defaultdict(lambda: ZERO))
    for (account, symbol, broker, side), (qty, money) in sums.items():
        one = places[account, symbol, broker]
        if side in BUY_SIDES:
            one["bought"] += qty
            one["paid"] += money
        elif side in SELL_SIDES:
            one["sold"] += qty
            one["received"] += money
        else:
            one["other"] += qty
    return [
        Position(*place, *(one[name] for name in ("bought", "sold", "paid", "received", "other")))
        for place, one in sorted(places.items())
        if any(one.values())
    ]
