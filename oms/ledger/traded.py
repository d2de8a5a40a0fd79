"""The totals that limits look at, as they were before a start: from the ledger, read once.

What traded comes from sums kept up to a journal row and what came since (`oms.ledger.traded_sums`); what matters
for a while only (orders that may come again, executions that may be repeated) from the last orders and fills. Live
orders are the caller's: they are in memory already. After it the totals are those that the gateway had when it ended.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Engine

from oms.core.book import number_id
from oms.core.exposure import Exposure, Lately, Traded
from oms.core.terms import Instrument
from oms.ledger import traded_sums
from oms.ledger.load import Reader
from oms.ledger.traded_sums import KEY, Ask, Sum

_ORDERS_SINCE = """
SELECT received_at, client, account, symbol, side, original_order_qty, original_price, original_stop_px
FROM client_orders o
WHERE order_id > %(order)s AND received_at >= %(begin)s
  AND EXISTS (SELECT 1 FROM child_orders c WHERE c.order_id = o.order_id)
ORDER BY order_id
"""
_FIRST_FILLS_SINCE = """
SELECT f.received_at, f.broker, o.client, o.account, o.trader, o.symbol, o.side, o.ord_type
FROM fills f JOIN client_orders o USING (order_id)
WHERE f.client_exec_id > %(exec)s AND f.received_at >= %(begin)s AND f.kind = 'trade' AND NOT EXISTS (
    SELECT 1 FROM fills e WHERE e.order_id = f.order_id AND e.kind = 'trade' AND e.client_exec_id < f.client_exec_id)
ORDER BY f.client_exec_id
"""


def restore(
    reader: Reader,
    exposure: Exposure,
    day: date,
    instruments: Mapping[str, Instrument],
    rollover: timedelta,
    now: datetime | None = None,
) -> None:
    """Fill the totals from the ledger, `day` being the trade date now and `rollover` when one begins."""
    ask = reader.named_rows
    sums = _sums(ask, rollover)
    exposure.load_traded(_traded(sums, day, instruments), day)
    watched = exposure.watched
    seconds = max([watched.repeats, *(seconds for _, seconds in watched.repeated.values())])
    begin = (now or datetime.now(UTC)) - timedelta(seconds=seconds)
    seq = _seq_before(reader, begin) if seconds else 0
    since = {"order": number_id("O", seq), "exec": number_id("E", seq), "begin": begin}
    orders = ask(_ORDERS_SINCE, since) if watched.repeats else []
    fills = ask(_FIRST_FILLS_SINCE, since) if watched.repeated else []
    exposure.load_lately(
        Lately(
            [(one.pop("received_at"), tuple(one.values())) for one in orders],
            [(one["received_at"], _about(one, instruments), one["side"]) for one in fills],
            _last_prices(sums, day),
        )
    )


def exposure_of(
    engine: Engine, exposure: Exposure, day: date, instruments: Mapping[str, Instrument], rollover: timedelta
) -> None:
    """Fill the totals from the ledger as a start does, for a question that somebody asks beside the gateway."""
    reader = reader_on(engine)
    try:
        exposure.load_live(reader.live_orders())
        restore(reader, exposure, day, instruments, rollover)
    finally:
        reader.close()


def reader_on(engine: Engine) -> Reader:
    """A reader of the same ledger; the caller closes it."""
    return Reader(engine.url.set(drivername="postgresql").render_as_string(hide_password=False))


def traded(
    reader: Reader, day: date, instruments: Mapping[str, Instrument], rollover: timedelta = timedelta()
) -> Iterator[Traded]:
    """Sums by client, account, trader, symbol, side, type and broker: of all time, and of the trade date `day`."""
    yield from _traded(_sums(reader.named_rows, rollover), day, instruments)


def _sums(ask: Ask, rollover: timedelta) -> list[Sum]:
    until, sums = traded_sums.kept(ask, rollover)
    return [*sums, *traded_sums.since(ask, until, traded_sums.last_seq(ask), rollover)]


def _traded(sums: list[Sum], day: date, instruments: Mapping[str, Instrument]) -> Iterator[Traded]:
    for one in sums:
        of = dict(zip(KEY, one.key, strict=True))
        about = _about(of, instruments)
        if one.filled or one.money:
            yield Traded(about, of["side"], one.filled, one.money, 0, False)
        if of["day"] == day:
            counts = (one.replaces, one.cancels, one.fills)
            yield Traded(about, of["side"], one.filled, one.money, one.orders, True, *counts)


def _about(row: Mapping[str, Any], instruments: Mapping[str, Instrument]) -> dict[str, str]:
    instrument = instruments.get(row["symbol"])
    about = {name: row[name] for name in ("client", "account", "trader", "symbol")}
    about["asset_class"] = instrument.asset_class if instrument is not None else ""
    about["broker"] = row["broker"]
    about["currency"] = instrument.currency if instrument is not None else ""
    about["ord_type"] = row["ord_type"]
    return about


def _last_prices(sums: list[Sum], day: date) -> dict[str, Decimal]:
    """LastPx(31) of the day's last execution in each symbol."""
    last: dict[str, str] = {}
    for one in sums:
        of = dict(zip(KEY, one.key, strict=True))
        if of["day"] == day and one.last_trade:
            last[of["symbol"]] = max(last.get(of["symbol"], ""), one.last_trade)
    return {symbol: Decimal(text.partition(" ")[2]) for symbol, text in last.items()}


def _seq_before(reader: Reader, moment: datetime) -> int:
    """The last journal row of the newest batch that was committed before a moment; 0 where there is none."""
    low, high = 0, max([row["batch"] for row in reader.rows("SELECT max(batch) AS batch FROM batches")] or [0]) or 0
    seq = 0
    while low < high:
        middle = (low + high + 1) // 2
        found = reader.rows("SELECT * FROM batches WHERE batch <= %s ORDER BY batch DESC LIMIT 1", middle)
        if found and found[0]["committed_at"] >= moment:
            high = middle - 1
            continue
        low = middle
        seq = found[0]["last_seq"] if found else seq
    return seq
