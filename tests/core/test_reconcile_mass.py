"""One OrderMassStatusRequest(AF) for all orders at a broker: what its answer names, and what it leaves out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.core.driver import BROKER, CLIENT, Sent
from tests.core.rounds_desk import RoundsDesk, asked, end_of, rejected


@pytest.fixture
def mass() -> Iterator[RoundsDesk]:
    """A broker that answers OrderMassStatusRequest(AF)."""
    made = RoundsDesk(mass_status=True)
    yield made
    made.replayed()


def part(desk: RoundsDesk, **more: str) -> dict[str, Any]:
    """The fields that make a report a part of the answer to our OrderMassStatusRequest(AF)."""
    round_id = desk.book.rounds[BROKER].round_id
    return {"extra": (("584", round_id), *((tag, value) for tag, value in more.items()))}


def test_one_request_asks_for_all_where_the_dialect_has_it_even_if_no_order_lives(mass: RoundsDesk) -> None:
    mass.up()
    (sent,) = mass.look(2)
    round_id = mass.book.rounds[BROKER].round_id
    assert sent == Sent(BROKER, "AF", {"MassStatusReqID": round_id, "585": "7"})


def test_an_answer_older_than_the_end_of_the_order_raises_nothing(mass: RoundsDesk) -> None:
    mass.working("A1")
    mass.begin()
    mass.report("A1", "4")
    mass.status_of("A1", "0", leaves_qty=100, **part(mass, **{"912": "Y"}))
    mass.look(1)
    assert (mass.open_items(), mass.summary()["overtaken"]) == ([], 1)


def test_what_a_complete_answer_does_not_name_is_missing_there(mass: RoundsDesk) -> None:
    mass.working("A1")
    mass.working("A2")
    mass.begin()
    mass.status_of("A1", "0", **part(mass, **{"911": "1", "912": "Y"}))
    mass.look(1)
    assert mass.open_items() == ["broker_unknown_order"]
    assert mass.items[-1].text == "BROKER1 answered for all its orders, and did not name this working one"
    assert (mass.summary()["matched"], mass.summary()["unanswered"]) == (1, [])


def test_an_answer_that_never_says_that_it_is_over_leaves_the_others_unanswered(mass: RoundsDesk) -> None:
    mass.working("A1")
    mass.working("A2")
    mass.begin()
    mass.status_of("A1", "0", **part(mass))
    summary = end_of(mass)
    assert summary["unanswered"] == [mass.order("A2").order_id]
    assert mass.open_items() == ["status_unanswered"]


def test_an_order_that_ended_here_and_lives_there_is_raised(mass: RoundsDesk) -> None:
    mass.working("A1")
    mass.report("A1", "4")
    mass.begin()
    mass.status_of("A1", "0", leaves_qty=100, **part(mass, **{"912": "Y"}))
    assert mass.open_items() == ["state_mismatch"]
    mass.look(1)
    assert mass.summary()["counts"]["differing"] == 1


def test_an_order_that_is_not_ours_is_missing_here_and_raised_once(mass: RoundsDesk) -> None:
    mass.begin()
    for _ in range(2):
        mass.report("VOICE", "I", exec_id="0", ord_status="0", order_id="B-9", **part(mass))
        assert mass.verdict()["verdict"] == "missing here"
        first = mass.details[-1].get("raised_by")
        end_of(mass)
        assert mass.summary()["counts"]["missing_here"] == 1
        assert mass.open_items() == ["unknown_order"]
        mass.logged_out()
        mass.begin()
    assert first is not None


def test_the_last_report_ends_the_answer_also_where_it_is_of_no_order_of_ours(mass: RoundsDesk) -> None:
    mass.begin()
    mass.report("VOICE", "I", exec_id="0", ord_status="0", order_id="B-9", **part(mass, **{"912": "Y"}))
    mass.look(1)
    assert mass.summary()["ended"] == "complete"


def test_the_answer_that_there_is_no_order_raises_nothing(mass: RoundsDesk) -> None:
    mass.begin()
    mass.report("", "I", exec_id="0", ord_status="8", order_id="NONE", **part(mass, **{"912": "Y"}))
    mass.look(1)
    assert (mass.open_items(), mass.summary()["ended"]) == ([], "complete")


def test_a_refused_request_for_all_is_followed_by_one_for_each(mass: RoundsDesk) -> None:
    mass.working("A1")
    mass.begin()
    mass.event(BROKER, rejected())
    assert asked(mass.look(1)) == [(BROKER, "H", "to-broker:A1")]
    mass.status_of("A1", "0")
    mass.look(1)
    assert (mass.summary()["how"], mass.summary()["matched"], mass.open_items()) == ("each", 1, [])


def test_a_refused_request_for_all_ends_the_round_where_there_is_no_other() -> None:
    desk = RoundsDesk(mass_status=True, status_requests=False)
    desk.working("A1")
    desk.begin()
    desk.event(BROKER, rejected())
    assert (desk.summary()["ended"], desk.open_items()) == ("refused: no such message", ["status_unanswered"])
    desk.replayed()


def test_clients_hear_nothing_of_a_round(mass: RoundsDesk) -> None:
    mass.working("A1")
    heard = len([one for one in mass.sent if one.session == CLIENT])
    mass.begin()
    mass.status_of("A1", "4", cum_qty=50, **part(mass, **{"912": "Y"}))
    mass.look(1)
    assert len([one for one in mass.sent if one.session == CLIENT]) == heard
