"""A replace by cancel and new, when the broker lost what it was sent: what is sent again, and what is not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from oms.sim.peer import FixPeer
from oms.sim.wire import Message
from tests.system.house import House
from tests.system.words import new_order, replace, report, shape

MakeHouse = Callable[..., House]
ROUTES = '[[routes]]\nname = "all"\nbroker = "CANCELS"\n'
NO_WINDOW = {'replace = "cancel_new"': 'replace = "cancel_new"\nresend_window_seconds = 0'}


def pending(make_house: MakeHouse, **more: object) -> tuple[House, FixPeer, FixPeer, Message]:
    """An order whose replace is pending: the broker has the cancel that goes before the new one."""
    house = make_house(
        {"CLIENT1": "4.4"}, {"CANCELS": "4.4"}, dialects={"CANCELS": "cancel-new-fix44"}, routes=ROUTES, **more
    )
    house.peer("CANCELS")
    house.start()
    client, broker = house.up("CLIENT1", "CANCELS")
    client.send(new_order("A1"))
    broker.send(report(broker, broker.expect("D"), "0", "X1"))
    client.expect("8", ExecType="0")
    client.send(replace("A2", "A1", 300))
    request = broker.expect("F")
    client.expect("8", ExecType="E")
    return house, client, broker, request


def ask_again(house: House, number: int) -> None:
    """The broker lost what it had from `number` on: it asks for a resend at its next logon."""
    broker = house.peer("CANCELS")
    broker.lose_from(number)
    broker.wait_logged_on(logons=2)


def new_child(broker: FixPeer, request: Message) -> Message:
    """The broker confirms the cancel; the new order that it gets."""
    broker.send(report(broker, request, "4", "X2", leaves=0, order_id=f"B-{request[41]}"))
    return broker.expect("D")


def test_the_cancel_of_a_fresh_replace_is_sent_again_and_the_replace_goes_on(make_house: MakeHouse) -> None:
    house, client, broker, request = pending(make_house)
    ask_again(house, int(request[34]))
    again = broker.expect("F")
    assert (again[11], again[43]) == (request[11], "Y")
    second = new_child(broker, again)
    broker.send(report(broker, second, "0", "X3"))
    assert shape(client.expect("8")) == ("8", "A2", "5", "0", None, "300", "0")
    assert house.items() == []


def test_the_cancel_of_an_old_replace_is_not_sent_again_and_the_replace_is_refused(make_house: MakeHouse) -> None:
    house, client, broker, request = pending(make_house, dialect=NO_WINDOW)
    ask_again(house, int(request[34]))
    told = client.expect("9")
    assert (told[11], told[41], told[39], told[434]) == ("A2", "A1", "0", "2")
    assert told[58] == "the broker did not get the request in time; it was not sent again"
    broker.expect_nothing("F")


@pytest.mark.parametrize("there", [True, False])
def test_a_new_order_too_old_to_send_again_is_asked_for_and_the_answer_decides(
    make_house: MakeHouse, there: bool
) -> None:
    house, client, broker, request = pending(make_house, dialect=NO_WINDOW)
    second = new_child(broker, request)
    ask_again(house, int(second[34]))
    house.until("SELECT FROM exception_items WHERE kind = 'unknown_outcome'")  # the round at the logon asks too
    query = broker.expect("H")
    assert (query[11], house.items()) == (second[11], [("unknown_outcome", "error", "CANCELS")])
    status, more = ("0", "") if there else ("8", "58=never seen")
    broker.send(report(broker, query, "I", "0", ord_status=status, qty=300, leaves=300 if there else 0, more=more))
    told = client.expect("8")
    if there:
        assert shape(told) == ("8", "A2", "5", "0", None, "300", "0")
    else:
        said = "the order was canceled to be replaced, and the new one was refused: never seen"
        assert (shape(told), told[58]) == (("8", "A2", "4", "4", None, "0", "0"), said)
    broker.expect_nothing("D")
    house.until("SELECT FROM exception_items WHERE state = 'resolved'")


def test_a_fresh_new_order_is_sent_again(make_house: MakeHouse) -> None:
    house, client, broker, request = pending(make_house)
    second = new_child(broker, request)
    ask_again(house, int(second[34]))
    again = broker.expect("D")
    assert (again[11], again[43]) == (second[11], "Y")
    broker.send(report(broker, again, "0", "X3"))
    assert shape(client.expect("8")) == ("8", "A2", "5", "0", None, "300", "0")
    assert house.items() == []
