"""A ClOrdID(11) is unique for a day: which order a client means by one that several of its orders have had."""

from __future__ import annotations

import pytest

from oms.core import messages as m
from oms.core.client_ids import ClientIds
from oms.core.order import Order
from tests.core.desk import Desk
from tests.core.driver import BROKER, CLIENT


@pytest.fixture
def desk() -> Desk:
    """A1 of the first day was filled; A1 of the second day works, and then the first is busted: both are alive."""
    desk = Desk().working("A1")
    desk.fill("A1", 100, exec_id="f1")
    first = desk.to_broker("A1")
    desk.tick(1)
    desk.working("A1", qty=300)
    desk.bust(first, "f1", cum_qty=0)
    assert [(one.finished, one.order_qty) for one in orders(desk)] == [(False, 100), (False, 300)]
    return desk


def orders(desk: Desk) -> list[Order]:
    """In order of creation."""
    return [desk.book.orders[name] for name in sorted(desk.book.orders)]


def meant(desk: Desk) -> list[int]:
    """Which order a replace, a status request, a repeat and at last a cancel by A1 mean: their places."""
    number, said = len(desk.events), []
    desk.replace(f"R{number}", "A1", 400, extra=(("59", "9"),))  # refused, as another TimeInForce(59)
    said.append(desk.raw[-1].order_id)
    desk.status("A1")
    said.append(desk.raw[-1].order_id)
    desk.new("A1", poss_resend=True)
    said.append(desk.raw[-1].order_id)
    desk.cancel(f"C{number}", "A1")
    return [sorted(desk.book.orders).index(one) for one in (*said, desk.raw[-1].order_id)]


def test_an_id_means_the_order_that_used_it_today(desk: Desk) -> None:
    assert meant(desk) == [1, 1, 1, 1]


def test_of_two_orders_that_are_alive_an_id_of_another_day_means_the_one_that_used_it_last(desk: Desk) -> None:
    desk.tick(1)
    assert meant(desk) == [1, 1, 1, 1]


def test_when_todays_order_is_over_its_id_means_it_still_but_a_cancel_the_older_one_that_is_alive(desk: Desk) -> None:
    desk.fill("A1", 300)
    assert meant(desk) == [1, 1, 1, 0]
    assert (desk.raw[-1].session, desk.raw[-1].msg_type) == (BROKER, "F")


def test_on_a_day_that_has_not_used_an_id_it_means_the_older_order_if_only_that_is_alive(desk: Desk) -> None:
    desk.fill("A1", 300)
    desk.tick(1)
    assert meant(desk) == [0, 0, 0, 0]


def test_where_all_that_used_an_id_are_over_it_means_the_last_that_used_it(desk: Desk) -> None:
    later = desk.to_broker("A1")
    desk.report(orders(desk)[0].children[0].child_id, "4")
    desk.report(later, "4")
    assert meant(desk) == [1, 1, 1, 1]
    desk.tick(1)
    desk.status("A1")
    assert desk.raw[-1].order_id == orders(desk)[1].order_id


def test_an_id_is_not_free_while_an_order_that_is_alive_again_has_it(desk: Desk) -> None:
    desk.fill("A1", 300)
    desk.tick(1)
    (refused,) = desk.new("A1")
    assert (refused.fields["ExecType"], refused.fields["OrdRejReason"]) == ("8", "6")
    (refused,) = desk.cancel("A1", "A1")
    assert (refused.msg_type, refused.fields["CxlRejReason"]) == ("9", "6")


def test_an_older_order_whose_request_used_an_id_last_is_the_one_it_means() -> None:
    desk = Desk().working("OLD", time_in_force="1")
    desk.tick(1)
    desk.new("A1", qty=5000000)  # refused by a limit, and over at once
    desk.tick(1)
    desk.replace("A1", "OLD", 120)
    desk.report("A1", "5", orig="OLD", order_qty=120)
    desk.report("A1", "4")
    older, newer = orders(desk)
    assert (older.finished, newer.finished) == (True, True)
    assert desk.book.by_client_id.find(CLIENT, "A1", desk.day) is older


def test_an_id_of_a_part_of_a_mass_cancel_is_none_of_the_clients(desk: Desk) -> None:
    (one, *_) = orders(desk)
    desk.logged_out()
    desk.event(CLIENT, m.MassCancelRequest("M1", "7", "", "", "", None))
    key = one.requests[0].cl_ord_id
    assert one.used(key)[0] == 0
    assert desk.book.by_client_id.find(CLIENT, key, desk.day) is None


def test_orders_that_leave_memory_leave_the_others_their_ids(desk: Desk) -> None:
    first, second = orders(desk)
    for leaves, stays in ((first, second), (second, first)):
        ids = ClientIds()
        for order in (first, second, first):
            ids.add(order)
        ids.drop(leaves)
        assert ids.find(CLIENT, "A1", desk.day) is stays
        ids.drop(leaves)
        ids.drop(stays)
        assert (ids.find(CLIENT, "A1", desk.day), ids.named) == (None, {})
