"""Reports that come late or out of order, one example each: what is raised, when it is resolved, what is told.

The properties behind them are in `test_any_order`. What no order of arrival can tell has its rule in a test's name.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from itertools import permutations

import pytest

from tests.core.desk import Desk, er, fill_er, own
from tests.core.driver import START
from tests.core.test_any_order import exec_ids_told


@pytest.fixture
def desk() -> Desk:
    return Desk().working("A1")


def test_an_older_fill_that_arrives_late_is_a_fill_like_any_other_and_settles_the_quantities(desk: Desk) -> None:
    assert desk.fill("A1", 20, exec_id="f2", cum_qty=30) == [fill_er("A1", "1", 20, cum=20)]
    assert [(item.kind, item.text) for item in desk.items] == [
        ("quantity_mismatch", "broker's CumQty(14) 30, ledger's 20")
    ]
    assert desk.fill("A1", 10, exec_id="f1", cum_qty=10) == [fill_er("A1", "1", 10, cum=30)]
    assert desk.outcome.items == [("quantity_mismatch", "resolved")]
    assert desk.items[-1].resolution == f"CumQty(14) 30 agrees in journal row {desk.events[-1][0]}"


@pytest.mark.parametrize("order", list(permutations(range(4))), ids=lambda order: "".join(map(str, order)))
def test_a_missing_fill_is_raised_until_it_arrives_whatever_comes_in_between(
    desk: Desk, order: tuple[int, ...]
) -> None:
    """Fills of 50, 20 and 30, and a bust of the first: the same CumQty(14) is told at different times."""
    reports = [
        ("F", {"exec_id": "f1", "last_qty": 50, "last_px": 10, "cum_qty": 50}),
        ("H", {"exec_id": "b1", "exec_ref_id": "f1", "last_qty": 0, "last_px": 0, "cum_qty": 0}),
        ("F", {"exec_id": "f2", "last_qty": 20, "last_px": 10, "cum_qty": 20}),
        ("F", {"exec_id": "f3", "last_qty": 30, "last_px": 10, "cum_qty": 50}),
    ]
    for at in order:
        exec_type, fields = reports[at]
        desk.report("A1", exec_type, **fields)
    assert desk.open_items() == []
    assert desk.state("A1")[2] == "50"


def test_a_fill_that_never_comes_leaves_the_item_open(desk: Desk) -> None:
    desk.fill("A1", 50, exec_id="f1", cum_qty=50)
    desk.bust("A1", "f1", cum_qty=0)
    desk.fill("A1", 30, exec_id="f3", cum_qty=50)  # of 20 nothing was heard
    desk.report("A1", "4", cum_qty=50)
    assert desk.open_items() == ["quantity_mismatch"]


def test_a_fill_and_its_bust_that_agree_with_each_other_do_not_hide_a_missing_fill(desk: Desk) -> None:
    desk.fill("A1", 20, exec_id="f1", cum_qty=20)
    desk.fill("A1", 5, exec_id="f3", cum_qty=55)  # of 30 before it nothing was heard
    desk.bust("A1", "f3", exec_id="b3", cum_qty=50)
    assert desk.open_items() == ["quantity_mismatch"]
    desk.fill("A1", 30, exec_id="f2", cum_qty=50)
    assert desk.open_items() == []


def test_a_bust_kept_before_a_correction_of_the_same_fill_is_applied_last(desk: Desk) -> None:
    desk.bust("A1", "f1", exec_id="b1", cum_qty=0)
    desk.correct("A1", "f1", 30, 10, exec_id="k1", cum_qty=30)
    sent = desk.fill("A1", 40, exec_id="f1", cum_qty=40)
    assert [(one.fields["ExecType"], one.fields["CumQty"]) for one in sent] == [("F", "40"), ("G", "30"), ("H", "0")]
    assert desk.open_items() == []


def test_a_late_acknowledgement_takes_nothing_back(desk: Desk) -> None:
    desk = Desk()
    desk.new("A1")
    desk.fill("A1", 40, cum_qty=40)
    assert desk.report("A1", "0", cum_qty=0) == [er("A1", "0", "1", cum=40)]
    assert desk.open_items() == []


def test_a_bust_before_its_fill_is_kept_and_told_after_it(desk: Desk) -> None:
    assert desk.bust("A1", "f1", exec_id="b1", cum_qty=0) == []
    assert desk.outcome == ([("bust", "b1", "0", "0", "order:A1")], [("unknown_execution", "open")])
    assert desk.fill("A1", 40, exec_id="f1", cum_qty=40) == [
        fill_er("A1", "1", 40, cum=40),
        own("A1", "H", "0", ExecRefID="f1", LastQty=0, LastPx=0),
    ]
    assert desk.outcome == ([("trade", "f1", "40", "10", "order:A1")], [("unknown_execution", "resolved")])
    assert exec_ids_told(desk) == Counter(fill.client_exec_id for fill in desk.fills)
    assert desk.bust("A1", "f1", exec_id="b1", cum_qty=0) == []
    assert desk.open_items() == []


def test_a_chain_of_corrections_before_its_fill_is_told_in_its_own_order(desk: Desk) -> None:
    desk.bust("A1", "k2", exec_id="b1", cum_qty=0)
    desk.correct("A1", "k1", 30, 11, exec_id="k2", cum_qty=30)
    desk.correct("A1", "f1", 20, 10, exec_id="k1", cum_qty=20)
    sent = desk.fill("A1", 40, exec_id="f1", cum_qty=40)
    told = [(one.fields["ExecType"], one.fields.get("ExecRefID"), one.fields["CumQty"]) for one in sent]
    assert told == [("F", None, "40"), ("G", "f1", "20"), ("G", "k1", "30"), ("H", "k2", "0")]
    assert desk.open_items() == []


def test_amendments_that_name_one_another_wait_for_ever_and_stop_nothing(desk: Desk) -> None:
    desk.correct("A1", "k2", 20, 10, exec_id="k1", cum_qty=0)
    desk.correct("A1", "k1", 30, 10, exec_id="k2", cum_qty=0)
    desk.correct("A1", "k3", 30, 10, exec_id="k3", cum_qty=0)
    assert desk.fill("A1", 40, exec_id="f1", cum_qty=40) == [fill_er("A1", "1", 40, cum=40)]
    assert desk.open_items() == ["unknown_execution"]


def test_of_two_corrections_of_the_first_exec_id_without_times_the_later_to_arrive_stands(desk: Desk) -> None:
    desk.fill("A1", 40, exec_id="f1")
    desk.correct("A1", "f1", 20, 10, exec_id="k2", cum_qty=20)
    desk.correct("A1", "f1", 30, 10, exec_id="k1", cum_qty=30)
    assert desk.state("A1")[2] == "30"


def test_a_correction_that_a_later_one_overtook_is_kept_in_the_ledger_and_not_told(desk: Desk) -> None:
    desk.fill("A1", 40, exec_id="f1")
    desk.correct("A1", "f1", 20, 10, exec_id="k2", cum_qty=20, transact_time=START + timedelta(seconds=2))
    sent = desk.correct("A1", "f1", 30, 10, exec_id="k1", cum_qty=30, transact_time=START + timedelta(seconds=1))
    assert sent == []
    assert desk.outcome == ([("correct", "k1", "30", "10", "order:A1")], [])
    assert desk.details[-1] == {"overtaken": "f1"}
    assert desk.state("A1")[2] == "20"


@pytest.mark.parametrize("ends", ["4", "C"])
def test_a_fill_that_the_end_overtook_is_told_and_not_raised(desk: Desk, ends: str) -> None:
    desk.report("A1", ends, cum_qty=40)
    assert desk.open_items() == ["quantity_mismatch"]
    assert desk.fill("A1", 40, cum_qty=40) == [fill_er("A1", ends, 40, cum=40, leaves=0)]
    assert desk.outcome.items == [("quantity_mismatch", "resolved")]


def test_a_fill_after_the_end_stays_raised_although_an_older_one_arrives(desk: Desk) -> None:
    desk.report("A1", "4", cum_qty=10)
    desk.fill("A1", 30, exec_id="f2", cum_qty=40)
    desk.fill("A1", 10, exec_id="f1", cum_qty=10)
    assert desk.open_items() == ["fill_after_end"]


def test_an_older_fill_of_an_order_refused_late_does_not_bring_it_back(desk: Desk) -> None:
    desk.report("A1", "8", cum_qty=40)
    assert desk.fill("A1", 40, cum_qty=40) == [fill_er("A1", "1", 40, cum=40, leaves=0)]
    assert desk.state("A1")[0] == "rejected"
    assert desk.open_items() == []


def test_fills_beyond_the_old_quantity_are_raised_until_their_replace_arrives(desk: Desk) -> None:
    desk.replace("R1", "A1", 150)
    assert desk.fill("R1", 120, cum_qty=120) == [fill_er("R1", "2", 120, cum=120, leaves=0)]
    assert desk.open_items() == ["overfill"]
    assert desk.report("R1", "5", orig="A1", order_qty=150, cum_qty=0) == [
        er("R1", "5", "1", qty=150, cum=120, OrigClOrdID="A1")
    ]
    assert desk.open_items() == []


def test_of_two_replaces_the_later_asked_for_stands_whichever_arrives_last(desk: Desk) -> None:
    desk.replace("R1", "A1", 150)
    desk.replace("R2", "R1", 180)
    desk.report("R2", "5", orig="R1", order_qty=180)
    assert desk.report("R1", "5", orig="A1", order_qty=150) == [er("R1", "5", "0", qty=180, OrigClOrdID="A1")]
    assert desk.state("A1") == ("working", "180", "0", [("R1", "accepted"), ("R2", "accepted")])
    assert desk.order("A1").cl_ord_id == "R2"


def test_a_pending_cancel_that_arrives_after_the_cancel_is_told_with_the_status_canceled(desk: Desk) -> None:
    desk.cancel("C1", "A1")
    desk.report("C1", "4", orig="A1")
    assert desk.report("C1", "6", orig="A1", ord_status="6") == [er("C1", "6", "4", leaves=0, OrigClOrdID="A1")]
