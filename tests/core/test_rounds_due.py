"""When a broker is asked about its orders besides at a logon: on its schedule, and when an operator says so."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, time, timedelta
from typing import Any

import pytest

from oms.core.messages import Command
from tests.core.driver import BROKER, BROKER2, Sent
from tests.core.rounds_desk import RoundsDesk, asked


class Due(RoundsDesk):
    """A desk with an operator, ann, who asks for rounds."""

    def run(self, broker: str = BROKER) -> list[Sent]:
        return self.event("", Command("ann", "reconcile.run", (("broker", broker),)))

    def quiet(self) -> None:
        """The round of the logon is over."""
        self.begin()
        self.status_of("A1", "0", leaves_qty=100)
        self.look(1)
        assert self.book.rounds == {}

    def told(self) -> Any:
        """The answer to the last command."""
        return self.fx.answer


@pytest.fixture
def desk() -> Iterator[Due]:
    made = Due()
    made.working("A1")
    yield made
    made.replayed()


def test_a_round_on_demand_asks_compares_and_says_who_began_it(desk: Due) -> None:
    desk.quiet()
    assert desk.run() == []
    seq, current = desk.events[-1][0], desk.book.rounds[BROKER]
    assert desk.told() == {
        "journal_seq": seq, "round": current.round_id, "source": "order session", "about": BROKER, "how": "each",
        "orders": 1, "cause": "operator ann", "under_way": False,
    }  # fmt: skip
    assert asked(desk.look(1)) == [(BROKER, "H", "to-broker:A1")]
    desk.status_of("A1", "0", leaves_qty=100)
    desk.look(1)
    summary = desk.summary()
    assert (summary["cause"], summary["ended"], summary["matched"]) == ("operator ann", "complete", 1)


def test_a_round_under_way_is_the_answer_and_no_second_one_begins(desk: Due) -> None:
    desk.begin()
    current = desk.book.rounds[BROKER]
    assert desk.run() == []
    assert (desk.told()["round"], desk.told()["cause"], desk.told()["under_way"]) == (current.round_id, "logon", True)
    assert desk.book.rounds == {BROKER: current}


def test_a_round_on_demand_ends_with_a_report_though_the_broker_is_silent(desk: Due) -> None:
    desk.quiet()
    desk.run()
    desk.look(1)
    desk.look(1)
    desk.look(30)
    summary = desk.summary()
    assert (summary["ended"], summary["unanswered"]) == ("time over", [desk.order("A1").order_id])
    assert desk.open_items() == ["status_unanswered"]


def test_a_round_on_demand_without_live_orders_ends_at_once_with_nothing_to_ask(desk: Due) -> None:
    desk.fill("A1", 100)
    desk.up()
    desk.look(3)
    desk.run()
    desk.look(1)
    assert (desk.summary()["orders"], desk.summary()["asked"], desk.summary()["ended"]) == (0, 0, "complete")


def test_what_cannot_be_asked_is_refused_with_the_reason(desk: Due) -> None:
    desk.logged_out()
    desk.run()
    assert desk.told()["refused"] == f"{BROKER} is logged out; its next logon begins a round (`oms sessions list`)"
    desk.run("NOBODY")
    assert desk.told()["refused"] == "NOBODY is no broker session"
    other = Due(status_requests=False)
    other.run()
    assert other.told()["refused"] == (
        f"{BROKER} answers neither OrderMassStatusRequest(AF) nor OrderStatusRequest(H), says its dialect"
    )


def test_an_order_on_its_way_is_left_out_and_one_unanswered_for_long_is_asked_for(desk: Due) -> None:
    desk.quiet()
    desk.new("A2")
    desk.now += timedelta(seconds=60)
    desk.new("A3")
    desk.run()
    assert sorted(desk.book.rounds[BROKER].left) == [desk.order("A1").order_id, desk.order("A2").order_id]


def test_a_schedule_begins_a_round_so_long_after_the_last_one() -> None:
    desk = Due(round_every=timedelta(minutes=15))
    desk.working("A1")
    desk.quiet()
    for _ in range(14):
        desk.look(60)
    assert desk.book.rounds == {}
    desk.look(60)
    assert desk.book.rounds[BROKER].cause == "schedule"
    desk.look(1)
    desk.status_of("A1", "0", leaves_qty=100)
    desk.look(1)
    desk.look(14 * 60)
    assert desk.book.rounds == {}  # counted from the last one
    desk.run()
    desk.look(1)
    desk.status_of("A1", "0", leaves_qty=100)
    desk.look(1)
    desk.look(10 * 60)
    assert desk.book.rounds == {}  # also from one that an operator began


def test_a_schedule_by_times_of_day_begins_one_round_at_each_also_at_midnight() -> None:
    desk = Due(round_times=(time(13, 30, tzinfo=UTC), time(0, 0, tzinfo=UTC)))  # the clock begins at 13:00
    desk.working("A1")
    desk.quiet()
    begun = []
    for _ in range(24 * 60):
        desk.look(60)
        if BROKER in desk.book.rounds:
            begun.append(f"{desk.now:%H:%M}")
            desk.look(1)
            desk.status_of("A1", "0", leaves_qty=100)
            desk.look(1)
    assert begun == ["13:30", "00:00"]


def test_nothing_is_begun_by_schedule_where_no_order_lives_or_the_session_is_away() -> None:
    desk = Due(round_every=timedelta(minutes=15))
    desk.working("A1")
    desk.quiet()
    desk.logged_out()
    desk.look(3600)
    assert desk.book.rounds == {}
    desk.quiet()
    desk.fill("A1", 100)
    desk.look(3600)
    assert desk.book.rounds == {}
    desk.up(BROKER2)
    desk.look(3600)
    assert desk.book.rounds == {}
