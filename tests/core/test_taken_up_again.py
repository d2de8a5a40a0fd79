"""An order that comes back into memory is found, and answered, as one that never left it."""

from __future__ import annotations

from oms.core import messages as m
from oms.core.book import Book
from oms.core.messages import NotSent
from tests.core.desk import Desk
from tests.core.driver import BROKER, BROKER2


def test_a_cancel_is_about_the_broker_it_went_to_also_where_the_order_has_gone_to_another_since() -> None:
    desk = Desk()
    desk.new("A1")
    desk.cancel("A2", "A1")
    order = desk.order("A1")
    first = order.children[0]
    asked = order.to_broker["A2"]
    desk.refuse("A2", "1")
    desk.event(BROKER, NotSent(2, "D", first.child_id, "down"))
    assert [child.broker for child in order.children] == [BROKER, BROKER2]
    again = Book()
    again.add(order)
    assert again.at_broker(asked) == desk.book.at_broker(asked) == (order, first)
    assert again.by_broker_id == desk.book.by_broker_id


def test_cancels_that_were_held_leave_in_the_order_of_their_orders_also_where_one_came_back_late() -> None:
    desk = Desk()
    desk.new("A1")
    desk.new("B1")
    desk.event(BROKER, m.SessionDown())
    desk.cancel("A2", "A1")
    desk.cancel("B2", "B1")
    first = next(iter(desk.book.orders))
    desk.book.orders[first] = desk.book.orders.pop(first)  # it left and came back
    sent = desk.event(BROKER, m.SessionUp(1, 1))
    assert [(one.msg_type, one.fields["ClOrdID"]) for one in sent] == [("F", "to-broker:A2"), ("F", "to-broker:B2")]
