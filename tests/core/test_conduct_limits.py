"""Controls of how somebody trades: ratios, self-match, repetition, gross exposure, buying power, collars, lists."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from decimal import Decimal as D
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from oms.core.exposure import Exposure
from tests.core.desk import Desk
from tests.core.driver import CLIENT2, DAY
from tests.core.terms import INSTRUMENTS
from tests.core.test_projection_limits import answer, desk_with, row

ROW2 = "limits.csv line 2)"
XYZ = INSTRUMENTS["IBM"]._replace(symbol="XYZ", reference_price=D(20))


def exposure_of(desk: Desk) -> Exposure:
    exposure = desk.core._context.judge.exposure
    assert exposure is not None
    return exposure


# -- ratios -----------------------------------------------------------------------------------------------------


def test_more_messages_for_an_execution_than_the_ratio_are_refused_from_a_number_on() -> None:
    desk = desk_with(row("max_order_trade_ratio", 3, client="*", per=4))
    desk.new("A1")
    desk.replace("R1", "A1", 120)
    desk.cancel("C1", "R1")
    assert answer(desk.new("A2")) == "sent"  # the fourth: the row does not apply yet
    told = "max_order_trade_ratio: 5 orders, replaces and cancels for 0 executions exceeds 3 for one, after 4"
    assert answer(desk.new("A3")) == f"{told} (client CLIENT1, {ROW2}"
    assert answer(desk.new("B1", client=CLIENT2)) == "sent"
    desk.fill("A2", 10)
    desk.fill("A2", 10)
    assert answer(desk.new("A4")) == "sent"  # five for two executions
    desk.tick(1)
    assert answer(desk.new("A5")) == "sent"


def test_too_many_cancels_for_the_orders_of_the_day_refuse_new_orders_and_no_cancel() -> None:
    desk = desk_with(row("max_cancel_ratio", 50, client="*", per=2))
    desk.new("A1")
    desk.cancel("C1", "A1")
    desk.new("A2")
    desk.cancel("C2", "A2")
    told = f"max_cancel_ratio: 2 cancels for 3 orders exceeds 50 %, after 2 (client CLIENT1, {ROW2}"
    assert answer(desk.new("A3")) == told
    desk.tick(1)
    assert [answer(desk.new(name)) for name in ("A4", "A5", "A6")] == ["sent", "sent", "sent"]
    assert [one.msg_type for one in desk.cancel("C3", "A4")] == ["F"]


# -- self-match -------------------------------------------------------------------------------------------------


def test_an_order_that_would_trade_with_one_of_the_house_is_refused() -> None:
    desk = desk_with(row("self_match", "refuse"))
    assert answer(desk.new("A1", px=10, side="2", client=CLIENT2)) == "sent"
    assert answer(desk.new("A2", px="9.99")) == "sent"
    assert answer(desk.new("A3", px=10)) == f"self_match: would trade with a sell at 10 (the firm, {ROW2}"
    told = f"self_match: would trade with a sell at 10 (the firm, {ROW2}"
    assert answer(desk.new("A4", px=None, ord_type="1")) == told
    assert answer(desk.new("A5", px=10, symbol="LOTS")) == "sent"
    told = f"self_match: would trade with a buy at 9.99 (the firm, {ROW2}"
    assert answer(desk.new("A6", px="9.99", side="2")) == told
    assert answer(desk.new("A7", px=None, stop_px=11, ord_type="3")) == "sent"  # waits for its trigger
    desk.report("A2", "4")
    assert answer(desk.new("A8", px="9.99", side="2")) == "sent"


def test_the_columns_of_a_self_match_row_say_across_whom() -> None:
    desk = desk_with(row("self_match", "refuse", client="*"))
    desk.new("A1", px=10, side="2", client=CLIENT2)
    assert answer(desk.new("A2", px=10)) == "sent"
    desk.new("A3", px=11, side="2")  # of CLIENT1, away from its own buy
    assert answer(desk.new("A4", px=11)) == f"self_match: would trade with a sell at 11 (client CLIENT1, {ROW2}"


def test_a_pending_replace_rests_at_the_further_of_its_prices_and_a_replace_may_not_cross_either() -> None:
    desk = desk_with(row("self_match", "refuse"))
    desk.new("A1", px=12, side="2")
    desk.report("A1", "0", side="2")
    desk.replace("R1", "A1", px=11, side="2")
    told = f"self_match: would trade with a sell at 11 (the firm, {ROW2}"
    assert answer(desk.new("A2", px=11)) == told
    desk.refuse("R1", "2", "no")
    assert answer(desk.new("A3", px=11)) == "sent"
    (refused,) = desk.replace("R2", "A3", px=12)
    assert refused.fields["Text"] == f"self_match: would trade with a sell at 12 (the firm, {ROW2}"


# -- repeated automated execution -------------------------------------------------------------------------------


def test_orders_of_a_symbol_and_side_that_traded_so_often_within_the_seconds_stop_new_ones() -> None:
    desk = desk_with(row("max_repeated_fills", 2, account="*", per=60))
    for name in ("A1", "A2", "A3"):
        desk.new(name)
    desk.fill("A1", 10)
    desk.fill("A1", 10)  # of the same order: one execution of it
    assert answer(desk.new("A4")) == "sent"
    desk.fill("A2", 10)
    told = "max_repeated_fills: 2 buy orders in IBM traded within 60 s, which reaches 2"
    assert answer(desk.new("A5")) == f"{told} (account FUND1, {ROW2}"
    assert answer(desk.new("A6", side="2")) == "sent"
    assert answer(desk.new("A7", symbol="LOTS")) == "sent"
    assert [one.msg_type for one in desk.cancel("C1", "A3")] == ["F"]
    desk.now += timedelta(seconds=61)
    assert answer(desk.new("A8")) == "sent"


# -- money ------------------------------------------------------------------------------------------------------


def test_buying_power_is_the_value_and_what_was_sold_less_bought_and_open_buys() -> None:
    desk = desk_with(row("buying_power", 1500, account="*"))
    desk.new("A1")
    desk.fill("A1", 100)
    told = f"buying_power: 510 USD needed exceeds 500 left of 1500 (account FUND1, {ROW2}"
    assert answer(desk.new("A2", 51)) == told
    assert answer(desk.new("A3", 1000, side="2")) == "sent"
    assert answer(desk.new("A4", 51)) == told  # what is only open to sell is no money yet
    desk.fill("A3", 1, side="2")
    assert answer(desk.new("A5", 51)) == "sent"


def test_gross_exposure_adds_long_and_short_of_all_symbols_and_lets_through_what_reduces() -> None:
    desk = desk_with(row("max_gross_notional", 3000, account="*"), XYZ=XYZ)
    assert answer(desk.new("A1")) == "sent"  # 1000 long of IBM
    desk.fill("A1", 100)
    assert answer(desk.new("A2", 100, px=20, symbol="XYZ", side="2")) == "sent"  # 2000 short of XYZ
    desk.fill("A2", 100, symbol="XYZ", side="2")
    told = f"max_gross_notional: 3010 USD gross exceeds 3000 (account FUND1, {ROW2}"
    assert answer(desk.new("A3", 1)) == told
    assert answer(desk.new("A4", 100, side="2")) == "sent"  # to nothing
    assert answer(desk.new("A5", 100, px=20, symbol="XYZ")) == "sent"
    desk.fill("A4", 100, side="2")
    assert answer(desk.new("A6", 100)) == "sent"


def test_gross_exposure_without_a_reference_price_refuses() -> None:
    bare = INSTRUMENTS["IBM"]._replace(symbol="BARE", reference_price=None)
    desk = desk_with(row("max_gross_notional", 3000, account="*"), BARE=bare)
    told = f"max_gross_notional: no reference price for BARE (account FUND1, {ROW2}"
    assert answer(desk.new("A1", 1, symbol="BARE")) == told


# -- prices and lists -------------------------------------------------------------------------------------------


def test_a_collar_about_the_last_price_follows_the_own_executions_of_the_day() -> None:
    desk = desk_with(row("last_price_collar", 10, symbol="*"))
    told = f"last_price_collar: Price(44) 11.01 is over 10 % from 10 (symbol IBM, {ROW2}"
    assert answer(desk.new("A1", px="11.01")) == told  # of the reference price
    desk.new("A2", px=11)
    desk.fill("A2", 10, px="10.5")
    assert answer(desk.new("A3", px="11.55")) == "sent"
    told = f"last_price_collar: Price(44) 9.44 is over 10 % from the last price 10.5 (symbol IBM, {ROW2}"
    assert answer(desk.new("A4", px="9.44")) == told
    desk.tick(1)
    assert answer(desk.new("A5", px="9.44")) == "sent"  # a day without executions: of the reference price again


def test_a_collar_can_be_another_one_for_each_order_type() -> None:
    rows = (row("price_collar", 5, ord_type="*"), row("price_collar", 20, ord_type="3", line=3))
    desk = desk_with(*rows)
    told = f"price_collar: Price(44) 10.6 is over 5 % from 10 (ord_type 2, {ROW2}"
    assert answer(desk.new("A1", px="10.6")) == told
    assert answer(desk.new("A2", px=None, stop_px="10.6", ord_type="3")) == "sent"
    told = "price_collar: StopPx(99) 12.1 is over 20 % from 10 (ord_type 3, limits.csv line 3)"
    assert answer(desk.new("A3", px=None, stop_px="12.1", ord_type="3")) == told


def test_a_symbol_on_the_list_is_sold_short_only_with_shares_located_whatever_the_rest_says() -> None:
    lists = (row("short_sales", "allowed"), row("hard_to_borrow", "located", line=3, symbol="IBM"))
    desk = desk_with(*lists)
    told = "hard_to_borrow: Side(54) 5 needs LocateReqd(114)=N, IBM is hard to borrow (symbol IBM, limits.csv line 3)"
    assert answer(desk.new("A1", side="5")) == told
    assert answer(desk.new("A2", side="5", extra=(("114", "N"),))) == "sent"
    assert answer(desk.new("A3", side="5", symbol="LOTS")) == "sent"
    assert answer(desk.new("A4", side="2")) == "sent"


# -- against a slow model ---------------------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(st.sampled_from("nnnfffcrbx"), st.integers(0, 5), st.integers(1, 3), st.sampled_from("12")), max_size=30
)
WATCHED = (
    row("max_gross_notional", 10**9, client="*"),
    row("max_order_trade_ratio", 10**6, client="*", per=0),
    row("max_repeated_fills", 10**6, client="*", per=86_400),
    row("self_match", "refuse", client="*", soft=True),
)


@settings(max_examples=120, deadline=None)
@given(STEPS)
def test_what_is_kept_besides_the_totals_is_what_the_orders_themselves_tell(
    steps: list[tuple[str, int, int, str]],
) -> None:
    desk = desk_with(*WATCHED, XYZ=XYZ)
    names: list[tuple[str, str, str]] = []
    trades: dict[str, int] = defaultdict(int)
    for number, (what, which, size, side) in enumerate(steps):
        if what == "n" or not names:
            names.append((f"A{number}", side, "XYZ" if which % 2 else "IBM"))
            desk.new(f"A{number}", size * 100, px=10 * (1 + which % 2) + size, side=side, symbol=names[-1][2])
            continue
        name, its_side, symbol = names[which % len(names)]
        more: dict[str, Any] = {"side": its_side, "symbol": symbol}
        if what == "f":
            desk.fill(name, size * 10, **more)
            trades[name] += 1
        elif what == "c":
            desk.report(name, "4", **more)
        elif what == "r":
            desk.replace(f"R{number}", name, size * 150, px=11, **more)
        elif what == "x":
            desk.cancel(f"C{number}", name)
        else:
            desk.bust(name, f"e{which}")
    kept = exposure_of(desk)
    orders = list(desk.book.orders.values())
    totals = kept.totals(("client",), ("CLIENT1",), "USD", DAY)
    own = [request for order in orders for request in order.requests]
    assert totals.day_replaces == sum(request.kind == "G" for request in own)
    assert totals.day_cancels == sum(request.kind == "F" for request in own)
    assert totals.day_fills == sum(trades.values())
    assert totals.gross == slow_gross(orders)
    for symbol in ("IBM", "XYZ"):
        for side in "12":
            live = [one for one in orders if (one.symbol, one.side) == (symbol, side) and one.leaves_qty]
            best = (max if side == "1" else min)(map(slow_rest, live), default=None)
            assert kept.resting.best(("client",), ("CLIENT1",), symbol, side == "1") == best
            begun = sum(1 for name, its, sym in names if trades[name] and (its, sym) == (side, symbol))
            since = desk.now - timedelta(days=1)
            assert kept.repeated.within(("client",), ("CLIENT1",), symbol, side == "1", since) == begun


def slow_rest(order: Any) -> D:
    pending = [one.price for one in order.pending_requests if one.kind == "G"]
    return D((max if order.side == "1" else min)([order.price, *pending]))


def slow_gross(orders: list[Any]) -> D:
    by_symbol: dict[str, dict[str, D]] = defaultdict(lambda: defaultdict(D))
    for order in orders:
        sums = by_symbol[order.symbol]
        sums["net"] += order.cum_qty if order.side == "1" else -order.cum_qty
        pending = [one.order_qty - order.cum_qty for one in order.pending_requests if one.kind == "G"]
        sums[order.side] += max([order.leaves_qty, *pending]) if order.leaves_qty else D(0)
    prices = {"IBM": D(10), "XYZ": D(20)}
    return sum(
        (
            max(abs(one["net"] + one["1"]), abs(one["net"] - one["2"])) * prices[name]
            for name, one in by_symbol.items()
        ),
        D(0),
    )
