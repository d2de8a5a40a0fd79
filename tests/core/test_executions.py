"""Fills, busts and corrections: each booked once, quantities and average following, contradictions raised.

`I3` and `I4` of the design: a fill is unique by broker, trade date and ExecID(17); CumQty(14) is the sum of the
executions that stand.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from oms.core.messages import Problem
from tests.core.desk import Desk, er, fill_er
from tests.core.driver import DAY


def test_part_fills_add_up_to_a_filled_order(desk: Desk) -> None:
    desk.working("A1")
    assert desk.fill("A1", 20, 10, "f1") == [fill_er("A1", "1", 20, cum=20)]
    assert desk.outcome.fills == [("trade", "f1", "20", "10", "order:A1")]
    assert desk.fill("A1", 10, 11, "f2") == [fill_er("A1", "1", 10, 11, cum=30, avg="10.33333333")]
    assert desk.fill("A1", 70, 12, "f3") == [fill_er("A1", "2", 70, 12, cum=100, avg="11.5")]
    assert desk.order("A1").finished


def test_a_fill_before_any_acknowledgement_makes_the_order_work(desk: Desk) -> None:
    desk.new("A1")
    assert desk.fill("A1", 20) == [fill_er("A1", "1", 20, cum=20)]
    assert desk.report("A1", "0") == [er("A1", "0", "1", cum=20)]


def test_the_ledger_keeps_the_fill_as_the_broker_told_it(desk: Desk) -> None:
    desk.working("A1")
    desk.fill("A1", 20, "10.25", "f1", transact_time=desk.now, trade_date=DAY - timedelta(days=1))
    (fill,) = desk.fills
    order = desk.order("A1")
    child = order.child
    assert child is not None
    assert fill == (
        desk.raw[-1].fields["17"], "BROKER1", DAY - timedelta(days=1), "f1", "", "trade", order.order_id,
        child.child_id, "FUND1", "IBM", "1", 20, child.executions["f1"].last_px, desk.now - timedelta(milliseconds=1),
        desk.now, desk.events[-1][0], "broker",
    )  # fmt: skip


def test_a_fill_told_twice_is_booked_once_and_told_once(desk: Desk) -> None:
    desk.working("A1")
    desk.fill("A1", 20, 10, "f1")
    assert desk.fill("A1", 20, 10, "f1") == []
    assert desk.outcome == ([], [])
    assert desk.details[-1] == {"duplicate": True}
    assert desk.state("A1")[2] == "20"


def test_an_exec_id_used_again_for_another_order_is_not_booked_and_raised(desk: Desk) -> None:
    desk.working("A1")
    desk.working("A2")
    desk.fill("A1", 20, 10, "f1")
    assert desk.fill("A2", 30, 10, "f1") == []
    assert desk.outcome == ([], [("exec_id_reused", "open")])
    assert desk.items[-1].text == "ExecID(17) f1 was used for another fill of 2026-03-02: not booked"
    assert desk.state("A2")[2] == "0"


def test_an_exec_id_may_be_used_again_for_another_order_on_another_trade_date(desk: Desk) -> None:
    desk.working("A1")
    desk.working("A2")
    desk.fill("A1", 20, 10, "f1")
    sent = desk.fill("A2", 30, 10, "f1", trade_date=DAY + timedelta(days=1))
    assert sent == [fill_er("A2", "1", 30, cum=30, order="A2")]


# -- busts and corrections --------------------------------------------------------------------------------------


def test_a_bust_takes_the_shares_back_and_opens_the_order_again(desk: Desk) -> None:
    desk.working("A1")
    desk.fill("A1", 10, 100, "f1")
    desk.fill("A1", 90, 110, "f2")
    assert desk.order("A1").avg_px == 109
    sent = desk.bust("A1", "f1", exec_id="b1")
    assert sent == [er("A1", "H", "1", cum=90, avg=110, ExecRefID="f1", LastQty=0, LastPx=0)]
    assert desk.outcome.fills == [("bust", "b1", "0", "0", "order:A1")]
    assert not desk.order("A1").finished
    assert desk.fill("A1", 10, 120) == [fill_er("A1", "2", 10, 120, cum=100, avg=111)]


def test_a_bust_of_all_fills_leaves_a_new_order(desk: Desk) -> None:
    desk.working("A1")
    desk.fill("A1", 10, 10, "f1")
    assert desk.bust("A1", "f1") == [er("A1", "H", "0", ExecRefID="f1", LastQty=0, LastPx=0)]


def test_a_correction_replaces_price_and_quantity(desk: Desk) -> None:
    desk.working("A1")
    desk.fill("A1", 90, 110, "f1")
    sent = desk.correct("A1", "f1", 95, 100, exec_id="k1")
    assert sent == [er("A1", "G", "1", cum=95, avg=100, ExecRefID="f1", LastQty=95, LastPx=100)]
    assert desk.outcome.fills == [("correct", "k1", "95", "100", "order:A1")]


def test_a_correction_of_a_correction_names_the_latest(desk: Desk) -> None:
    desk.working("A1")
    desk.fill("A1", 90, 110, "f1")
    desk.correct("A1", "f1", 90, 100, exec_id="k1")
    sent = desk.correct("A1", "k1", 95, 120, exec_id="k2")
    assert sent == [er("A1", "G", "1", cum=95, avg=120, ExecRefID="k1", LastQty=95, LastPx=120)]
    assert desk.bust("A1", "k2") == [er("A1", "H", "0", ExecRefID="k2", LastQty=0, LastPx=0)]


def test_a_correction_without_quantity_keeps_the_quantity(desk: Desk) -> None:
    desk.working("A1")
    desk.fill("A1", 90, 110, "f1")
    sent = desk.report("A1", "G", exec_ref_id="f1", last_px=100, cum_qty=90)
    assert sent == [er("A1", "G", "1", cum=90, avg=100, ExecRefID="f1", LastPx=100)]


@pytest.mark.parametrize("qty", [0, -5])
def test_a_correction_to_no_shares_is_not_applied_and_raised(desk: Desk, qty: int) -> None:
    desk.working("A1")
    desk.fill("A1", 90, 110, "f1")
    assert desk.correct("A1", "f1", qty, 100, cum_qty=90) == []
    assert desk.open_items() == ["fill_without_quantity"]
    assert desk.state("A1")[2] == "90"


def test_a_bust_under_the_first_id_is_of_the_latest_correction(desk: Desk) -> None:
    desk.working("A1")
    desk.fill("A1", 90, 110, "f1")
    desk.correct("A1", "f1", 95, 100, exec_id="k1")
    assert desk.bust("A1", "f1", exec_id="b1", cum_qty=0) == [er("A1", "H", "0", ExecRefID="k1", LastQty=0, LastPx=0)]
    assert desk.outcome == ([("bust", "b1", "0", "0", "order:A1")], [])
    assert desk.state("A1")[2] == "0"


def test_a_second_correction_under_the_first_id_is_of_the_first_correction(desk: Desk) -> None:
    desk.working("A1")
    desk.fill("A1", 90, 110, "f1")
    desk.correct("A1", "f1", 95, 100, exec_id="k1")
    sent = desk.correct("A1", "f1", 80, 120, exec_id="k2", cum_qty=80)
    assert sent == [er("A1", "G", "1", cum=80, avg=120, ExecRefID="k1", LastQty=80, LastPx=120)]
    assert desk.outcome == ([("correct", "k2", "80", "120", "order:A1")], [])


def test_a_second_bust_of_an_execution_is_in_the_ledger_and_changes_and_tells_nothing(desk: Desk) -> None:
    desk.working("A1")
    desk.fill("A1", 90, 110, "f1")
    desk.bust("A1", "f1", exec_id="b1")
    assert desk.bust("A1", "f1", exec_id="b2", cum_qty=0) == []
    assert desk.outcome == ([("bust", "b2", "0", "0", "order:A1")], [])
    assert desk.details[-1] == {"repeated": "f1"}
    assert desk.state("A1")[2] == "0"


def test_a_correction_of_what_was_busted_before_is_not_applied_and_raised(desk: Desk) -> None:
    desk.working("A1")
    desk.fill("A1", 90, 110, "f1")
    desk.bust("A1", "f1", exec_id="b1")
    assert desk.correct("A1", "f1", 80, 110, exec_id="k1", cum_qty=0) == []
    assert desk.outcome == ([("correct", "k1", "80", "110", "order:A1")], [("correction_after_bust", "open")])
    assert desk.items[-1].text == "correction k1 of ExecRefID(19) f1, which was busted: not applied"
    assert desk.state("A1")[2] == "0"


def test_a_bust_of_an_earlier_days_fill_counts_once(desk: Desk) -> None:
    desk.working("A1", time_in_force="1")
    desk.fill("A1", 40, 10, "f1")
    desk.report("A1", "3")
    desk.tick(days=1)
    bust = {"ref": "f1", "exec_id": "b1", "trade_date": DAY + timedelta(days=1), "cum_qty": 0}
    told = [er("A1", "H", "3", TimeInForce="1", ExecRefID="f1", LastQty=0, LastPx=0)]
    assert (desk.bust("A1", **bust), desk.bust("A1", **bust)) == (told, [])
    booked = [(fill.kind, fill.trade_date) for fill in desk.fills]
    assert booked == [("trade", DAY), ("bust", DAY + timedelta(days=1))]
    assert desk.state("A1")[2] == "0"
    assert desk.open_items() == []


def test_a_fill_under_the_exec_id_of_another_report_is_booked(desk: Desk) -> None:
    desk.new("A1")
    desk.report("A1", "0", exec_id="e1")
    assert desk.fill("A1", 40, exec_id="e1", cum_qty=40) == [fill_er("A1", "1", 40, cum=40)]


def test_an_exec_id_used_again_for_the_same_order_on_another_trade_date_is_raised(desk: Desk) -> None:
    desk.working("A1")
    desk.fill("A1", 40, exec_id="f1")
    assert desk.fill("A1", 30, exec_id="f1", trade_date=DAY + timedelta(days=1)) == []
    assert desk.open_items() == ["exec_id_reused"]


@pytest.mark.parametrize("ref", ["f9", ""])
def test_a_bust_of_an_execution_nobody_knows_is_kept_and_raised(desk: Desk, ref: str) -> None:
    desk.working("A1")
    desk.fill("A1", 90, 110, "f1")
    assert desk.bust("A1", ref, exec_id="b1") == []
    assert desk.outcome == ([("bust", "b1", "0", "0", "order:A1")], [("unknown_execution", "open")])
    assert desk.items[-1].text == f"ExecRefID(19) {ref or 'absent'} names no execution of this order"
    assert desk.state("A1")[2] == "90"


def test_a_bust_told_twice_is_booked_once(desk: Desk) -> None:
    desk.working("A1")
    desk.fill("A1", 90, 110, "f1")
    desk.bust("A1", "f1", exec_id="b1")
    assert desk.bust("A1", "f1", exec_id="b1") == []
    assert desk.outcome == ([], [])


def test_a_bust_of_a_canceled_order_leaves_it_canceled(desk: Desk) -> None:
    desk.working("A1")
    desk.fill("A1", 50, 50, "f1")
    desk.report("A1", "4")
    assert desk.bust("A1", "f1") == [er("A1", "H", "4", leaves=0, ExecRefID="f1", LastQty=0, LastPx=0)]
    assert desk.open_items() == []


def test_a_fill_after_a_replace_may_be_corrected_under_the_new_id(desk: Desk) -> None:
    desk.working("A1")
    desk.fill("A1", 90, 120, "f1")
    desk.replace("R1", "A1", 120)
    desk.report("R1", "5", orig="A1", order_qty=120)
    sent = desk.correct("R1", "f1", 95, 120)
    assert sent == [er("R1", "G", "1", qty=120, cum=95, avg=120, ExecRefID="f1", LastQty=95, LastPx=120)]


# -- fills that should not be -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("ends", "status"), [("4", "4"), ("C", "C")])
def test_a_fill_after_the_end_is_a_fact_booked_told_and_raised(desk: Desk, ends: str, status: str) -> None:
    desk.working("A1")
    desk.report("A1", ends)
    assert desk.fill("A1", 40, exec_id="f1") == [fill_er("A1", status, 40, cum=40, leaves=0)]
    assert desk.outcome == ([("trade", "f1", "40", "10", "order:A1")], [("fill_after_end", "open")])


def test_a_fill_of_a_rejected_order_brings_it_back(desk: Desk) -> None:
    desk.new("A1")
    desk.report("A1", "8")
    assert desk.fill("A1", 40) == [fill_er("A1", "1", 40, cum=40)]
    assert desk.open_items() == ["fill_after_end"]
    assert desk.state("A1")[0] == "working"


def test_more_than_was_ordered_is_booked_told_and_raised(desk: Desk) -> None:
    desk.working("A1")
    desk.fill("A1", 90)
    assert desk.fill("A1", 30) == [fill_er("A1", "2", 30, cum=120, leaves=0)]
    assert desk.outcome.items == [("overfill", "open")]
    assert desk.items[-1].text == "filled 120 of OrderQty(38) 100"


def test_quantities_that_do_not_add_up_are_raised_and_resolved_when_they_agree_again(desk: Desk) -> None:
    desk.working("A1")
    assert desk.fill("A1", 10, cum_qty=30) == [fill_er("A1", "1", 10, cum=10)]
    assert desk.outcome.items == [("quantity_mismatch", "open")]
    assert desk.items[-1].text == "broker's CumQty(14) 30, ledger's 10"
    assert desk.fill("A1", 20, cum_qty=30) == [fill_er("A1", "1", 20, cum=30)]
    assert desk.outcome.items == [("quantity_mismatch", "resolved")]
    assert desk.open_items() == []


def test_a_mismatch_that_comes_back_is_a_new_item(desk: Desk) -> None:
    desk.working("A1")
    desk.fill("A1", 10, cum_qty=30)
    desk.fill("A1", 20, cum_qty=30)
    desk.fill("A1", 10, cum_qty=99)
    assert [item.state for item in desk.items] == ["open", "resolved", "open"]
    assert len({item.item_id for item in desk.items}) == 2


def test_a_report_without_cum_qty_is_not_held_against_the_ledger(desk: Desk) -> None:
    desk.working("A1")
    desk.fill("A1", 10, cum_qty=None)
    assert desk.open_items() == []


@pytest.mark.parametrize(
    ("qty", "px"), [(None, 10), (10, None), (0, 10), (-10, 10)], ids=["no qty", "no px", "zero", "negative"]
)
def test_a_fill_without_shares_or_price_cannot_be_booked_and_is_raised(desk: Desk, qty: object, px: object) -> None:
    desk.working("A1")
    assert desk.fill("A1", qty, px, cum_qty=None) == []
    assert desk.outcome == ([], [("fill_without_quantity", "open")])
    assert desk.state("A1") == ("working", "100", "0", [])


@pytest.mark.parametrize("exec_id", ["", "0"])
def test_a_fill_without_an_id_cannot_be_booked_and_is_raised(desk: Desk, exec_id: str) -> None:
    desk.working("A1")
    assert desk.report("A1", "F", last_qty=10, last_px=10, exec_id=exec_id, cum_qty=10) == []
    assert desk.outcome == ([], [("fill_without_id", "open")])


def test_a_fill_is_booked_although_another_field_of_its_report_cannot_be_read(desk: Desk) -> None:
    desk.working("A1")
    problem = Problem("LeavesQty(151)", "NaN is not a number", "99")
    assert desk.fill("A1", 10, problem=problem) == [fill_er("A1", "1", 10, cum=10)]
    assert desk.open_items() == ["unreadable_report"]


def test_a_fill_whose_own_quantity_cannot_be_read_is_raised_and_not_booked(desk: Desk) -> None:
    desk.working("A1")
    assert desk.fill("A1", None, problem=Problem("LastQty(32)", "NaN is not a number", "99"), cum_qty=None) == []
    assert desk.outcome == ([], [("unreadable_report", "open")])
    assert desk.state("A1")[2] == "0"


def test_a_price_below_zero_is_a_price(desk: Desk) -> None:
    desk.working("A1")
    assert desk.fill("A1", 10, "-0.5") == [fill_er("A1", "1", 10, "-0.5", cum=10, avg="-0.5")]
