"""Controls of how somebody trades rather than how much: ratios of the day, self-match, repetition, gross exposure.

Same law as `oms.core.controls`, which has their lines. They need more than the totals of a key, and ask the exposure
for it; what it must keep for them follows from the rows (`watched_by`).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal

from oms.core.cases import Case, Outcome, Row
from oms.core.order import ZERO, decimal_text
from oms.core.prices import stale
from oms.core.resting import STOPS, at_worst
from oms.core.sums import NOTHING, Part, Projection, Totals, Watched, with_symbol, worst_position
from oms.core.terms import Limit


def watched_by(rows: Iterable[Limit]) -> Watched:
    """What the totals must keep for these rows besides the totals themselves."""
    repeats, controls = ZERO, set()
    of: dict[str, set[Projection]] = {"max_gross_notional": set(), "self_match": set()}
    repeated: dict[Projection, tuple[int, int]] = {}
    for row in rows:
        projection = tuple([name for name, _ in row.scope])
        controls.add(row.control)
        if row.control in of:
            of[row.control].add(projection)
        elif row.control == "duplicate_order":
            repeats = max(repeats, row.amount)
        elif row.control == "max_repeated_fills":
            most, seconds = repeated.get(projection, (0, 0))
            repeated[projection] = (max(most, int(row.amount)), max(seconds, row.per))
    return Watched(
        int(repeats),
        requests=bool(controls & {"max_order_trade_ratio", "max_cancel_ratio"}),
        fills=bool(controls & {"max_order_trade_ratio", "max_repeated_fills", "last_price_collar"}),
        gross=frozenset(of["max_gross_notional"]),
        resting=frozenset(of["self_match"]),
        repeated=repeated,
    )


def order_trade_ratio(case: Case, row: Row, now: Totals, adds: Part) -> Outcome:
    """New orders, replaces and cancels of the day for each execution, once there are more than so many of them."""
    asked = now.day_orders + now.day_replaces + now.day_cancels + 1
    fills = max(now.day_fills, 1)
    ok = asked <= row.per or asked <= row.amount * fills
    text = f"{asked} orders, replaces and cancels for {now.day_fills} executions"
    return ok, f"{text} {'within' if ok else 'exceeds'} {row.text} for one, after {row.per}"


def cancel_ratio(case: Case, row: Row, now: Totals, adds: Part) -> Outcome:
    """Cancels of the day as a percentage of its new orders, once there are more than so many of these."""
    orders = now.day_orders + adds.open_orders
    ok = orders <= row.per or now.day_cancels * 100 <= row.amount * orders
    text = f"{now.day_cancels} cancels for {orders} orders"
    return ok, f"{text} {'within' if ok else 'exceeds'} {row.text} %, after {row.per}"


def self_match(case: Case, row: Row, now: Totals, adds: Part) -> Outcome:
    """No order whose price meets that of a live one of the same key on the other side of the symbol."""
    asked, buys = case.asked, case.buys
    if asked.ord_type in STOPS:
        return True, "a stop order meets none until it is triggered"
    best = case.exposure.resting.best(row.projection, row.values, asked.symbol, not buys)
    if best is None:
        return True, "nothing on the other side"
    price = at_worst(asked.price, buys)
    meets = price >= best if buys else price <= best
    other = f"a {'sell' if buys else 'buy'} {'at the market' if best.is_infinite() else 'at ' + decimal_text(best)}"
    return not meets, f"{'would trade with' if meets else 'does not meet'} {other}"


def repeated_fills(case: Case, row: Row, now: Totals, adds: Part) -> Outcome:
    """Orders of one symbol and side that began to trade within so many seconds; new ones wait until fewer did."""
    asked = case.asked
    if asked.at is None:
        return False, "no time to look back from"
    begin = asked.at - timedelta(seconds=row.per)
    done = case.exposure.repeated.within(row.projection, row.values, asked.symbol, case.buys, begin)
    ok = done < row.amount
    what = f"{done} {'buy' if case.buys else 'sell'} orders in {asked.symbol} traded within {row.per} s"
    return ok, f"{what}, {'fewer than' if ok else 'which reaches'} {row.text}"


def gross_notional(case: Case, row: Row, now: Totals, adds: Part) -> Outcome:
    """Money of the positions of all symbols, long and short added up, each at its worst and its reference price."""
    price = case.reference
    if not price:
        return False, f"no reference price for {case.asked.symbol}"
    if now.unvalued:
        return False, f"no reference price for {now.unvalued} symbols with a position"
    projection = with_symbol(row.projection)
    key = (projection, tuple([case.about[name] for name in projection]), row.key[2])
    mine = case.exposure.on(case.asked.trade_date)(key) if case.asked.trade_date else None
    of_symbol = mine or NOTHING
    sides = (adds.open_qty, ZERO) if case.buys else (ZERO, adds.open_qty)
    more = (worst_position(of_symbol, *sides) - worst_position(of_symbol)) * price
    gross = now.gross + more
    ok = gross <= row.amount or not more
    text = f"{decimal_text(gross)} {case.about['currency']} gross"
    return ok, f"{text} {'within' if ok else 'exceeds'} {row.text}" if more or ok else f"{text}, not more than before"


def last_price_collar(case: Case, row: Row, now: Totals, adds: Part) -> Outcome:
    """Prices within so many percent of the day's last own execution in the symbol, else of the reference price."""
    last = case.exposure.last_px.get(case.asked.symbol)
    if not last and (why := stale(case.instrument, case.asked.at)):
        return False, why
    return collar(case, row, last or case.reference, "the last price " if last else "")


def collar(case: Case, row: Row, center: Decimal | None, what: str = "") -> Outcome:
    """Whether the order's prices are within the row's percentage of a price: the reference price, or `what`."""
    if case.asked.price is None and case.asked.stop_px is None:
        return True, "no price to look at"
    if not center:
        return False, f"no reference price for {case.asked.symbol}"
    for name, price in (("Price(44)", case.asked.price), ("StopPx(99)", case.asked.stop_px)):
        if price is not None and abs(price - center) * 100 > row.amount * center:
            return False, f"{name} {decimal_text(price)} is over {row.text} % from {what}{decimal_text(center)}"
    return True, f"within {row.text} % of {what}{decimal_text(center)}"
