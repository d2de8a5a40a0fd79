"""What a broker does of its own: cancels, restates, ends the day, stops, suspends; and what no table allows."""

from __future__ import annotations

import pytest

from oms.core.messages import Problem
from tests.core.desk import Desk, cancel_out, er, fill_er
from tests.core.driver import BROKER2


def test_a_cancel_that_nobody_asked_for_ends_the_order(desk: Desk) -> None:
    desk.working("A1")
    desk.fill("A1", 10)
    sent = desk.report("A1", "4", extra=(("378", "2"),))
    assert sent == [er("A1", "4", "4", cum=10, leaves=0, ExecRestatementReason="2")]
    assert desk.order("A1").finished
    assert desk.open_items() == []


def test_a_cancel_under_the_orders_own_id_does_not_answer_the_request(desk: Desk) -> None:
    desk.working("A1")
    desk.cancel("C1", "A1")
    assert desk.report("A1", "4") == [er("A1", "4", "4", leaves=0)]
    assert desk.state("A1")[3] == [("C1", "sent")]


def test_what_is_left_of_an_immediate_or_cancel_order_is_canceled(desk: Desk) -> None:
    desk.working("A1", time_in_force="3")
    assert desk.fill("A1", 30) == [fill_er("A1", "1", 30, cum=30, TimeInForce="3")]
    assert desk.report("A1", "4") == [er("A1", "4", "4", cum=30, leaves=0, TimeInForce="3")]


def test_a_restatement_brings_the_brokers_quantity_and_price(desk: Desk) -> None:
    desk.working("A1")
    sent = desk.report("A1", "D", order_qty=90, price="9.5", extra=(("378", "5"),))
    assert sent == [er("A1", "D", "0", qty=90, Price="9.5", ExecRestatementReason="5")]
    assert desk.fill("A1", 90) == [fill_er("A1", "2", 90, qty=90, cum=90, Price="9.5")]


def test_a_restatement_of_the_price_alone_keeps_the_quantity(desk: Desk) -> None:
    desk.working("A1")
    assert desk.report("A1", "D", price="9.5") == [er("A1", "D", "0", Price="9.5")]


def test_a_restatement_that_says_nothing_changes_nothing(desk: Desk) -> None:
    desk.working("A1")
    assert desk.report("A1", "D", extra=(("378", "1"),)) == [er("A1", "D", "0", ExecRestatementReason="1")]


def test_a_replace_that_nobody_asked_for_brings_its_terms(desk: Desk) -> None:
    desk.working("A1")
    assert desk.report("A1", "5", order_qty=90, price="9.5") == [er("A1", "5", "0", qty=90, Price="9.5")]
    assert desk.state("A1") == ("working", "90", "0", [])


@pytest.mark.parametrize("qty", ["0", "-100"])
@pytest.mark.parametrize("exec_type", ["5", "D"])
def test_an_order_quantity_that_cannot_be_is_not_taken_over_and_raised(desk: Desk, exec_type: str, qty: str) -> None:
    desk.working("A1")
    assert desk.report("A1", exec_type, order_qty=qty) == [er("A1", exec_type, "0")]
    assert desk.open_items() == ["wrong_quantity"]


def test_a_day_order_that_is_done_for_the_day_has_nothing_left(desk: Desk) -> None:
    desk.working("A1")
    desk.fill("A1", 10)
    assert desk.report("A1", "3") == [er("A1", "3", "3", cum=10, leaves=0)]
    assert desk.order("A1").finished
    assert desk.fill("A1", 5) == [fill_er("A1", "3", 5, cum=15, leaves=0)]
    assert desk.open_items() == []


def test_a_good_till_cancel_order_keeps_its_leaves_over_night_and_is_renewed(desk: Desk) -> None:
    desk.working("A1", time_in_force="1")
    desk.fill("A1", 20)
    assert desk.report("A1", "3") == [er("A1", "3", "3", cum=20, TimeInForce="1")]
    assert not desk.order("A1").finished
    desk.tick(days=1)
    assert desk.report("A1", "D", extra=(("378", "1"),)) == [
        er("A1", "D", "1", cum=20, TimeInForce="1", ExecRestatementReason="1"),
    ]
    assert desk.fill("A1", 10) == [fill_er("A1", "1", 10, cum=30, TimeInForce="1")]


def test_a_good_till_cancel_order_trades_next_day_without_a_renewal(desk: Desk) -> None:
    desk.working("A1", time_in_force="1")
    desk.report("A1", "3")
    desk.tick(days=1)
    assert desk.report("A1", "0") == [er("A1", "0", "0", TimeInForce="1")]


def test_an_expired_order_has_nothing_left(desk: Desk) -> None:
    desk.working("A1")
    assert desk.report("A1", "C") == [er("A1", "C", "C", leaves=0)]
    assert desk.order("A1").finished


def test_a_stopped_order_is_a_guarantee_and_not_a_trade(desk: Desk) -> None:
    desk.working("A1")
    sent = desk.report("A1", "7", last_qty=10, last_px="50.1", extra=(("32", "10"), ("31", "50.1")))
    assert sent == [er("A1", "7", "7", LastQty=10, LastPx="50.1")]
    assert desk.fill("A1", 10, 50) == [fill_er("A1", "7", 10, 50, cum=10, avg=50)]
    assert desk.fill("A1", 90, 50) == [fill_er("A1", "2", 90, 50, cum=100, avg=50)]


def test_a_suspended_order_waits_and_trades_on(desk: Desk) -> None:
    desk.working("A1")
    assert desk.report("A1", "9") == [er("A1", "9", "9")]
    assert [one.msg_type for one in desk.cancel("C1", "A1")] == ["F"]
    desk.refuse("C1")
    assert desk.report("A1", "0") == [er("A1", "0", "0")]


def test_a_calculated_order_has_nothing_left_even_if_not_filled(desk: Desk) -> None:
    desk.working("A1")
    desk.fill("A1", 40)
    assert desk.report("A1", "B") == [er("A1", "B", "B", cum=40, leaves=0)]


def test_a_filled_order_that_is_calculated_says_so(desk: Desk) -> None:
    desk.working("A1")
    desk.fill("A1", 100)
    assert desk.report("A1", "B") == [er("A1", "B", "B", cum=100)]


def test_pending_cancel_without_a_request_is_relayed_and_pending_for_nobody(desk: Desk) -> None:
    desk.working("A1")
    assert desk.report("A1", "6") == [er("A1", "6", "0")]
    assert desk.state("A1") == ("working", "100", "0", [])


def test_pending_cancel_under_the_orders_own_id_is_told_as_that_of_the_open_request(desk: Desk) -> None:
    desk.working("A1")
    desk.cancel("C1", "A1")
    assert desk.report("A1", "6") == [er("C1", "6", "6", OrigClOrdID="A1")]
    assert desk.state("A1")[3] == [("C1", "pending")]


def test_a_fill_that_says_pending_replace_makes_the_request_pending(desk: Desk) -> None:
    desk.working("A1")
    desk.replace("R1", "A1", 120)
    assert desk.fill("A1", 10, ord_status="E") == [fill_er("A1", "E", 10, cum=10)]
    assert desk.state("A1")[3] == [("R1", "pending")]


def test_the_brokers_order_id_goes_out_with_later_requests_and_finds_the_order(desk: Desk) -> None:
    desk.new("A1")
    desk.report("A1", "0", order_id="B-77")
    assert desk.cancel("C1", "A1") == [cancel_out("C1", "A1", OrderID="B-77")]
    assert desk.report("", "4", order_id="B-77") == [er("A1", "4", "4", leaves=0)]


def test_an_order_id_of_none_is_not_the_brokers_order_id(desk: Desk) -> None:
    desk.new("A1")
    desk.report("A1", "8", order_id="NONE")
    desk.new("A2")
    assert desk.report("", "0", order_id="NONE") == []
    assert desk.open_items() == ["unknown_order"]


# -- what the table does not allow ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ends", "then", "life"),
    [
        ("4", "5", "canceled"), ("4", "C", "canceled"), ("C", "5", "expired"),
        ("8", "0", "rejected"), ("8", "4", "rejected"),
    ],
)  # fmt: skip
def test_an_event_that_the_table_does_not_allow_changes_nothing_and_is_raised(
    desk: Desk, ends: str, then: str, life: str
) -> None:
    desk.working("A1")
    desk.report("A1", ends)
    before = desk.state("A1")
    assert desk.report("A1", then) == []
    assert desk.outcome.items == [("not_allowed", "open")]
    assert desk.items[-1].text == f"ExecType(150) {then} while the order is {life}"
    assert desk.state("A1") == before


def test_one_open_item_of_a_kind_per_order_is_enough(desk: Desk) -> None:
    desk.working("A1")
    desk.report("A1", "4")
    desk.report("A1", "C")
    desk.report("A1", "5")
    assert desk.open_items() == ["not_allowed"]


@pytest.mark.parametrize("exec_type", ["", "Z", "1", "J", "17"])
def test_an_unknown_exec_type_changes_nothing_and_is_raised(desk: Desk, exec_type: str) -> None:
    desk.working("A1")
    assert desk.report("A1", exec_type) == []
    assert desk.outcome.items == [("unknown_exec_type", "open")]
    assert desk.state("A1")[0] == "working"


def test_a_report_that_cannot_be_read_in_part_is_raised(desk: Desk) -> None:
    desk.working("A1")
    assert desk.report("A1", "C", problem=Problem("CumQty(14)", "NaN is not a number", "99")) == []
    assert desk.items[-1].text == "CumQty(14): NaN is not a number"
    assert desk.open_items() == ["unreadable_report"]


def test_a_report_that_refuses_a_second_copy_of_a_live_order_does_not_end_it(desk: Desk) -> None:
    desk.working("A1")
    desk.fill("A1", 10)
    assert desk.report("A1", "8", ord_status="1", ord_rej_reason="6") == []
    assert desk.state("A1") == ("working", "100", "10", [])
    assert desk.open_items() == ["refused_as_duplicate"]


# -- the same report again --------------------------------------------------------------------------------------


@pytest.mark.parametrize("exec_type", ["0", "3", "4", "5", "6", "7", "8", "9", "A", "B", "C", "D", "E"])
def test_a_report_told_twice_changes_nothing_and_sends_nothing(desk: Desk, exec_type: str) -> None:
    desk.working("A1")
    assert len(desk.report("A1", exec_type, exec_id="once")) == 1
    before = desk.state("A1")
    assert desk.report("A1", exec_type, exec_id="once") == []
    assert desk.details[-1] == {"duplicate": True}
    assert desk.outcome == ([], [])
    assert desk.state("A1") == before


def test_two_brokers_may_use_the_same_exec_id_for_their_own_orders(desk: Desk) -> None:
    desk.working("A1")
    desk.logged_out()
    desk.new("A2")
    assert desk.fill("A1", 10, exec_id="same") == [fill_er("A1", "1", 10, cum=10)]
    assert desk.fill("A2", 10, exec_id="same", broker=BROKER2) == [fill_er("A2", "1", 10, cum=10, order="A2")]
    assert desk.open_items() == []
