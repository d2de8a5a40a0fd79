"""What the client wants to do: the same seed gives the same plans, and a CSV file says what is wrong with it."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from oms.errors import OperatorError
from oms.sim.flow import FollowUp, Plan, Terms, generate, read_plans
from oms.sim.matching import Instrument

LISTED = {"VOW3": Instrument("VOW3", Decimal("108.90"), Decimal("0.02"), Decimal(10))}
HEADER = "action,ref,symbol,side,qty,ord_type,price,stop_px,tif,account,text,when,delay_ms,expect\n"


def test_the_same_seed_gives_the_same_plans_and_another_seed_others() -> None:
    assert list(generate(200, 7)) == list(generate(200, 7))
    assert list(generate(200, 7)) != list(generate(200, 8))


def test_a_seeded_flow_has_every_kind_of_order_and_follow_up() -> None:
    plans = list(generate(600, 1, LISTED, ("FUND1", "FUND2")))
    good = [plan for plan in plans if not plan.expect_reject]
    assert {plan.terms.ord_type for plan in good} == {"1", "2", "3", "4"}
    assert {plan.terms.tif for plan in good} == {"0", "1", "3", "4"}
    assert {plan.terms.account for plan in good} == {"FUND1", "FUND2"}
    assert {(step.action, step.when) for plan in good for step in plan.follow_ups} == {
        ("cancel", "at_once"),
        ("cancel", "acked"),
        ("cancel", "finished"),
        ("replace", "at_once"),
        ("replace", "acked"),
        ("replace", "filled"),
        ("status", "acked"),
    }


def test_a_seeded_flow_keeps_to_ticks_and_lots_unless_it_is_to_be_refused() -> None:
    for plan in generate(600, 2, LISTED):
        if plan.expect_reject:
            terms = plan.terms
            assert (terms.symbol, terms.account, terms.qty) != ("VOW3", "HOUSE", min(terms.qty, Decimal(1000)))
            continue
        amounts = [plan.terms.qty, *(step.qty for step in plan.follow_ups if step.qty is not None)]
        prices = [plan.terms.price, plan.terms.stop_px, *(step.price for step in plan.follow_ups)]
        assert {amount % 10 for amount in amounts} == {0}
        assert {price % Decimal("0.02") for price in prices if price is not None} <= {0}
        assert min(amounts) > 0


def test_a_file_becomes_plans_with_their_follow_ups(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text(
        "# two orders\n\n" + HEADER + "new,a,AAPL,buy,100,limit,190.50,,gtc,FUND1,note,,,\n"
        "new,b,NOPE,2,10,,,,,,,,,reject\n"
        "replace,a,,,150,,190.60,,,,,filled,50,\n"
        "cancel,a,,,,,,,,,,,,\n"
    )
    assert read_plans(path) == [
        Plan(
            Terms("AAPL", "1", Decimal(100), "2", Decimal("190.50"), None, "1", "FUND1", "note"),
            (
                FollowUp("replace", "filled", 50, Decimal(150), Decimal("190.60")),
                FollowUp("cancel", "acked"),
            ),
        ),
        Plan(Terms("NOPE", "2", Decimal(10), "1"), (), True),
    ]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("buy,a,AAPL", "line 2: action 'buy' is none of new, cancel, replace, status"),
        ("new,,AAPL", "line 2: ref is empty"),
        ("cancel,z", "line 2: ref 'z' names no order above"),
        ("new,a,,buy,100", "line 2: symbol or qty is empty"),
        ("new,a,AAPL,buy,1e", "line 2: qty '1e' is not a number"),
        ("new,a,AAPL,buy,NaN", "line 2: qty 'NaN' is not a number"),
        ("new,a,AAPL,up,1", "line 2: side 'up' is none of buy, sell"),
        ("new,a,AAPL,buy,1,limit,1,,forever", "line 2: tif 'forever' is none of day, gtc, ioc, fok"),
        ("new,a,AAPL,buy,1\ncancel,a,,,,,,,,,,soon", "line 3: when 'soon' is none of at_once, acked"),
        ("new,a,AAPL,buy,1\ncancel,a,,,,,,,,,,,-5", "line 3: delay_ms '-5' is not a whole number"),
        ("new,a,AAPL,buy,1\nnew,a,AAPL,buy,1", "line 3: ref 'a' names an order above"),
        ("", "no order in it"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_where_and_why(tmp_path: Path, line: str, problem: str) -> None:
    path = tmp_path / "orders.csv"
    path.write_text(HEADER + line + "\n")
    with pytest.raises(OperatorError) as error:
        read_plans(path)
    assert str(error.value).startswith(f"{path}: {problem}")


def test_a_file_that_is_not_there_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="cannot be read"):
        read_plans(tmp_path / "none.csv")
