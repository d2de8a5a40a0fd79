"""Limits on projections: what each control refuses and lets pass, whose totals count, and what moves them."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal as D
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oms.core.terms import Limit
from tests.core.desk import Desk
from tests.core.driver import BROKER, BROKER2, CLIENT2, DAY
from tests.core.terms import INSTRUMENTS, TERMS

IBM = INSTRUMENTS["IBM"]._replace(asset_class="equity", average_volume=D(1000))


def row(control: str, value: object = 0, line: int = 2, **more: Any) -> Limit:
    """A row of the limits file: `scope` names by name, what is left out is not part of the projection."""
    scope = tuple(
        (name, more.pop(name))
        for name in ("client", "account", "trader", "symbol", "broker", "ord_type")
        if name in more
    )
    words = frozenset(str(value).split(";")) if not isinstance(value, int) else frozenset()
    amount = D(value) if isinstance(value, int) else D(0)
    return Limit(f"limits.csv line {line}", control, scope, amount, words, **more)


def desk_with(*rows: Limit, **instruments: Any) -> Desk:
    return Desk(TERMS._replace(limit_rows=rows, instruments=INSTRUMENTS | {"IBM": IBM} | instruments))


def answer(sent: list[Any]) -> str:
    """`sent` where the order left for its broker, else the Text(58) of the reject."""
    (one,) = sent
    return "sent" if one.msg_type == "D" else one.fields["Text"]


CASES = [
    (row("max_order_qty", 99), {}, "max_order_qty: 100 OrderQty(38) exceeds 99 (the firm, limits.csv line 2)"),
    (row("max_order_qty", 100), {}, "sent"),
    (row("max_order_notional", 999), {}, "max_order_notional: 1000 USD exceeds 999 (the firm, limits.csv line 2)"),
    (row("max_order_notional", 1000), {}, "sent"),
    (row("max_order_notional", 999), {"ord_type": "1", "px": None},
     "max_order_notional: 1000 USD exceeds 999 (the firm, limits.csv line 2)"),
    (row("ord_types", "1;3"), {}, "ord_types: OrdType(40) 2 of 1, 3 (the firm, limits.csv line 2)"),
    (row("ord_types", "2"), {}, "sent"),
    (row("times_in_force", "1"), {"time_in_force": ""},
     "times_in_force: TimeInForce(59) 0 of 1 (the firm, limits.csv line 2)"),
    (row("restricted", "all", symbol="IBM"), {},
     "restricted: all orders are restricted (symbol IBM, limits.csv line 2)"),
    (row("restricted", "sell", symbol="IBM"), {}, "sent"),
    (row("restricted", "sell", symbol="IBM"), {"side": "5"},
     "restricted: sell orders are restricted (symbol IBM, limits.csv line 2)"),
    (row("short_sales", "refuse"), {"side": "5"},
     "short_sales: Side(54) 5: short sales are refused (the firm, limits.csv line 2)"),
    (row("short_sales", "located"), {"side": "5"},
     "short_sales: Side(54) 5 needs LocateReqd(114)=N (the firm, limits.csv line 2)"),
    (row("short_sales", "located"), {"side": "5", "extra": (("114", "N"),)}, "sent"),
    (row("short_sales", "located"), {"side": "5", "extra": (("114", "Y"),)},
     "short_sales: Side(54) 5 needs LocateReqd(114)=N (the firm, limits.csv line 2)"),
    (row("short_sales", "refuse"), {"side": "2"}, "sent"),
    (row("price_collar", 5), {"px": "10.51"},
     "price_collar: Price(44) 10.51 is over 5 % from 10 (the firm, limits.csv line 2)"),
    (row("price_collar", 5), {"px": "10.5"}, "sent"),
    (row("price_collar", 5), {"ord_type": "3", "px": None, "stop_px": "9.4"},
     "price_collar: StopPx(99) 9.4 is over 5 % from 10 (the firm, limits.csv line 2)"),
    (row("max_volume_share", 9), {},
     "max_volume_share: OrderQty(38) 100 of 1000 shares a day exceeds 9 % (the firm, limits.csv line 2)"),
    (row("max_volume_share", 10), {}, "sent"),
    (row("max_open_orders", 0), {}, "max_open_orders: 1 open orders exceeds 0 (the firm, limits.csv line 2)"),
    (row("max_open_qty", 99), {}, "max_open_qty: 100 shares open exceeds 99 (the firm, limits.csv line 2)"),
    (row("max_open_notional", 999), {}, "max_open_notional: 1000 USD open exceeds 999 (the firm, limits.csv line 2)"),
    (row("max_day_orders", 0), {}, "max_day_orders: 1 orders today exceeds 0 (the firm, limits.csv line 2)"),
    (row("max_day_qty", 99), {},
     "max_day_qty: 100 shares traded today and open exceeds 99 (the firm, limits.csv line 2)"),
    (row("max_day_notional", 999), {},
     "max_day_notional: 1000 USD traded today and open exceeds 999 (the firm, limits.csv line 2)"),
    (row("max_position", 99, symbol="*"), {},
     "max_position: 100 shares long exceeds 99 (symbol IBM, limits.csv line 2)"),
    (row("max_position", 99, symbol="*"), {"side": "2"},
     "max_position: 100 shares short exceeds 99 (symbol IBM, limits.csv line 2)"),
    (row("max_net_notional", 999), {},
     "max_net_notional: 1000 USD net bought exceeds 999 (the firm, limits.csv line 2)"),
]  # fmt: skip


@pytest.mark.parametrize(("limit", "order", "told"), CASES, ids=lambda one: getattr(one, "control", None))
def test_each_control_takes_what_is_within_and_names_itself_its_numbers_and_its_row(
    limit: Limit, order: dict[str, Any], told: str
) -> None:
    assert answer(desk_with(limit).new("A1", **order)) == told


def test_what_cannot_be_evaluated_is_refused() -> None:
    bare = {"IBM": INSTRUMENTS["IBM"]._replace(reference_price=None)}
    for limit, told in (
        (row("price_collar", 5), "price_collar: no reference price for IBM (the firm, limits.csv line 2)"),
        (row("max_volume_share", 5), "max_volume_share: no average_volume for IBM (the firm, limits.csv line 2)"),
    ):
        assert answer(desk_with(limit, **bare).new("A1")) == told


def test_a_row_counts_for_each_combination_of_the_values_it_names() -> None:
    desk = desk_with(row("max_open_orders", 1, client="*", symbol="*"))
    assert answer(desk.new("A1")) == "sent"
    assert answer(desk.new("A2")).endswith("(client CLIENT1, symbol IBM, limits.csv line 2)")
    assert answer(desk.new("A3", client=CLIENT2)) == "sent"
    assert answer(desk.new("A4", symbol="LOTS")) == "sent"


def test_of_rows_of_one_projection_the_most_specific_decides_and_every_projection_must_be_kept() -> None:
    desk = desk_with(
        row("max_open_orders", 0, client="*"),
        row("max_open_orders", 2, client="CLIENT?", line=3),
        row("max_open_orders", 1, client="CLIENT2", line=4),
        row("max_open_orders", 2, line=5),
    )
    assert answer(desk.new("A1")) == "sent"
    assert answer(desk.new("B1", client=CLIENT2)) == "sent"
    assert (
        answer(desk.new("B2", client=CLIENT2))
        == "max_open_orders: 3 open orders exceeds 2 (the firm, limits.csv line 5)"
    )
    desk.report("A1", "4")
    assert answer(desk.new("B3", client=CLIENT2)).endswith("exceeds 1 (client CLIENT2, limits.csv line 4)")


def test_a_row_counts_on_its_days_only() -> None:
    desk = desk_with(row("max_open_orders", 0, first=DAY + timedelta(1), last=DAY + timedelta(2)))
    answers = []
    for number in range(4):
        answers.append(answer(desk.new(f"A{number}")) == "sent")
        desk.tick(1)
    assert answers == [True, False, False, True]


def test_a_soft_row_takes_the_order_and_raises_an_item() -> None:
    desk = desk_with(row("max_order_qty", 99, soft=True))
    assert answer(desk.new("A1")) == "sent"
    assert desk.outcome.items == [("soft_limit", "open")]
    assert desk.items[-1].text == "max_order_qty: soft: 100 OrderQty(38) exceeds 99 (the firm, limits.csv line 2)"


def test_a_soft_row_warns_below_the_hard_row_of_the_same_orders() -> None:
    desk = desk_with(row("max_open_orders", 2, client="*"), row("max_open_orders", 1, client="*", line=3, soft=True))
    assert answer(desk.new("A1")) == "sent"
    assert answer(desk.new("A2")) == "sent"
    assert desk.outcome.items == [("soft_limit", "open")]
    assert answer(desk.new("A3")).endswith("exceeds 2 (client CLIENT1, limits.csv line 2)")


def test_what_ends_no_longer_counts_as_open_and_what_has_traded_counts_for_the_day() -> None:
    desk = desk_with(row("max_open_qty", 150), row("max_day_qty", 200, line=3))
    desk.new("A1")
    assert answer(desk.new("A2")).startswith("max_open_qty: 200 shares open exceeds 150")
    desk.fill("A1", 60)
    assert answer(desk.new("A3")) == "sent"  # 40 of A1 and 100 are open
    desk.report("A1", "4")
    desk.report("A3", "4")
    assert answer(desk.new("A4", 140)) == "sent"  # 60 traded
    desk.report("A4", "8")
    assert answer(desk.new("A5", 141)).startswith("max_day_qty: 201 shares traded today and open exceeds 200")
    desk.tick(1)
    assert answer(desk.new("A6", 141)) == "sent"


def test_a_bust_takes_back_what_its_trade_added() -> None:
    desk = desk_with(row("max_position", 100, symbol="*"))
    desk.new("A1")
    desk.fill("A1", 100, exec_id="f1")
    assert answer(desk.new("A2", 1)).startswith("max_position: 101 shares long exceeds 100")
    assert answer(desk.new("A3", 200, side="2")) == "sent"  # from 100 long to 100 short
    assert answer(desk.new("A4", 1, side="2")).startswith("max_position: 101 shares short exceeds 100")
    desk.bust("A1", "f1")
    desk.report("A1", "4")
    assert answer(desk.new("A5", 100)) == "sent"


def test_a_replace_is_judged_by_what_it_adds_and_counts_at_its_worst_while_it_is_pending() -> None:
    desk = desk_with(row("max_open_qty", 150))
    desk.new("A1")
    desk.report("A1", "0")
    (refused,) = desk.replace("R1", "A1", 151)
    assert refused.fields["Text"] == "max_open_qty: 151 shares open exceeds 150 (the firm, limits.csv line 2)"
    assert [one.msg_type for one in desk.replace("R2", "A1", 140)] == ["G"]
    assert answer(desk.new("A2", 11)).startswith("max_open_qty: 151 shares open")
    desk.refuse("R2", "2", "no")
    assert answer(desk.new("A3", 50)) == "sent"
    assert [one.msg_type for one in desk.replace("R3", "A1", 90)] == ["G"]  # full, and this adds nothing
    assert [one.msg_type for one in desk.cancel("C1", "A3")] == ["F"]


def test_a_replace_that_adds_nothing_passes_where_no_more_may_be_added() -> None:
    desk = desk_with(row("restricted", "all", symbol="IBM", first=DAY + timedelta(1)))
    desk.new("A1")
    desk.report("A1", "0")
    desk.tick(1)
    (refused,) = desk.replace("R1", "A1", 110)
    assert refused.fields["Text"] == "restricted: all orders are restricted (symbol IBM, limits.csv line 2)"
    assert [one.msg_type for one in desk.replace("R2", "A1", 90)] == ["G"]


def test_an_order_whose_outcome_is_unknown_counts_as_working() -> None:
    desk = desk_with(row("max_open_orders", 1))
    desk.new("A1")
    desk.order("A1").life = "unknown"
    desk.status("A1")
    assert answer(desk.new("A2")).startswith("max_open_orders: 2 open orders exceeds 1")


def test_the_same_order_again_within_the_seconds_is_refused() -> None:
    desk = desk_with(row("duplicate_order", 10, client="*"))
    assert answer(desk.new("A1")) == "sent"
    told = answer(desk.new("A2"))
    assert told == "duplicate_order: the same order came 0.001 s before (client CLIENT1, limits.csv line 2)"
    assert answer(desk.new("A3", px=11)) == "sent"
    assert answer(desk.new("A4", client=CLIENT2)) == "sent"
    desk.now += timedelta(seconds=11)
    assert answer(desk.new("A5")) == "sent"


def test_more_orders_and_replaces_than_so_many_a_second_are_refused_and_cancels_are_not_counted() -> None:
    desk = desk_with(row("max_order_rate", 3, client="*"), row("max_order_rate", 9, client="*", soft=True))
    assert [answer(desk.new(f"A{number}")) for number in range(2)] == ["sent", "sent"]
    desk.cancel("C1", "A1")
    assert [one.msg_type for one in desk.replace("R1", "A0", 90)] == ["G"]
    told = "max_order_rate: 4 orders in one second exceeds 3 (client CLIENT1, limits.csv line 2)"
    assert answer(desk.new("A2")) == told
    assert answer(desk.new("B1", client=CLIENT2)) == "sent"
    assert [one.msg_type for one in desk.cancel("C2", "A0")] == ["F"]
    desk.now += timedelta(milliseconds=995)  # the first ones are a second old by now, the refused one is not
    assert answer(desk.new("A3")) == "sent"
    assert answer(desk.new("A4")) == "sent"


def test_a_limit_of_a_broker_counts_what_goes_there_and_a_fallback_moves_it() -> None:
    desk = Desk(TERMS._replace(limit_rows=(row("max_open_orders", 1, broker="*"),)), down=(BROKER,))
    assert [one.session for one in desk.new("A1")] == [BROKER2]
    assert answer(desk.new("A2")).endswith("(broker BROKER2, limits.csv line 2)")


def test_an_order_that_goes_to_another_broker_than_at_first_is_all_new_there() -> None:
    desk = desk_with(row("max_open_qty", 99, broker=BROKER2))
    assert answer(desk.new("A1")) == "sent"
    told = "max_open_qty: 100 shares open exceeds 99 (broker BROKER2, limits.csv line 2)"
    assert told in desk.not_sent("A1", "D")[-1].fields["Text"]


def test_an_order_that_comes_back_from_the_ledger_counts_once() -> None:
    desk = desk_with(row("max_position", 150, symbol="*"))
    desk.new("A1")
    desk.fill("A1", 100, exec_id="f1")
    order = desk.order("A1")
    desk.book.forget(order)
    order.counted = None  # as one that was made again from the ledger's rows
    desk.core.remember(order)
    desk.fill("A1", 20, exec_id="f2", cum_qty=120)  # more than was ordered: a fact all the same
    assert answer(desk.new("A2", 31)).startswith("max_position: 151 shares long exceeds 150")
    assert answer(desk.new("A3", 30)) == "sent"


STEPS = st.lists(
    st.tuples(st.sampled_from("nnfcrb"), st.integers(0, 5), st.integers(1, 3), st.sampled_from("12")), max_size=30
)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_totals_are_at_all_times_what_the_orders_themselves_add_up_to(steps: list[tuple[str, int, int, str]]) -> None:
    desk = desk_with(row("max_position", 10**9, client="*", symbol="*"))
    names: list[tuple[str, str]] = []
    for number, (what, which, size, side) in enumerate(steps):
        if what == "n" or not names:
            names.append((f"A{number}", side))
            desk.new(f"A{number}", size * 100, side=side)
            continue
        name, its_side = names[which % len(names)]
        if what == "f":
            desk.fill(name, size * 10, side=its_side)
        elif what == "c":
            desk.report(name, "4")
        elif what == "r":
            desk.replace(f"R{number}", name, size * 150, side=its_side)
        else:
            desk.bust(name, f"e{which}")
    exposure = desk.core._context.judge.exposure
    assert exposure is not None
    wanted: dict[str, D] = defaultdict(D)
    for order in desk.book.orders.values():
        sign = 1 if order.side == "1" else -1
        wanted["net"] += sign * order.cum_qty
        pending = [one.order_qty or D(0) for one in order.pending_requests if one.kind == "G"]
        leaves = order.leaves_qty
        worst = max([leaves, *[one - order.cum_qty for one in pending]]) if leaves else D(0)
        wanted["buy" if sign > 0 else "sell"] += worst
        wanted["orders"] += 1 if worst else 0
        wanted["day"] += order.cum_qty
    totals = exposure.totals(("client", "symbol"), ("CLIENT1", "IBM"), "USD", DAY)
    found = (totals.net, totals.open_buy, totals.open_sell, totals.open_orders, totals.day_qty)
    assert found == tuple(wanted[name] for name in ("net", "buy", "sell", "orders", "day"))


def test_days_before_do_not_come_back() -> None:
    desk = desk_with(row("max_day_orders", 1))
    desk.tick(1)
    desk.new("A1")
    exposure = desk.core._context.judge.exposure
    assert exposure is not None
    totals = exposure.totals((), (), "USD", date.min)
    assert totals.day_orders == 1
