"""What orders have traded, ever and on one day, summed for the totals that limits look at. Read once, at a start.

The day's sums are of executions as they were first reported: one that was busted since still counts, which errs on
the side of refusing, and a correction counts as the execution it amends.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date

from sqlalchemy import Engine

from oms.core.exposure import Exposure, Traded
from oms.core.terms import Instrument
from oms.ledger.load import Reader

_EVER = """
SELECT o.client, o.account, o.trader, o.symbol, o.side, c.broker, sum(c.cum_qty) AS filled,
       sum(o.notional * c.cum_qty / o.cum_qty) AS money, 0 AS orders
FROM client_orders o JOIN child_orders c USING (order_id)
WHERE o.cum_qty > 0 AND c.cum_qty > 0
GROUP BY o.client, o.account, o.trader, o.symbol, o.side, c.broker
"""
_FILLS_OF_DAY = """
SELECT o.client, o.account, o.trader, o.symbol, o.side, f.broker, sum(f.last_qty) AS filled,
       sum(f.last_qty * f.last_px) AS money, 0 AS orders
FROM fills f JOIN client_orders o USING (order_id)
WHERE f.trade_date = %s AND f.kind = 'trade'
GROUP BY o.client, o.account, o.trader, o.symbol, o.side, f.broker
"""
_ORDERS_OF_DAY = """
SELECT o.client, o.account, o.trader, o.symbol, o.side, c.broker, 0::numeric AS filled, 0::numeric AS money,
       count(DISTINCT o.order_id) AS orders
FROM client_orders o JOIN child_orders c USING (order_id)
WHERE o.trade_date = %s
GROUP BY o.client, o.account, o.trader, o.symbol, o.side, c.broker
"""


def traded(reader: Reader, day: date, instruments: Mapping[str, Instrument]) -> Iterator[Traded]:
    """Sums by client, account, trader, symbol, side and broker: of all time, then those of the trade date `day`."""
    for text, values, of_day in ((_EVER, (), False), (_FILLS_OF_DAY, (day,), True), (_ORDERS_OF_DAY, (day,), True)):
        for row in reader.rows(text, *values):
            instrument = instruments.get(row["symbol"])
            about = {name: row[name] for name in ("client", "account", "trader", "symbol", "broker")}
            about["asset_class"] = instrument.asset_class if instrument is not None else ""
            about["currency"] = instrument.currency if instrument is not None else ""
            yield Traded(about, row["side"], row["filled"], row["money"], row["orders"], of_day)


def exposure_of(engine: Engine, exposure: Exposure, day: date, instruments: Mapping[str, Instrument]) -> None:
    """Fill the totals from the ledger as a start does, for a question that somebody asks beside the gateway."""
    reader = Reader(engine.url.set(drivername="postgresql").render_as_string(hide_password=False))
    try:
        exposure.load_live(reader.live_orders())
        exposure.load_traded(traded(reader, day, instruments), day)
    finally:
        reader.close()
