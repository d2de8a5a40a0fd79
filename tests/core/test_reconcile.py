"""A broker's word on our orders is compared with the ledger after each logon; it opens items, and moves nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from oms.core.messages import ResendDeclined
from tests.core.driver import BROKER, BROKER2
from tests.core.rounds_desk import RoundsDesk, asked, end_of, rejected


@pytest.fixture
def desk() -> Iterator[RoundsDesk]:
    """A broker that answers OrderStatusRequest(H)."""
    made = RoundsDesk()
    yield made
    made.replayed()


# -- begin and ask -----------------------------------------------------------------------------------------------


def test_live_orders_are_asked_for_two_seconds_after_a_logon_and_not_before(desk: RoundsDesk) -> None:
    desk.working("A1")
    desk.working("A2", px=11)
    assert desk.up() == []
    assert desk.look(1.9) == []
    assert desk.look(0.2) == []  # begun
    assert desk.verdict() == {
        "round": next(iter(desk.book.rounds.values())).round_id, "source": "order session", "about": BROKER,
        "how": "each", "orders": 2, "cause": "logon",
    }  # fmt: skip
    assert asked(desk.look(1)) == [(BROKER, "H", "to-broker:A1"), (BROKER, "H", "to-broker:A2")]
    assert desk.look(1) == []


def test_so_many_questions_leave_in_a_second_as_the_dialect_says() -> None:
    desk = RoundsDesk(status_requests_per_second=2)
    for number in range(5):
        desk.working(f"A{number}")
    desk.up()
    assert [len(desk.look(2)) for _ in range(5)] == [0, 2, 2, 1, 0]


def test_nothing_is_asked_where_the_broker_answers_nothing() -> None:
    desk = RoundsDesk(status_requests=False)
    desk.working("A1")
    assert desk.begin() == []
    assert desk.book.rounds == {}


def test_nothing_is_begun_where_no_order_lives_there(desk: RoundsDesk) -> None:
    desk.working("A1")
    desk.fill("A1", 100)
    before = len(desk.events)
    desk.begin()
    assert len(desk.events) == before + 1  # the logon


def test_each_logon_begins_a_round_of_its_own(desk: RoundsDesk) -> None:
    desk.working("A1")
    assert len(desk.begin()) == 1
    desk.logged_out()
    assert desk.summary()["ended"] == "session cut"
    assert desk.summary()["unanswered"] == [desk.order("A1").order_id]
    assert desk.open_items() == []
    assert len(desk.begin()) == 1


def test_what_has_ended_before_its_turn_is_not_asked_for() -> None:
    desk = RoundsDesk(status_requests_per_second=1)
    desk.working("A1")
    desk.working("A2")
    desk.begin()
    desk.fill("A2", 100)
    assert desk.look(1) == []
    desk.status_of("A1", "0")
    summary = end_of(desk)
    assert (summary["asked"], summary["matched"], summary["settled"]) == (1, 1, 1)


def test_other_brokers_are_left_alone(desk: RoundsDesk) -> None:
    desk.working("A1")
    desk.up(BROKER2)
    desk.look(2)
    assert desk.look(1) == []


# -- answers -----------------------------------------------------------------------------------------------------


def test_an_answer_that_agrees_is_matched_and_the_round_ends_with_the_last(desk: RoundsDesk) -> None:
    desk.working("A1")
    desk.fill("A1", 40)
    desk.begin()
    assert desk.status_of("A1", "1", leaves_qty=60) == []
    round_id = desk.book.rounds[BROKER].round_id
    assert desk.verdict() == {"verdict": "matched", "round": round_id}
    desk.look(1)
    assert desk.summary() == {
        "round": round_id, "how": "each", "orders": 1, "ended": "complete", "asked": 1, "matched": 1, "overtaken": 0,
        "settled": 0, "cause": "logon",
        "counts": {"differing": 0, "missing_here": 0, "adopted": 0, "unanswered": 0, "refused": 0},
        "differing": [], "missing_here": [], "adopted": [], "unanswered": [], "refused": [],
    }  # fmt: skip
    assert desk.open_items() == []


def test_another_state_is_raised_moves_nothing_and_closes_when_the_execution_comes(desk: RoundsDesk) -> None:
    desk.working("A1")
    desk.begin()
    before = desk.state("A1")
    assert desk.status_of("A1", "4", leaves_qty=0) == []
    assert (desk.state("A1"), desk.open_items()) == (before, ["state_mismatch"])
    assert desk.items[-1].text == "BROKER1 answers OrdStatus(39) 4, the order is working"
    desk.look(1)
    order_id, seq = desk.order("A1").order_id, desk.events[-2][0]
    assert desk.summary()["differing"] == [[order_id, ["state_mismatch"], seq]]
    desk.report("A1", "4")
    assert desk.open_items() == []


def test_more_filled_there_is_raised_and_no_fill_is_invented_until_its_execution_comes(desk: RoundsDesk) -> None:
    desk.working("A1")
    desk.begin()
    assert desk.status_of("A1", "1", cum_qty=40, leaves_qty=60) == []
    assert (desk.open_items(), desk.fills, desk.state("A1")[2]) == (["quantity_mismatch"], [], "0")
    desk.fill("A1", 40, cum_qty=40)
    assert (desk.open_items(), desk.state("A1")[2]) == ([], "40")


def test_less_filled_there_is_raised_until_a_later_word_agrees(desk: RoundsDesk) -> None:
    desk.working("A1")
    desk.fill("A1", 40)
    desk.begin()
    desk.status_of("A1", "0", cum_qty=0, leaves_qty=100)
    assert desk.open_items() == ["quantity_mismatch"]
    assert desk.state("A1")[2] == "40"
    desk.logged_out()
    desk.begin()
    desk.status_of("A1", "0", cum_qty=0, leaves_qty=100)
    assert [(one.kind, one.state) for one in desk.items] == [("quantity_mismatch", "open")]  # once, for both answers
    desk.fill("A1", 10)
    assert desk.open_items() == []


def test_other_leaves_are_raised_and_a_later_answer_closes_it(desk: RoundsDesk) -> None:
    desk.working("A1")
    desk.begin()
    desk.status_of("A1", "0", leaves_qty=50)
    assert desk.open_items() == ["leaves_mismatch"]
    assert desk.items[-1].text == "broker's LeavesQty(151) 50, ours 100"
    desk.logged_out()
    desk.begin()
    desk.status_of("A1", "0", leaves_qty=100)
    assert desk.open_items() == []


def test_an_order_that_the_broker_does_not_know_is_raised_and_lives_on(desk: RoundsDesk) -> None:
    desk.working("A1")
    desk.begin()
    assert desk.status_of("A1", "8", text="unknown order") == []
    assert (desk.open_items(), desk.state("A1")[0]) == (["broker_unknown_order"], "working")
    assert desk.verdict()["differences"][0][0] == "broker_unknown_order"
    desk.logged_out()
    desk.begin()
    desk.status_of("A1", "0")
    assert desk.open_items() == []


def test_a_reject_in_answer_to_a_question_ends_no_order_that_was_working(desk: RoundsDesk) -> None:
    desk.working("A1")
    desk.begin()
    assert desk.report("A1", "8", ord_status="8", ord_rej_reason="5", text="unknown order") == []
    assert (desk.open_items(), desk.state("A1")[0]) == (["broker_unknown_order"], "working")
    desk.look(1)
    assert desk.summary()["counts"]["differing"] == 1


def test_without_a_question_such_a_reject_ends_the_order_as_ever(desk: RoundsDesk) -> None:
    desk.working("A1")
    desk.report("A1", "8", ord_status="8", ord_rej_reason="5")
    assert desk.state("A1")[0] == "rejected"


@pytest.mark.parametrize(
    ("ord_status", "kinds"),
    [("0", []), ("6", []), ("E", ["state_mismatch"]), ("4", ["state_mismatch"]), ("A", ["state_mismatch"])],
)
def test_a_cancel_under_way_agrees_with_pending_cancel_and_with_working(
    desk: RoundsDesk, ord_status: str, kinds: list[str]
) -> None:
    desk.working("A1")
    desk.cancel("K1", "A1")
    desk.begin()
    desk.status_of("A1", ord_status)
    assert desk.open_items() == kinds


def test_an_order_in_doubt_takes_the_brokers_word_and_then_agrees(desk: RoundsDesk) -> None:
    desk.new("A1")
    desk.event(BROKER, ResendDeclined(desk.to_broker("A1")))
    assert desk.state("A1")[0] == "unknown"
    desk.begin()
    desk.status_of("A1", "0")
    assert (desk.state("A1")[0], desk.open_items(), desk.verdict()["verdict"]) == ("working", [], "matched")


def test_an_answer_that_a_report_overtook_raises_nothing_and_is_asked_for_again(desk: RoundsDesk) -> None:
    desk.working("A1")
    desk.begin()
    desk.fill("A1", 40)
    desk.status_of("A1", "0", cum_qty=0, leaves_qty=100)
    assert (desk.open_items(), desk.verdict()["verdict"]) == ([], "overtaken by a report")
    assert asked(desk.look(1)) == [(BROKER, "H", "to-broker:A1")]
    desk.status_of("A1", "1", leaves_qty=60)
    desk.look(1)
    assert (desk.summary()["matched"], desk.summary()["ended"]) == (1, "complete")


def test_an_order_that_is_overtaken_again_and_again_is_left_alone(desk: RoundsDesk) -> None:
    desk.working("A1")
    desk.begin()
    for _ in range(4):
        desk.fill("A1", 10)
        desk.status_of("A1", "0", cum_qty=0, leaves_qty=100)
        desk.look(1)
    assert (desk.summary()["overtaken"], desk.summary()["asked"], desk.open_items()) == (1, 4, [])


def test_an_order_that_is_on_its_way_since_the_logon_is_not_asked_for(desk: RoundsDesk) -> None:
    desk.working("A1")
    desk.new("OLD")
    desk.up()
    desk.new("NEW")
    desk.look(2)
    assert asked(desk.look(1)) == [(BROKER, "H", "to-broker:A1"), (BROKER, "H", "to-broker:OLD")]


# -- what is not answered ----------------------------------------------------------------------------------------


def test_what_is_not_answered_in_time_is_one_item_which_a_full_round_closes(desk: RoundsDesk) -> None:
    desk.working("A1")
    desk.working("A2")
    desk.begin()
    desk.status_of("A1", "0")
    desk.look(1)
    assert desk.look(29) == []
    assert BROKER in desk.book.rounds
    desk.look(1)
    second = desk.order("A2").order_id
    assert desk.summary()["ended"] == "time over"
    assert desk.summary()["unanswered"] == [second]
    assert desk.open_items() == ["status_unanswered"]
    assert desk.items[-1].text.startswith(f"BROKER1 did not tell the state of 1 of 2 orders ({second}): round R")
    assert [desk.state(name)[0] for name in ("A1", "A2")] == ["working", "working"]
    desk.logged_out()
    desk.begin()
    end_of(desk)
    assert desk.open_items() == ["status_unanswered"]  # still the one
    desk.logged_out()
    desk.begin()
    desk.status_of("A1", "0")
    desk.status_of("A2", "0")
    desk.look(1)
    assert desk.open_items() == []


def test_a_refused_question_counts_and_the_others_go_on(desk: RoundsDesk) -> None:
    desk.working("A1")
    desk.working("A2")
    desk.begin()
    desk.event(BROKER, rejected("not you", "H", desk.to_broker("A1")))
    desk.status_of("A2", "0")
    desk.look(1)
    assert desk.summary()["refused"] == [[desk.order("A1").order_id, "not you"]]
    assert (desk.summary()["matched"], desk.open_items()) == (1, ["status_unanswered"])
