"""The comparison finds whatever the three views do not agree on, and names it by all its ids."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from oms.demo.comparison import Difference, Views, compare
from oms.sim.checks import ClientFill
from tests.demo.world import (
    BROKER,
    CLIENT,
    agreeing,
    broker_fill,
    broker_side,
    child,
    fill,
    held,
    order,
    told,
    with_ledger,
)

D = Decimal
A1 = "CLIENT1 ClOrdID(11) A1, OrderID(37) OA1, BROKER1 ClOrdID(11) CA1"
A3 = "CLIENT1 ClOrdID(11) A3, OrderID(37) OA3, BROKER1 ClOrdID(11) CA3"


def found(views: Views) -> list[tuple[str, ...]]:
    """The differences as plain tuples: about, what, client, ledger, broker."""
    return [tuple(one) for one in compare(views).differences]


def test_views_that_agree_have_no_difference_and_all_of_them_is_compared() -> None:
    compared = compare(agreeing())
    assert (compared.differences, compared.ok) == ([], True)
    assert (compared.orders, compared.at_brokers, compared.fills, compared.amended) == (4, 2, 4, 2)


# --- fills ------------------------------------------------------------------------------------------------


def test_a_fill_that_the_ledger_lacks_is_found() -> None:
    views = agreeing()
    rows = tuple(row for row in views.ledger.fills if row.exec_id != "X2")
    assert found(with_ledger(views, fills=rows)) == [
        (f"{A1}, ExecID(17) EX2 to the client", "fill", "40 at 11", "absent", ""),
        (A1, "CumQty(14)", "", "100, its fills are 60", ""),
        (f"{BROKER} ExecID(17) X2", "fill", "", "absent", "40 at 11"),
    ]


def test_a_fill_that_the_broker_never_made_is_found() -> None:
    views = agreeing()
    del views.brokers[BROKER].fills["X2"]
    assert found(views) == [(f"{BROKER} ExecID(17) X2, {A1}", "fill", "", "40 at 11", "absent")]


def test_a_fill_that_the_client_was_not_told_is_found() -> None:
    views = agreeing()
    del views.clients[CLIENT].orders["A1"].fills["EX2"]
    assert found(views) == [(f"{A1}, ExecID(17) EX2 to the client", "fill", "absent", "40 at 11", "")]


def test_a_fill_told_to_the_client_under_two_ids_is_found() -> None:
    views = agreeing()
    views.clients[CLIENT].orders["A1"].fills["EX9"] = ClientFill(D(40), D(11))
    assert found(views) == [(f"{A1}, ExecID(17) EX9 to the client", "fill", "40 at 11", "absent", "")]


def test_a_fill_that_is_in_the_ledger_twice_is_found() -> None:
    views = agreeing()
    again = replace(fill("A1", "X2", 40, "11"), client_exec_id="EX8", trade_date=views.ledger.fills[0].trade_date)
    assert found(with_ledger(views, fills=(*views.ledger.fills, again))) == [
        (f"{BROKER} ExecID(17) X2", "fill", "", "in the ledger twice", "")
    ]


def test_a_fill_with_a_wrong_quantity_and_price_in_the_ledger_is_found() -> None:
    views = agreeing()
    rows = tuple(fill("A1", "X2", 41, "11.5") if row.exec_id == "X2" else row for row in views.ledger.fills)
    assert found(with_ledger(views, fills=rows)) == [
        (f"{A1}, ExecID(17) EX2 to the client", "fill", "40 at 11", "41 at 11.5", ""),
        (A1, "CumQty(14)", "", "100, its fills are 101", ""),
        (f"{BROKER} ExecID(17) X2, {A1}", "fill", "", "41 at 11.5", "40 at 11"),
    ]


def test_a_bust_that_the_ledger_lacks_is_found() -> None:
    views = agreeing()
    rows = tuple(row for row in views.ledger.fills if row.kind != "bust")
    assert found(with_ledger(views, fills=rows)) == [
        (f"{A3}, ExecID(17) EX5 to the client", "fill", "busted", "20 at 10", ""),
        (A3, "CumQty(14)", "", "30, its fills are 50", ""),
        (f"{BROKER} ExecID(17) X5, {A3}", "fill", "", "20 at 10", "busted"),
    ]


def test_a_correction_of_a_fill_that_the_ledger_lacks_is_found() -> None:
    views = agreeing()
    rows = (*views.ledger.fills, fill("A1", "X9", 5, "10", "correct", "X8"))
    assert found(with_ledger(views, fills=rows)) == [
        (f"{BROKER} ExecID(17) X9", "fill", "", "correct of ExecRefID(19) X8, which is not in the ledger", "")
    ]


def test_a_fill_booked_for_another_order_is_found() -> None:
    views = agreeing()
    views.brokers[BROKER].fills["X2"].order_id = "BA3"
    assert found(views) == [(f"{BROKER} ExecID(17) X2, {A1}", "OrderID(37) of the fill", "", "BA1", "BA3")]


def test_a_fill_for_an_order_that_nobody_sent_is_no_difference_where_the_broker_says_so() -> None:
    views = agreeing()
    stray = replace(fill("A1", "X9", 5, "10"), order_id=None, child_id=None)
    views = with_ledger(views, fills=(*views.ledger.fills, stray))
    assert found(views) == [(f"{BROKER} ExecID(17) X9", "fill", "", "5 at 10", "absent")]
    views.brokers[BROKER].strays.append({"exec_id": "X9"})
    assert found(views) == []


def test_a_fill_that_the_broker_has_not_sent_yet_is_said_to_be_so() -> None:
    views = agreeing()
    views.brokers[BROKER].fills["X7"] = replace(broker_fill("A1", "X7", 1, "10"), sent=False)
    views.brokers[BROKER].unsent = 1
    assert found(views) == [
        (f"{BROKER} ExecID(17) X7", "fill", "", "absent", "1 at 10, not sent yet"),
        (BROKER, "reports not sent yet", "", "", "1"),
    ]


# --- orders -----------------------------------------------------------------------------------------------


def test_an_order_of_the_client_that_the_ledger_lacks_is_found() -> None:
    views = agreeing()
    views.clients[CLIENT].orders["A7"] = told("A7", "")
    assert found(views) == [(f"{CLIENT} ClOrdID(11) A7", "order", "OrdStatus(39) absent, 0 fills", "absent", "")]


def test_an_order_of_the_ledger_that_no_client_sent_is_found() -> None:
    views = agreeing()
    assert found(with_ledger(views, orders=(*views.ledger.orders, order("A8", "8")))) == [
        ("CLIENT1 ClOrdID(11) A8, OrderID(37) OA8", "order", "absent", "OrdStatus(39) 8", "")
    ]


def test_an_order_that_is_in_the_ledger_twice_is_found() -> None:
    views = agreeing()
    again = order("A2", "8", order_id="OA9", price=D("10.001"))
    assert found(with_ledger(views, orders=(*views.ledger.orders, again))) == [
        ("CLIENT1 ClOrdID(11) A2, OrderID(37) OA9", "ClOrdID(11)", "", "two orders have it", ""),
        ("CLIENT1 ClOrdID(11) A2, OrderID(37) OA9", "OrderID(37)", "OA2", "OA9", ""),
    ]


def test_an_order_at_a_broker_that_the_ledger_does_not_know_is_found() -> None:
    views = agreeing()
    views.brokers[BROKER].orders["CA2"] = held("A2", "0", [])
    assert found(views) == [(f"{BROKER} ClOrdID(11) CA2", "order", "CLIENT1/A2", "absent", "0")]


def test_an_order_that_the_broker_lacks_is_found() -> None:
    views = agreeing()
    del views.brokers[BROKER].orders["CA3"]
    assert found(views) == [(A3, f"order at {BROKER}", "", "canceled", "absent")]


def test_an_order_that_never_left_must_not_be_at_the_broker() -> None:
    views = with_ledger(agreeing(), never_left=frozenset({"CA3"}))
    assert found(views) == [(A3, f"order at {BROKER}", "", "never left", "OrdStatus(39) 4")]


def test_an_order_that_never_left_and_went_to_another_broker_is_no_difference() -> None:
    views = agreeing()
    first = child("A1", child_id="CA0", broker="BROKER2", broker_order_id="", life="rejected")
    children = (first, *views.ledger.children)
    assert found(with_ledger(views, children=children, never_left=frozenset({"CA0"}))) == []


@pytest.mark.parametrize(
    ("finished", "differences"), [(True, []), (False, [(A3, f"order at {BROKER}", "", "canceled", "absent")])]
)
def test_an_order_that_was_cancelled_before_it_left_must_have_ended(
    finished: bool, differences: list[tuple[str, ...]]
) -> None:
    views = agreeing()
    del views.brokers[BROKER].orders["CA3"]
    first, second = views.ledger.children
    children = (first, replace(second, finished=finished))
    assert found(with_ledger(views, children=children, never_left=frozenset({"CA3"}))) == differences


def test_an_order_that_is_at_two_brokers_is_found() -> None:
    views = agreeing()
    other = replace(broker_side(), name="BROKER2", fills={}, strays=[])
    other.orders = {"CB1": held("A1", "4", [], ids=["CB1"])}
    views = replace(views, brokers={"BROKER2": other, **views.brokers})
    second = child("A1", child_id="CB1", cl_ord_id="CB1", broker="BROKER2", life="canceled")
    views = with_ledger(views, children=(second, *views.ledger.children))
    about = "CLIENT1 ClOrdID(11) A1, OrderID(37) OA1, BROKER2 ClOrdID(11) CB1, BROKER1 ClOrdID(11) CA1"
    assert found(views) == [(about, "order at a broker twice", "", "", "ClOrdID(11) CB1 and CA1")]


def test_an_order_that_came_to_the_broker_twice_is_found() -> None:
    views = replace(agreeing(), arrivals={BROKER: {"CA1": 2, "CA3": 1}})
    assert found(views) == [(f"{BROKER} ClOrdID(11) CA1", "NewOrderSingle(D)", "", "once", "2 times")]


def test_an_order_that_the_broker_has_for_another_client_order_is_found() -> None:
    views = agreeing()
    views.brokers[BROKER].orders["CA1"].order.trace = "CLIENT1/A3"
    assert found(views) == [(f"{BROKER} ClOrdID(11) CA1", "whose order it is (7001)", "CLIENT1/A3", "CLIENT1/A1", "")]


@pytest.mark.parametrize(
    ("field", "value", "what", "said"),
    [
        ("ord_status", "1", "OrdStatus(39)", ("1", "2", "2")),
        ("qty", D(90), "OrderQty(38)", ("90", "100", "100")),
        ("price", D("10.5"), "Price(44)", ("10.5", "10", "10")),
        ("cum_qty", D(99), "CumQty(14)", ("99", "100", "100")),
        ("leaves_qty", D(1), "LeavesQty(151)", ("1", "0", "0")),
        ("avg_px", D("10.41"), "AvgPx(6)", ("10.41", "10.4", "10.4")),
        ("order_id", "OZZ", "OrderID(37)", ("OZZ", "OA1", "")),
        ("ids", ["A1", "A9"], "ClOrdID(11) in force", ("A9", "A1", "")),
    ],
)
def test_whatever_the_client_believes_of_an_order_is_compared(
    field: str, value: object, what: str, said: tuple[str, str, str]
) -> None:
    views = agreeing()
    setattr(views.clients[CLIENT].orders["A1"], field, value)
    assert found(views) == [(A1, what, *said)]


@pytest.mark.parametrize(
    ("field", "value", "what", "said"),
    [
        ("order_qty", D(90), "OrderQty(38)", ("100", "90", "100")),
        ("price", None, "Price(44)", ("10", "absent", "10")),
        ("leaves_qty", D(1), "LeavesQty(151)", ("0", "1", "0")),
        ("avg_px", D("10.41"), "AvgPx(6)", ("10.4", "10.41", "10.4")),
        ("ord_status", "1", "OrdStatus(39)", ("2", "1", "2")),
    ],
)
def test_whatever_the_ledger_says_of_an_order_is_compared(
    field: str, value: object, what: str, said: tuple[str, str, str]
) -> None:
    views = agreeing()
    first, *others = views.ledger.orders
    changed = replace(first, **{field: value})  # type: ignore[arg-type]
    assert found(with_ledger(views, orders=(changed, *others))) == [(A1, what, *said)]


def test_what_the_broker_says_of_an_order_is_compared() -> None:
    views = agreeing()
    at_broker = views.brokers[BROKER].orders["CA3"]
    at_broker.order.ids, at_broker.ord_status, at_broker.order.qty = ["CA3"], "0", D(100)
    assert found(views) == [
        (A3, "OrdStatus(39)", "4", "4", "0"),
        (A3, "OrderQty(38)", "80", "80", "100"),
        (A3, "ClOrdID(11) in force at the broker", "", "CA4", "CA3"),
    ]


def test_a_child_order_that_the_ledger_counts_otherwise_is_found() -> None:
    views = agreeing()
    children = (child("A1", cum_qty=D(60), broker_order_id=""), *views.ledger.children[1:])
    differences = found(with_ledger(views, children=children))
    assert differences == [
        (A1, "OrderID(37) of the broker", "", "absent", "BA1"),
        (A1, "CumQty(14) of the child order", "", "60", "100"),
        (f"{BROKER} ExecID(17) X1, {A1}", "OrderID(37) of the fill", "", "", "BA1"),
        (f"{BROKER} ExecID(17) X2, {A1}", "OrderID(37) of the fill", "", "", "BA1"),
    ]


def test_replaced_in_fix_42_is_new_in_later_versions() -> None:
    views = agreeing()
    views.clients[CLIENT].orders["A2"].ord_status = "5"
    orders = (views.ledger.orders[0], order("A2", "0", price=D("10.001")), views.ledger.orders[2])
    assert found(with_ledger(views, orders=orders)) == []


def test_what_the_client_found_wrong_by_itself_is_told() -> None:
    views = agreeing()
    views.clients[CLIENT].violations += ["ExecID(17) EX1 was told before"] * 2
    assert compare(views).differences == [
        Difference(CLIENT, "a report that must not be", client="ExecID(17) EX1 was told before (2 times)")
    ]
