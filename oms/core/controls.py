"""The controls that a row of the limits can name: one function each, and its line in CONTROLS.

Law: fail closed, what a check cannot evaluate it refuses. A check is pure: it looks at the order, its row and the
totals of the row's key, and says what it compared, in whole numbers and FIX names, whether the order passes or not.
"""

from __future__ import annotations

from decimal import Decimal

from oms.core import conduct
from oms.core.cases import Case, Control, Outcome, Row, most
from oms.core.order import decimal_text
from oms.core.risk import BROKER_OPTION, OTHER, UNSUPPORTED
from oms.core.sums import Part, Totals, value_of

_SHORT = frozenset("56")
_LOCATED = ("114", "N")  # LocateReqd(114): the shares are located already


def order_qty(case: Case, row: Row, now: Totals, adds: Part) -> Outcome:
    """OrderQty(38) of one order."""
    return most(case.asked.order_qty, row, "OrderQty(38)")


def order_notional(case: Case, row: Row, now: Totals, adds: Part) -> Outcome:
    """Quantity times price of one order; a market order is valued at the reference price."""
    value = _valued(case)
    return value if isinstance(value, tuple) else most(value, row, case.about["currency"])


def open_orders(case: Case, row: Row, now: Totals, adds: Part) -> Outcome:
    """Orders that may still trade."""
    return most(now.open_orders + adds.open_orders, row, "open orders")


def open_qty(case: Case, row: Row, now: Totals, adds: Part) -> Outcome:
    """Shares that may still trade, both sides."""
    return most(now.open_buy + now.open_sell + adds.open_qty, row, "shares open")


def open_notional(case: Case, row: Row, now: Totals, adds: Part) -> Outcome:
    """Money of what may still trade, both sides."""
    open_now = now.open_buy_money + now.open_sell_money
    return most(open_now + adds.open_money, row, f"{case.about['currency']} open")


def day_qty(case: Case, row: Row, now: Totals, adds: Part) -> Outcome:
    """Shares traded today and open."""
    used = now.day_qty + now.open_buy + now.open_sell
    return most(used + adds.open_qty, row, "shares traded today and open")


def day_notional(case: Case, row: Row, now: Totals, adds: Part) -> Outcome:
    """Money traded today and open."""
    used = now.day_money + now.open_buy_money + now.open_sell_money
    return most(used + adds.open_money, row, f"{case.about['currency']} traded today and open")


def day_orders(case: Case, row: Row, now: Totals, adds: Part) -> Outcome:
    """New orders of the day."""
    return most(now.day_orders + adds.open_orders, row, "orders today")


def position(case: Case, row: Row, now: Totals, adds: Part) -> Outcome:
    """The position, long or short, if all that is open on the order's side trades."""
    worst = now.net + now.open_buy if case.buys else now.open_sell - now.net
    return most(worst + adds.open_qty, row, "shares long" if case.buys else "shares short")


def net_notional(case: Case, row: Row, now: Totals, adds: Part) -> Outcome:
    """Money bought less sold (or sold less bought) if all that is open on the order's side trades."""
    worst = now.net_money + now.open_buy_money if case.buys else now.open_sell_money - now.net_money
    return most(worst + adds.open_money, row, f"{case.about['currency']} net {'bought' if case.buys else 'sold'}")


def buying_power(case: Case, row: Row, now: Totals, adds: Part) -> Outcome:
    """Money a buy needs: within the value, and what was sold, less what was bought and what is open to buy."""
    if not case.buys:
        return True, "a sell needs none"
    left = row.amount - now.net_money - now.open_buy_money
    ok = adds.open_money <= left
    needed = f"{decimal_text(adds.open_money)} {case.about['currency']} needed"
    return ok, f"{needed} {'within' if ok else 'exceeds'} {decimal_text(left)} left of {row.text}"


def price_collar(case: Case, row: Row, now: Totals, adds: Part) -> Outcome:
    """Prices within so many percent of the reference price; market orders have none to look at."""
    return conduct.collar(case, row, case.reference)


def volume_share(case: Case, row: Row, now: Totals, adds: Part) -> Outcome:
    """OrderQty(38) as a percentage of the average daily volume."""
    volume = case.instrument.average_volume if case.instrument is not None else None
    if not volume:
        return False, f"no average_volume for {case.asked.symbol}"
    ok = case.asked.order_qty * 100 <= row.amount * volume
    share = f"OrderQty(38) {decimal_text(case.asked.order_qty)} of {decimal_text(volume)} shares a day"
    return ok, f"{share} {'within' if ok else 'exceeds'} {row.text} %"


def ord_types(case: Case, row: Row, now: Totals, adds: Part) -> Outcome:
    """OrdType(40) is one of those allowed."""
    return case.asked.ord_type in row.words, f"OrdType(40) {case.asked.ord_type} of {row.text}"


def times_in_force(case: Case, row: Row, now: Totals, adds: Part) -> Outcome:
    """TimeInForce(59) is one of those allowed; absent is day."""
    given = case.asked.time_in_force or "0"
    return given in row.words, f"TimeInForce(59) {given} of {row.text}"


def restricted(case: Case, row: Row, now: Totals, adds: Part) -> Outcome:
    """No orders, no buys, or no sells."""
    what = "buy" if case.buys else "sell"
    hit = row.words & {"all", what}
    if not hit:
        return True, "not restricted"
    return False, f"{'all orders' if 'all' in hit else f'{what} orders'} are restricted"


def short_sales(case: Case, row: Row, now: Totals, adds: Part) -> Outcome:
    """Side(54) 5 and 6: refused, only with shares located (LocateReqd(114)=N), or allowed (easy to borrow)."""
    if case.asked.side not in _SHORT:
        return True, "no short sale"
    if "allowed" in row.words:
        return True, f"Side(54) {case.asked.side}: short sales are allowed"
    if "refuse" in row.words:
        return False, f"Side(54) {case.asked.side}: short sales are refused"
    ok = _LOCATED in case.fields
    return ok, f"Side(54) {case.asked.side} {'with' if ok else 'needs'} LocateReqd(114)=N"


def hard_to_borrow(case: Case, row: Row, now: Totals, adds: Part) -> Outcome:
    """Short sales of a symbol on this list: refused, or only with shares located, whatever short_sales says."""
    ok, text = short_sales(case, row, now, adds)
    return ok, f"{text}, {case.asked.symbol} is hard to borrow" if case.asked.side in _SHORT else text


def order_rate(case: Case, row: Row, now: Totals, adds: Part) -> Outcome:
    """New orders and replaces within one second, less those it refused itself; cancels never count."""
    asks = 0
    if case.asked.at is not None:
        asks = case.exposure.asks(row.counter, row.values, case.asked.at, row.amount)
    return most(asks, row, "orders in one second")


def duplicate_order(case: Case, row: Row, now: Totals, adds: Part) -> Outcome:
    """The same client, account, symbol, side, quantity and prices within so many seconds."""
    asked = case.asked
    if asked.at is None or not adds.open_orders:
        return True, "not a new order"
    terms = (asked.client, asked.account, asked.symbol, asked.side, asked.order_qty, asked.price, asked.stop_px)
    then = case.exposure.asked_before(terms, asked.at, row.amount)
    if then is None:
        return True, f"none like it within {row.text} s"
    return False, f"the same order came {(asked.at - then).total_seconds():.3f} s before"


def _valued(case: Case) -> Decimal | Outcome:
    value = value_of(case.asked.order_qty, case.asked.price, case.asked.stop_px, case.instrument)
    return value or (False, f"no price to value {case.asked.symbol} at")


CONTROLS: dict[str, Control] = {
    "max_order_rate": Control(order_rate, "amount", BROKER_OPTION, adds_risk=False),
    "max_order_qty": Control(order_qty, "amount", adds_risk=False),
    "max_order_notional": Control(order_notional, "amount", adds_risk=False),
    "ord_types": Control(ord_types, "codes", UNSUPPORTED, adds_risk=False),
    "times_in_force": Control(times_in_force, "codes", UNSUPPORTED, adds_risk=False),
    "restricted": Control(restricted, "all|buy|sell", BROKER_OPTION),
    "short_sales": Control(short_sales, "refuse|located|allowed", OTHER, adds_risk=False),
    "hard_to_borrow": Control(hard_to_borrow, "refuse|located", OTHER, adds_risk=False),
    "price_collar": Control(price_collar, "amount", adds_risk=False, by_reference=True),
    "last_price_collar": Control(conduct.last_price_collar, "amount", adds_risk=False),
    "max_volume_share": Control(volume_share, "amount", adds_risk=False),
    "duplicate_order": Control(duplicate_order, "amount", OTHER),
    "self_match": Control(conduct.self_match, "refuse", OTHER, adds_risk=False),
    "max_open_orders": Control(open_orders, "amount"),
    "max_open_qty": Control(open_qty, "amount"),
    "max_open_notional": Control(open_notional, "amount"),
    "max_day_orders": Control(day_orders, "amount"),
    "max_day_qty": Control(day_qty, "amount"),
    "max_day_notional": Control(day_notional, "amount"),
    "max_order_trade_ratio": Control(conduct.order_trade_ratio, "ratio"),
    "max_cancel_ratio": Control(conduct.cancel_ratio, "ratio"),
    "max_repeated_fills": Control(conduct.repeated_fills, "window"),
    "max_position": Control(position, "amount"),
    "max_net_notional": Control(net_notional, "amount"),
    "max_gross_notional": Control(conduct.gross_notional, "amount"),
    "buying_power": Control(buying_power, "amount"),
}
