"""The totals after a start are those of before it, whenever sums were made, and whatever orders went through."""

from __future__ import annotations

import random
from copy import copy
from datetime import timedelta
from decimal import Decimal as D
from typing import Any

import psycopg
import pytest

from oms.core.exposure import DIMENSIONS, Exposure
from oms.ledger import rows, traded_sums
from oms.ledger.load import Reader
from oms.ledger.traded import restore
from tests.core.desk import Desk
from tests.core.driver import CLIENT, CLIENT2
from tests.core.terms import INSTRUMENTS
from tests.core.test_projection_limits import desk_with, row

XYZ = INSTRUMENTS["IBM"]._replace(symbol="XYZ", reference_price=D(20))
ROLLOVER = timedelta(hours=2)
ROWS = (
    row("max_gross_notional", 10**9, client="*"),
    row("max_order_trade_ratio", 10**6, account="*", broker="*", per=0),
    row("max_repeated_fills", 10**6, client="*", per=80_000),
    row("duplicate_order", 60, client="*", soft=True),
    row("self_match", "refuse", soft=True),
    row("max_day_notional", 10**9, client="*", symbol="*", ord_type="*"),
)


def exposure_of(desk: Desk) -> Exposure:
    exposure = desk.core._context.judge.exposure
    assert exposure is not None
    return exposure


class Ledger:
    """What a desk does, as rows of a real ledger."""

    def __init__(self, url: str) -> None:
        self.url, self.fills, self.batch = url, 0, 0

    def keep(self, desk: Desk) -> None:
        """Write everything up to now as one batch more."""
        self.batch += 1
        orders = list(desk.book.orders.values())
        with psycopg.connect(self.url) as connection:
            for table in ("client_orders", "child_orders", "requests"):
                connection.execute(f"TRUNCATE {table}")
            put(connection, "client_orders", rows.ORDER_COLUMNS, [rows.order_row(one) for one in orders])
            children = [rows.child_row(child) for one in orders for child in one.children]
            put(connection, "child_orders", rows.CHILD_COLUMNS, children)
            requests = [rows.request_row(request) for one in orders for request in one.requests]
            put(connection, "requests", rows.REQUEST_COLUMNS, requests)
            fills = [rows.fill_row(fill, None) for fill in desk.fills[self.fills :]]
            put(connection, "fills", rows.FILL_COLUMNS, fills)
            connection.execute(
                "INSERT INTO batches (batch, first_seq, last_seq, prev_hash, hash, committed_at)"
                " VALUES (%s, %s, %s, '', '', %s)",
                (self.batch, self.batch, desk.book.next_seq - 1, desk.now),
            )
        self.fills = len(desk.fills)

    def started(self, desk: Desk) -> Exposure:
        """The totals of a gateway that starts now."""
        known = exposure_of(desk)
        made = Exposure(known._projections, known._instruments, known.watched)
        live = [copy(order) for order in desk.book.orders.values() if not order.finished]
        for order in live:
            order.counted = None
        made.load_live(live)
        reader = Reader(self.url)
        restore(reader, made, desk.day, known._instruments, ROLLOVER, desk.now)
        reader.close()
        return made


def put(connection: psycopg.Connection[Any], table: str, columns: tuple[str, ...], values: list[Any]) -> None:
    text = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join(['%s'] * len(columns))})"
    with connection.cursor() as cursor:
        cursor.executemany(text.encode(), values)


def busy(desk: Desk, lot: random.Random, steps: int) -> None:
    """Orders, fills, busts, corrections, cancels, replaces, of both clients."""
    for _ in range(steps):
        number = len(desk.events)
        mine = [one for one in desk.book.orders.values() if one.client == CLIENT and one.children]
        what = lot.choice("nnnffbcxr") if mine else "n"
        if what == "n":
            desk.new(
                f"N{number}", lot.randint(1, 5) * 100, px=10 + number % 7, side=lot.choice("12"),
                symbol=lot.choice(("IBM", "XYZ")), client=lot.choice((CLIENT, CLIENT, CLIENT2)),
            )  # fmt: skip
            continue
        order = lot.choice(mine)
        more: dict[str, Any] = {"side": order.side, "symbol": order.symbol}
        name = order.original_cl_ord_id
        executions = [one for child in order.children for one in child.executions]
        if what == "f":
            desk.fill(name, lot.randint(1, 40), px=f"10.{lot.randint(1, 99)}", **more)
        elif what == "c":
            desk.report(name, "4", **more)
        elif what == "x":
            desk.cancel(f"C{number}", name)
        elif what == "r":
            desk.replace(f"R{number}", name, lot.randint(1, 6) * 100, px=11, **more)
        elif executions and lot.random() < 0.5:
            desk.bust(name, lot.choice(executions), **more)
        else:
            desk.correct(name, lot.choice([*executions, f"e{number + 3}"]), lot.randint(1, 40), 12, **more)


def told(exposure: Exposure, desk: Desk) -> dict[str, Any]:
    """All that the limits can see."""
    exposure.on(desk.day)
    resting = exposure.resting._prices
    begin, again = desk.now - timedelta(seconds=80_000), desk.now - timedelta(seconds=60)
    repeated = {
        key: kept for key, times in exposure.repeated._times.items() if (kept := [t for t in times if t > begin])
    }
    return {
        "totals": {key: one for key, one in exposure._totals.items() if one != type(one)()},
        "resting": resting,
        "repeated": repeated,
        "last_px": exposure.last_px,
        "again": {terms: at for terms, at in exposure._recent.items() if at >= again},
    }


@pytest.mark.parametrize("seed", range(4))
def test_totals_after_a_start_are_those_of_before_it(postgres_url: str, seed: int) -> None:
    lot = random.Random(seed)
    desk = desk_with(*ROWS, XYZ=XYZ)
    ledger = Ledger(postgres_url)
    for part in range(4):
        busy(desk, lot, lot.randint(20, 60))
        if part == 2:
            desk.tick(1)
        ledger.keep(desk)
        if lot.random() < 0.6:
            traded_sums.sum_up(postgres_url, ROLLOVER, lot.choice((1, 1, 10_000)), desk.now)
        assert told(ledger.started(desk), desk) == told(exposure_of(desk), desk)


def test_sums_made_for_other_days_are_not_used_and_made_anew(postgres_url: str) -> None:
    desk, ledger = desk_with(*ROWS, XYZ=XYZ), Ledger(postgres_url)
    busy(desk, random.Random(1), 60)
    ledger.keep(desk)
    assert traded_sums.sum_up(postgres_url, timedelta(hours=5), 1, desk.now) > 0
    assert told(ledger.started(desk), desk) == told(exposure_of(desk), desk)
    assert traded_sums.sum_up(postgres_url, ROLLOVER, 1, desk.now) > 0
    assert traded_sums.sum_up(postgres_url, ROLLOVER, 1, desk.now) == 0
    assert told(ledger.started(desk), desk) == told(exposure_of(desk), desk)


def test_the_sums_have_every_dimension_of_the_limits() -> None:
    assert set(DIMENSIONS) - {"asset_class", "currency"} <= set(traded_sums.KEY)
