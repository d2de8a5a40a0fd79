"""A client that stays away has its orders canceled once its grace is over, and keeps them if it comes back."""

from __future__ import annotations

from datetime import timedelta

from oms.core import messages as m
from oms.core.disconnect import Grace, Watch
from tests.core.desk import Desk
from tests.core.driver import BROKER, CLIENT, CLIENT2, START

GONE = m.CancelOnDisconnect(10, "1")
GRACES = {CLIENT: Grace(10, "1")}


def away(*cl_ord_ids: str) -> Desk:
    """A desk with working orders of a client that has just been logged out."""
    desk = Desk()
    for one in cl_ord_ids:
        desk.working(one)
    desk.event(CLIENT, m.SessionDown())
    return desk


def found(watch: Watch, *seconds: float) -> list[list[tuple[str, m.CancelOnDisconnect]]]:
    return [list(watch.look(START + timedelta(seconds=at))) for at in seconds]


def test_a_client_is_found_once_when_its_grace_is_over() -> None:
    assert found(Watch(away("A1").book, GRACES), 0, 9, 10, 11, 100) == [[], [], [(CLIENT, GONE)], [], []]


def test_a_client_without_the_setting_or_without_live_orders_is_never_found() -> None:
    assert found(Watch(away("A1").book, {}), 0, 100) == [[], []]
    assert found(Watch(away("A1").book, {CLIENT2: Grace(0)}), 0, 100) == [[], []]
    assert found(Watch(away().book, GRACES), 0, 100) == [[], []]


def test_a_client_that_comes_back_and_goes_again_has_its_whole_grace_again() -> None:
    desk = away("A1")
    watch = Watch(desk.book, GRACES)
    assert found(watch, 0, 9) == [[], []]
    desk.event(CLIENT, m.SessionUp(5, 5))
    desk.event(CLIENT, m.SessionDown())  # between two looks
    assert found(watch, 11, 20, 21) == [[], [], [(CLIENT, GONE)]]
    desk.event(CLIENT, m.SessionUp(5, 5))
    assert found(watch, 22) == [[]]
    desk.event(CLIENT, m.SessionDown())
    assert found(watch, 30, 40) == [[], [(CLIENT, GONE)]]


def test_every_order_but_the_exempt_ones_and_other_clients_is_canceled_once_and_the_client_is_told() -> None:
    desk = Desk()
    desk.working("A1")
    desk.new("A2", time_in_force="1")
    desk.new("A3", client=CLIENT2)
    desk.event(CLIENT, m.SessionDown())
    asked = desk.event(CLIENT, GONE)
    assert [(one.session, one.msg_type, one.fields["OrigClOrdID"]) for one in asked] == [
        (BROKER, "F", "to-broker:A1")
    ]
    assert desk.event(CLIENT, GONE) == []  # its cancel is under way
    request = desk.order("A1").requests[-1]
    (told,) = desk.report(request.broker_cl_ord_id, "4", orig="A1")
    assert (told.session, told.fields["OrdStatus"], "OrigClOrdID" in told.fields) == (CLIENT, "4", False)
    assert [desk.order("A2").finished, desk.order("A3", CLIENT2).finished] == [False, False]
    desk.replayed()


def test_a_client_that_is_back_when_its_orders_are_to_be_canceled_keeps_them() -> None:
    desk = away("A1")
    desk.event(CLIENT, m.SessionUp(5, 5))
    assert desk.event(CLIENT, GONE) == []
    assert desk.details[-1]["disconnect"] == {"back": True}
    desk.replayed()


def test_a_cancel_waits_for_a_broker_that_is_away() -> None:
    desk = away("A1")
    desk.event(BROKER, m.SessionDown())
    assert [(one.session, one.fields["OrdStatus"]) for one in desk.event(CLIENT, GONE)] == [(CLIENT, "6")]
    (asked,) = desk.event(BROKER, m.SessionUp(5, 5))
    assert (asked.session, asked.msg_type) == (BROKER, "F")
    desk.replayed()
