"""Orders that live over several days, corporate actions, and busts of what is long past: beside the scenarios."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from tests.core.desk import Desk, er, fill_er, own
from tests.core.driver import DAY, plain

GTC = {"TimeInForce": "1"}
DAY2 = DAY + timedelta(days=1)
SPLIT = (("378", "0"),)


def overnight(desk: Desk, qty: int = 20, px: int = 10) -> None:
    """A good-till-cancel order that traded on its first day, next morning."""
    desk.working("A1", time_in_force="1")
    desk.fill("A1", qty, px, "f1")
    desk.report("A1", "3")
    desk.tick(days=1)


def test_a_fill_next_day_shows_that_the_order_is_at_work_again_although_no_renewal_was_told(desk: Desk) -> None:
    overnight(desk)
    day = {"extra": (("424", "80"), ("425", "10"), ("426", "11")), "trade_date": DAY2, "ord_status": "1"}
    assert desk.fill("A1", 10, 11, "f2", **day) == [
        fill_er("A1", "1", 10, 11, cum=30, avg="10.33333333", **GTC, **{"424": "80", "425": "10", "426": "11"})
    ]
    assert desk.state("A1")[0] == "working"


def test_a_fill_that_done_for_day_overtook_leaves_the_order_done_for_day(desk: Desk) -> None:
    desk.working("A1", time_in_force="1")
    desk.report("A1", "3", cum_qty=20)
    assert desk.fill("A1", 20, ord_status="1") == [fill_er("A1", "3", 20, cum=20, **GTC)]
    assert desk.open_items() == []


def test_a_fill_that_the_broker_tells_as_done_for_day_leaves_it_so(desk: Desk) -> None:
    overnight(desk)
    assert desk.fill("A1", 5, ord_status="3") == [fill_er("A1", "3", 5, cum=25, **GTC)]


def test_a_bust_of_an_earlier_days_fill_opens_the_order_by_so_much(desk: Desk) -> None:
    overnight(desk)
    desk.report("A1", "D", extra=(("378", "1"),))
    desk.fill("A1", 10, 11, "f2", trade_date=DAY2)
    sent = desk.bust("A1", "f1", trade_date=DAY2, extra=(("424", "100"), ("425", "10")))
    assert sent == [
        er("A1", "H", "1", cum=10, avg=11, LastQty=0, LastPx=0, ExecRefID="f1", **GTC, **{"424": "100", "425": "10"})
    ]
    assert [(one.kind, one.trade_date, one.exec_ref_id) for one in desk.fills] == [
        ("trade", DAY, ""), ("trade", DAY2, ""), ("bust", DAY2, "f1"),
    ]  # fmt: skip


def test_a_correction_upwards_leaves_a_day_order_done_for_the_day(desk: Desk) -> None:
    desk.working("A1")
    desk.fill("A1", 50, exec_id="f1")
    desk.report("A1", "3")
    assert desk.correct("A1", "f1", 60, 10, ord_status="3") == [
        er("A1", "G", "3", cum=60, leaves=0, LastQty=60, LastPx=10, ExecRefID="f1")
    ]


# -- corporate actions ------------------------------------------------------------------------------------------


def split(desk: Desk) -> None:
    """Two fills at 10 and 12, then two for one."""
    overnight(desk)
    desk.fill("A1", 20, 12, "f2", trade_date=DAY2)
    sent = desk.report(
        "A1", "D", exec_id="s1", order_qty=200, price=5, cum_qty=80, extra=SPLIT, trade_date=DAY2, ord_status="1"
    )
    assert sent == [er("A1", "D", "1", qty=200, cum=80, avg="5.5", Price=5, ExecRestatementReason="0", **GTC)]


def test_a_split_restates_every_fill_and_keeps_the_money(desk: Desk) -> None:
    split(desk)
    assert desk.outcome == (
        [("correct", "s1:f1", "40", "5", "order:A1"), ("correct", "s1:f2", "40", "6", "order:A1")],
        [],
    )
    assert [one.exec_ref_id for one in desk.fx.fills] == ["f1", "f2"]
    assert desk.order("A1").notional == 20 * 10 + 20 * 12
    assert desk.fill("A1", 120, 5) == [
        fill_er("A1", "2", 120, 5, qty=200, cum=200, avg="5.2", Price=5, **GTC),
    ]


def test_a_bust_after_a_split_may_name_the_fill_as_it_was_first_told(desk: Desk) -> None:
    split(desk)
    (sent,) = desk.bust("A1", "f1", cum_qty=40, trade_date=DAY2)
    assert (sent.fields["CumQty"], sent.fields["LeavesQty"], sent.fields["AvgPx"]) == ("40", "160", "6")
    assert sent.fields["ExecRefID"] == "s1:f1"  # the client knows it by the report of the split
    assert desk.open_items() == []


def test_the_client_knows_the_restated_fills_by_the_report_of_the_split(desk: Desk) -> None:
    split(desk)
    told = desk.raw[-1].fields["17"]
    assert [one.client_exec_id for one in desk.fx.fills] == [told, f"{told}-1"]


def test_a_reverse_split_loses_no_share_to_rounding(desk: Desk) -> None:
    desk.working("A1", time_in_force="1")
    for number in range(3):
        desk.fill("A1", 1, 10, f"f{number}")
    desk.report("A1", "D", exec_id="s1", order_qty=99, extra=(("378", "5"),))
    desk.report("A1", "D", exec_id="s2", order_qty=33, cum_qty=1, extra=SPLIT)
    quantities = [plain(one.last_qty) for one in desk.fx.fills]
    assert quantities == ["0.3333333333", "0.3333333333", "0.3333333334"]
    assert (desk.order("A1").cum_qty, desk.open_items()) == (Decimal(1), [])


def test_a_corporate_action_whose_quantities_agree_in_no_ratio_restates_no_fill(desk: Desk) -> None:
    overnight(desk)
    sent = desk.report("A1", "D", exec_id="s1", order_qty=200, cum_qty=30, extra=SPLIT)
    assert sent == [er("A1", "D", "1", qty=200, cum=20, ExecRestatementReason="0", **GTC)]
    assert desk.outcome == ([], [("quantity_mismatch", "open")])


def test_a_split_before_anything_traded_restates_the_terms_only(desk: Desk) -> None:
    desk.working("A1", time_in_force="1")
    sent = desk.report("A1", "D", exec_id="s1", order_qty=200, price=5, extra=SPLIT)
    assert sent == [er("A1", "D", "0", qty=200, Price=5, ExecRestatementReason="0", **GTC)]
    assert desk.outcome == ([], [])


# -- a cancel that overtakes the acknowledgement ----------------------------------------------------------------


def test_new_is_told_as_new_although_a_cancel_is_pending(desk: Desk) -> None:
    desk.new("A1")
    desk.cancel("C1", "A1")
    desk.report("C1", "6", orig="A1")
    assert desk.report("A1", "0", ord_status="0") == [er("A1", "0", "0")]
    assert desk.fill("A1", 10, ord_status="6") == [fill_er("A1", "6", 10, cum=10)]


def test_new_with_a_pending_cancel_is_told_as_the_broker_tells_it(desk: Desk) -> None:
    desk.new("A1")
    desk.cancel("C1", "A1")
    desk.report("C1", "6", orig="A1")
    assert desk.report("A1", "0", ord_status="6") == [er("A1", "0", "6")]
    desk.logged_out()
    assert desk.status("A1") == [own("A1", "I", "6", ExecID="0")]
