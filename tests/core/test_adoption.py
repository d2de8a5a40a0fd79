"""Orders that a broker reports and nobody gave: adopted where the dialect says so, and told to no client."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from oms.core import messages as m
from oms.core.order import Order
from tests.core.driver import BROKER, BROKER2, CLIENT, Sent
from tests.core.rebuilt import restart
from tests.core.rounds_desk import RoundsDesk

TERMS = {"order_id": "B-9", "order_qty": 100, "price": 10, "cum_qty": 0}


@pytest.fixture
def desk() -> Iterator[RoundsDesk]:
    """A broker whose unknown orders are adopted."""
    made = RoundsDesk(adopts=True)
    yield made
    made.replayed()


def voice(desk: RoundsDesk, exec_type: str = "0", **more: Any) -> list[Sent]:
    """BROKER1 reports on its own order VOICE."""
    return desk.report("VOICE", exec_type, **(TERMS | more))


def adopted(desk: RoundsDesk) -> Order:
    """The one order without a client."""
    (order,) = [order for order in desk.book.orders.values() if not order.client]
    return order


def stop(desk: RoundsDesk, order_id: str = "", text: str = "not ours") -> list[Sent]:
    """An operator cancels an order."""
    args = (("order_id", order_id or adopted(desk).order_id), ("text", text))
    return desk.event("", m.Command("ann", "orders.cancel", args))


def answer(desk: RoundsDesk) -> dict[str, Any]:
    """What the operator was answered."""
    assert desk.fx.answer is not None
    return desk.fx.answer


def test_an_order_that_is_reported_becomes_ours_under_the_brokers_wire_ids(desk: RoundsDesk) -> None:
    assert voice(desk, "0", ord_type="2", time_in_force="1") == []
    order = adopted(desk)
    assert (order.life, order.symbol, order.side, order.account, order.order_qty, order.price) == (
        "working", "IBM", "1", "FUND1", Decimal(100), Decimal(10),
    )  # fmt: skip
    assert (order.ord_type, order.time_in_force, order.leaves_qty) == ("2", "1", Decimal(100))
    (child,) = order.children
    assert (child.broker, child.cl_ord_id, child.broker_order_id, child.route_rule) == (
        BROKER, "VOICE", "B-9", "adopted",
    )  # fmt: skip
    assert desk.details[-1]["adopted"] == order.order_id
    assert desk.open_items() == ["adopted_order"]
    text = "BROKER1 has an order that is none of ours, adopted: ClOrdID(11) VOICE, OrderID(37) B-9"
    assert (desk.items[-1].text, desk.items[-1].severity) == (text, "warning")


def test_its_fills_are_booked_to_it_and_nobody_is_told(desk: RoundsDesk) -> None:
    assert voice(desk, "F", exec_id="f1", last_qty=40, last_px=10, cum_qty=40) == []
    assert voice(desk, "F", exec_id="f2", last_qty=60, last_px=10, cum_qty=100) == []
    order = adopted(desk)
    assert [(one.exec_id, one.order_id, one.account) for one in desk.fills] == [
        ("f1", order.order_id, "FUND1"), ("f2", order.order_id, "FUND1"),
    ]  # fmt: skip
    assert len({one.client_exec_id for one in desk.fills}) == 2
    assert (order.cum_qty, order.finished, desk.open_items()) == (Decimal(100), True, ["adopted_order"])


def test_a_fill_of_it_told_twice_is_booked_once(desk: RoundsDesk) -> None:
    for _ in range(2):
        voice(desk, "F", exec_id="f1", last_qty=40, last_px=10, cum_qty=40)
    assert (len(desk.fills), adopted(desk).cum_qty, desk.details[-1]) == (1, Decimal(40), {"duplicate": True})


def test_ids_of_its_fills_are_no_ones_elses(desk: RoundsDesk) -> None:
    """No report follows a fill of it, so the number of the next message must stay free for others."""
    desk.working("A1")
    voice(desk, "F", exec_id="f1", last_qty=10, last_px=10, cum_qty=10)
    desk.fill("A1", 10, exec_id="f1-of-A1")
    voice(desk, "F", exec_id="f2", last_qty=10, last_px=10, cum_qty=20)
    desk.report("STRANGER", "F", exec_id="f3", last_qty=1, last_px=1, order_id="", broker=BROKER2)
    ids = [one.client_exec_id for one in desk.fills]
    assert len(set(ids)) == len(ids) == 4


def test_what_was_filled_before_is_a_difference_and_never_invented(desk: RoundsDesk) -> None:
    voice(desk, "F", exec_id="f2", last_qty=40, last_px=10, cum_qty=70)
    assert (adopted(desk).cum_qty, sorted(desk.open_items())) == (Decimal(40), ["adopted_order", "quantity_mismatch"])
    voice(desk, "F", exec_id="f1", last_qty=30, last_px=10, cum_qty=30)
    assert (adopted(desk).cum_qty, desk.open_items()) == (Decimal(70), ["adopted_order"])


def test_a_status_report_is_enough_to_adopt_and_its_state_is_taken(desk: RoundsDesk) -> None:
    voice(desk, "I", exec_id="0", ord_status="1", cum_qty=30, leaves_qty=70)
    order = adopted(desk)
    assert (order.life, order.cum_qty, desk.fills) == ("working", Decimal(0), [])
    assert sorted(desk.open_items()) == ["adopted_order", "quantity_mismatch"]


@pytest.mark.parametrize(
    ("exec_type", "more", "cl_ord_id", "life"),
    [
        ("A", {}, "VOICE", "pending_new"),
        ("4", {"orig": "FIRST"}, "FIRST", "canceled"),
        ("C", {}, "VOICE", "expired"),
        ("6", {"orig": "FIRST"}, "FIRST", "unknown"),
        ("5", {"orig": "FIRST"}, "VOICE", "working"),
        ("D", {}, "VOICE", "working"),
    ],
)
def test_whatever_is_reported_first_gives_its_state_and_the_id_to_name_it_by(
    desk: RoundsDesk, exec_type: str, more: dict[str, str], cl_ord_id: str, life: str
) -> None:
    voice(desk, exec_type, **more)
    order = adopted(desk)
    assert (order.life, order.children[0].cl_ord_id) == (life, cl_ord_id)


@pytest.mark.parametrize(
    "more",
    [
        {"order_id": ""}, {"order_id": "NONE"}, {"symbol": ""}, {"side": ""}, {"exec_type": "8"}, {"exec_type": "Z"},
        {"order_qty": None, "cum_qty": 0, "leaves_qty": 0}, {"ord_status": "8", "exec_type": "I"},
        {"problem": m.Problem("Price(44)", "is no number", "99")},
    ],
)  # fmt: skip
def test_what_does_not_say_which_order_it_is_about_is_raised_as_before(
    desk: RoundsDesk, more: dict[str, Any]
) -> None:
    exec_type = more.pop("exec_type", "0")
    voice(desk, exec_type, **more)
    assert [order for order in desk.book.orders.values() if not order.client] == []
    assert desk.open_items() == ["unknown_order"]


def test_without_the_dialects_word_nothing_is_adopted() -> None:
    desk = RoundsDesk()
    sent = voice(desk, "F", exec_id="f1", last_qty=10, last_px=50)
    assert [(one.session, one.msg_type) for one in sent] == [(BROKER, "Q")]
    assert (desk.book.orders, desk.outcome.fills) == ({}, [("trade", "f1", "10", "50", None)])


def test_a_fill_that_was_booked_without_an_order_is_not_adopted_afterwards(desk: RoundsDesk) -> None:
    voice(desk, "F", exec_id="f1", last_qty=10, last_px=50, order_id="")
    voice(desk, "F", exec_id="f1", last_qty=10, last_px=50)
    assert (desk.book.orders, len(desk.fills)) == ({}, 1)


def test_the_same_ids_at_another_broker_are_another_order(desk: RoundsDesk) -> None:
    voice(desk)
    voice(desk, "0", broker=BROKER2)
    assert (len(desk.book.orders), desk.open_items()) == (1, ["adopted_order", "unknown_order"])


def test_our_own_orders_are_never_adopted(desk: RoundsDesk) -> None:
    desk.working("A1")
    desk.report("A1", "F", last_qty=10, last_px=10, order_id="OTHER")
    assert [order.client for order in desk.book.orders.values()] == [CLIENT]


# -- an operator cancels it --------------------------------------------------------------------------------------


def test_an_operator_cancels_it_by_the_brokers_ids_and_its_end_closes_the_request(desk: RoundsDesk) -> None:
    voice(desk, "0")
    (sent,) = stop(desk)
    order = adopted(desk)
    own = order.requests[0].broker_cl_ord_id
    assert sent == Sent(
        BROKER, "F",
        {
            "ClOrdID": own, "OrigClOrdID": "VOICE", "OrderID": "B-9", "Account": "FUND1", "Symbol": "IBM",
            "Side": "1", "OrderQty": "100", "TransactTime": "now",
        },
    )  # fmt: skip
    assert answer(desk) == {
        "journal_seq": desk.events[-1][0], "order_id": order.order_id, "problem": "", "broker": BROKER,
        "cl_ord_id": own, "state": "sent",
    }  # fmt: skip
    assert desk.report(own, "4", orig="VOICE", order_id="B-9") == []
    assert (order.life, order.finished, order.requests[0].state) == ("canceled", True, "accepted")


def test_after_a_replace_by_the_broker_the_new_id_is_named(desk: RoundsDesk) -> None:
    voice(desk)
    desk.report("VOICE2", "5", orig="VOICE", order_id="B-10", order_qty=80, price=11, cum_qty=0)
    (sent,) = stop(desk)
    assert (sent.fields["OrigClOrdID"], sent.fields["OrderID"], sent.fields["OrderQty"]) == ("VOICE2", "B-10", "80")
    desk.report("VOICE2", "F", exec_id="f1", last_qty=80, last_px=11, order_id="B-10")
    assert adopted(desk).cum_qty == Decimal(80)


def test_without_a_client_order_id_the_brokers_order_id_is_named(desk: RoundsDesk) -> None:
    desk.report("", "0", **TERMS)
    (sent,) = stop(desk)
    assert (sent.fields["OrigClOrdID"], sent.fields["OrderID"]) == ("B-9", "B-9")


def test_a_refused_cancel_is_an_item_because_nobody_else_is_told(desk: RoundsDesk) -> None:
    voice(desk)
    stop(desk)
    own = adopted(desk).requests[0].broker_cl_ord_id
    assert desk.refuse(own, text="too late", orig="VOICE") == []
    assert desk.open_items() == ["adopted_order", "cancel_refused"]
    assert desk.items[-1].text == "the cancel was refused: too late"
    assert len(stop(desk)) == 1  # may be tried again


def test_a_cancel_waits_for_a_broker_that_is_logged_out(desk: RoundsDesk) -> None:
    voice(desk)
    desk.logged_out()
    assert (stop(desk), answer(desk)["state"]) == ([], "held")
    (sent,) = desk.up()
    assert (sent.msg_type, sent.fields["OrigClOrdID"]) == ("F", "VOICE")


def test_a_second_cancel_is_refused_while_the_first_is_under_way_and_one_of_a_finished_order_too(
    desk: RoundsDesk,
) -> None:
    voice(desk)
    stop(desk)
    order_id = adopted(desk).order_id
    assert (stop(desk), answer(desk)["problem"]) == ([], f"a cancel of {order_id} is under way already")
    desk.report(adopted(desk).requests[0].broker_cl_ord_id, "4", orig="VOICE", order_id="B-9")
    assert (stop(desk, order_id), answer(desk)["problem"]) == ([], f"{order_id} is not alive any more")


def test_a_clients_order_is_canceled_by_an_operator_and_its_client_told(desk: RoundsDesk) -> None:
    desk.working("A1")
    order = desk.order("A1")
    (sent,) = stop(desk, order.order_id)
    assert (sent.msg_type, sent.fields["OrigClOrdID"]) == ("F", "to-broker:A1")
    (told,) = desk.report(order.requests[0].broker_cl_ord_id, "4", orig="A1")
    assert (told.session, told.fields["ClOrdID"], told.fields["OrdStatus"]) == (CLIENT, "A1", "4")


def test_a_kill_of_the_firm_cancels_adopted_orders_too(desk: RoundsDesk) -> None:
    voice(desk)
    args = (("kill_id", "K1"), ("text", "stop"))
    (sent,) = desk.event("", m.Command("ann", "kill.engage", args))
    assert (sent.msg_type, sent.fields["OrigClOrdID"]) == ("F", "VOICE")


# -- rounds and restarts -----------------------------------------------------------------------------------------


def test_it_is_asked_for_at_the_next_logon_by_the_brokers_ids(desk: RoundsDesk) -> None:
    voice(desk)
    desk.logged_out()
    (sent,) = desk.begin()
    assert (sent.msg_type, sent.fields["ClOrdID"], sent.fields["OrderID"]) == ("H", "VOICE", "B-9")
    voice(desk, "I", exec_id="0", ord_status="0", leaves_qty=100)
    desk.look(1)
    assert (desk.summary()["matched"], desk.open_items()) == (1, ["adopted_order"])


def test_orders_that_an_answer_for_all_names_are_adopted_in_it() -> None:
    desk = RoundsDesk(adopts=True, mass_status=True)
    desk.begin()
    extra = (("584", desk.book.rounds[BROKER].round_id), ("912", "Y"))
    voice(desk, "I", exec_id="0", ord_status="0", leaves_qty=100, extra=extra)
    desk.look(1)
    assert (desk.summary()["adopted"], desk.summary()["counts"]["missing_here"]) == ([adopted(desk).order_id], 0)
    desk.replayed()


def test_it_comes_back_from_the_ledgers_rows_as_it_was(desk: RoundsDesk) -> None:
    voice(desk, "F", exec_id="f1", last_qty=40, last_px=10, cum_qty=40)
    stop(desk)
    restart(desk)
    assert voice(desk, "F", exec_id="f1", last_qty=40, last_px=10, cum_qty=40) == []
    voice(desk, "F", exec_id="f2", last_qty=60, last_px=10, cum_qty=100)
    assert (adopted(desk).cum_qty, len(desk.fills), desk.open_items()) == (Decimal(100), 2, ["adopted_order"])


def test_a_finished_one_leaves_memory_with_all_its_ids() -> None:
    desk = RoundsDesk(adopts=True)
    voice(desk, "4")
    desk.book.evict(0)
    book = desk.book
    assert (book.orders, book.adopted.named, book.by_broker_order_id.named, book.by_broker_id) == ({}, {}, {}, {})
