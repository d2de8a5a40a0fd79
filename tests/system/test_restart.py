"""Stop and start, sessions that come and go: orders stay known, everything arrives, nothing twice (I2, I5, I8)."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from oms import outbox
from oms.ledger.database import engine as ledger_engine
from oms.ledger.replay import verify_tables
from oms.sim.wire import Message
from tests.system.house import House, until
from tests.system.words import cancel, cancel_reject, new_order, replace, report, shape, status

MakeHouse = Callable[..., House]
TWO_BROKERS = {"BROKER1": "4.4", "BROKER2": "4.4"}


def opened(make_house: MakeHouse, **more: object) -> House:
    """A gateway with CLIENT1 and BROKER1 logged on; a second broker, if there is one, is not."""
    house = make_house({"CLIENT1": "4.4"}, more.pop("brokers", {"BROKER1": "4.4"}), **more)
    house.peer("BROKER1")
    house.start()
    house.up("CLIENT1", "BROKER1")
    return house


def working(house: House, cl_ord_id: str, qty: int = 100) -> Message:
    """An order that the broker has acknowledged; returns what the broker got."""
    client, broker = house.up("CLIENT1", "BROKER1")
    client.send(new_order(cl_ord_id, qty))
    asked = broker.expect("D")
    broker.send(report(broker, asked, "0", f"N-{cl_ord_id}"))
    client.expect("8", ClOrdID=cl_ord_id, ExecType="0")
    return asked


def test_after_a_stop_and_start_live_orders_are_known_and_both_sides_agree_on_the_numbers(
    make_house: MakeHouse,
) -> None:
    house = opened(make_house)
    first, second = working(house, "A1"), working(house, "A2", 200)
    client, broker = house.peer("CLIENT1"), house.peer("BROKER1")
    broker.send(report(broker, second, "F", "X1", cum=50, last=(50, "150"), avg="150"))
    client.expect("8", ClOrdID="A2", ExecType="F")
    received = len(client.received), len(broker.received)
    house.stop()
    house.start()
    house.up("CLIENT1", "BROKER1")
    until(lambda: house.numbers_agree("CLIENT1") and house.numbers_agree("BROKER1"), "sequence numbers agree")
    assert (len(client.received), len(broker.received)) == received

    client.send(cancel("A3", "A1"))
    request = broker.expect("F")
    assert (request[41], request[37]) == (first[11], f"B-{first[11]}")
    broker.send(report(broker, request, "4", "X2", leaves=0))
    assert shape(client.expect("8")) == ("8", "A3", "4", "4", None, "0", "0")
    broker.send(report(broker, second, "F", "X3", cum=200, last=(150, "150"), avg="150"))
    assert shape(client.expect("8")) == ("8", "A2", "F", "2", "150", "0", "200")
    assert [row["exec_id"] for row in house.rows("SELECT exec_id FROM fills ORDER BY seq")] == ["X1", "X3"]
    assert house.items() == []
    house.check_chain()


def test_an_id_used_before_a_restart_is_used_up_and_a_fill_told_again_is_no_new_one(make_house: MakeHouse) -> None:
    house = opened(make_house)
    asked = working(house, "A1")
    client, broker = house.peer("CLIENT1"), house.peer("BROKER1")
    fill = report(broker, asked, "F", "X1", cum=100, last=(100, "150"), avg="150")
    broker.send(fill)
    filled = client.expect("8", ClOrdID="A1", OrdStatus="2")
    house.stop()
    house.start()
    house.up("CLIENT1", "BROKER1")
    broker.send(fill)
    client.send(new_order("A1"))
    told = client.expect("8")
    assert (told[37], told[150], told[39], told[103], told[14]) == (filled[37], "8", "2", "6", "100")
    assert told[58] == "ClOrdID(11) A1 was used already on this trading day"
    client.expect_nothing()
    broker.expect_nothing()
    assert len(house.rows("SELECT FROM fills")) == 1


def test_what_counterparties_send_while_the_gateway_is_down_arrives_at_the_next_logon(make_house: MakeHouse) -> None:
    house = opened(make_house)
    asked = working(house, "A1")
    house.stop()
    client, broker = house.peer("CLIENT1"), house.peer("BROKER1")
    for peer in (client, broker):
        peer.wait_logged_out()
    house.send_away("BROKER1", report(broker, asked, "F", "X1", cum=40, last=(40, "150"), avg="150"))
    house.send_away("CLIENT1", new_order("A2"))
    house.send_away("CLIENT1", cancel("A3", "A1"))
    house.start()
    assert shape(client.expect("8")) == ("8", "A1", "F", "1", "40", "60", "40")
    assert broker.expect("F")[41] == asked[11]
    assert broker.expect("D")[38] == "100"
    house.until_logged_on("CLIENT1", "BROKER1")
    until(lambda: house.numbers_agree("CLIENT1") and house.numbers_agree("BROKER1"), "sequence numbers agree")
    client.expect_nothing()
    broker.expect_nothing()


def test_an_order_for_a_broker_that_is_logged_out_is_rejected_at_once_and_never_leaves_later(
    make_house: MakeHouse,
) -> None:
    house = opened(make_house)
    house.drop("BROKER1")
    client = house.peer("CLIENT1")
    client.send(new_order("A1"))
    told = client.expect("8")
    assert shape(told) == ("8", "A1", "8", "8", None, "0", "0")
    assert told[58] == "route: default: BROKER1 session logged out"
    client.send(replace("A2", "A1", 200))
    assert client.expect("9")[58] == "too late to replace"
    (broker,) = house.up("BROKER1")
    client.send(new_order("A3"))
    broker.expect("D")
    assert [message.type for message in broker.received] == ["D"]


def test_an_order_for_a_broker_that_is_logged_out_goes_to_the_fallback(make_house: MakeHouse) -> None:
    house = opened(make_house, brokers=TWO_BROKERS)
    (fallback,) = house.up("BROKER2")
    house.drop("BROKER1")
    house.peer("CLIENT1").send(new_order("A1"))
    fallback.expect("D")
    (broker,) = house.up("BROKER1")
    house.peer("CLIENT1").send(new_order("A2"))
    broker.expect("D")
    assert [message.type for message in broker.received] == ["D"]


@pytest.mark.parametrize("with_fallback", [False, True])
def test_an_order_whose_broker_drops_between_decision_and_sending_does_not_leave_later(
    make_house: MakeHouse, monkeypatch: pytest.MonkeyPatch, with_fallback: bool
) -> None:
    house = opened(make_house, brokers=TWO_BROKERS if with_fallback else {"BROKER1": "4.4"})
    if with_fallback:
        house.up("BROKER2")
    decided, go_on = threading.Event(), threading.Event()

    def hold(step: str) -> None:
        if step == "before_send" and threading.current_thread().name == "send-BROKER1":
            decided.set()
            assert go_on.wait(20)

    monkeypatch.setattr(outbox, "reached", hold)
    client = house.peer("CLIENT1")
    client.send(new_order("A1"))
    assert decided.wait(10)
    house.peers.pop("BROKER1").stop()
    until(lambda: not house.gateway._engines["broker"].sessions["BROKER1"].logged_on, "BROKER1 is gone")  # type: ignore[union-attr]
    go_on.set()
    if with_fallback:
        asked = house.peer("BROKER2").expect("D")
        house.peer("BROKER2").send(report(house.peer("BROKER2"), asked, "0", "X1"))
        assert shape(client.expect("8")) == ("8", "A1", "0", "0", None, "100", "0")
    else:
        told = client.expect("8")
        assert shape(told) == ("8", "A1", "8", "8", None, "0", "0")
        assert told[58].startswith("route: the order did not leave: BROKER1 is logged out")
    monkeypatch.undo()
    (broker,) = house.up("BROKER1")
    client.send(new_order("A2"))
    second = broker.expect("D")
    assert [message[11] for message in broker.received] == [second[11]]
    children = house.rows("SELECT broker, life FROM child_orders ORDER BY child_id")
    wanted = [("BROKER1", "rejected"), ("BROKER2", "working")] if with_fallback else [("BROKER1", "rejected")]
    assert [tuple(row.values()) for row in children] == [*wanted, ("BROKER1", "routed")]


@pytest.mark.parametrize("restarted", [False, True])
def test_a_cancel_for_a_broker_that_is_logged_out_is_pending_and_leaves_at_its_next_logon(
    make_house: MakeHouse, restarted: bool
) -> None:
    house = opened(make_house)
    asked = working(house, "A1")
    client = house.peer("CLIENT1")
    house.drop("BROKER1")
    client.send(cancel("A2", "A1"))
    told = client.expect("8")
    assert shape(told) == ("8", "A2", "6", "6", None, "100", "0")
    assert (told[41], told[58]) == ("A1", "BROKER1 is logged out: the cancel leaves at its next logon")
    if restarted:
        house.stop()
        house.start()
    (broker,) = house.up("BROKER1")
    request = broker.expect("F")
    assert request[41] == asked[11]
    broker.send(report(broker, request, "4", "X1", leaves=0))
    told = client.expect("8")
    assert (shape(told), told[41]) == (("8", "A2", "4", "4", None, "0", "0"), "A1")
    client.expect_nothing()
    assert [message.type for message in broker.received] == ["F"]


@pytest.mark.parametrize("restarted", [False, True])
def test_reports_for_a_client_that_is_logged_out_arrive_at_its_next_logon_once_each(
    make_house: MakeHouse, restarted: bool
) -> None:
    house = opened(make_house)
    asked = working(house, "A1")
    house.drop("CLIENT1")
    broker = house.peer("BROKER1")
    for number in range(1, 5):
        fill = report(broker, asked, "F", f"X{number}", cum=10 * number, last=(10, "150"), avg="150")
        broker.send(fill)
        if number == 2 and restarted:
            house.until("SELECT FROM fills HAVING count(*) = 2")
            house.stop()
            house.start()
            house.up("BROKER1")
    house.until("SELECT FROM fills HAVING count(*) = 4")
    (client,) = house.up("CLIENT1")
    told = [client.expect("8") for _ in range(4)]
    assert [message[14] for message in told] == ["10", "20", "30", "40"]
    assert len({message[17] for message in told}) == 4
    client.send(status("A1"))
    broker.expect("H")
    client.expect_nothing()
    house.drop("CLIENT1")
    (client,) = house.up("CLIENT1")
    client.send(status("A1"))
    broker.expect("H")
    assert client.received == []


def ask_again(house: House, number: int) -> None:
    """The broker lost what it had from `number` on: it asks for a resend at its next logon."""
    broker = house.peer("BROKER1")
    broker.lose_from(number)
    broker.wait_logged_on(logons=2)


def test_a_broker_that_asks_again_within_the_window_gets_the_order_as_a_possible_duplicate(
    make_house: MakeHouse,
) -> None:
    house = opened(make_house)
    client, broker = house.peer("CLIENT1"), house.peer("BROKER1")
    client.send(new_order("A1"))
    asked = broker.expect("D")
    acknowledged = working(house, "A0")
    ask_again(house, int(asked[34]))
    again = broker.expect("D")
    assert (again[11], again[43], again[34]) == (asked[11], "Y", asked[34])
    broker.send(report(broker, again, "0", "X1"))
    assert shape(client.expect("8")) == ("8", "A1", "0", "0", None, "100", "0")
    client.send(status("A1"))
    broker.expect("H", ClOrdID=asked[11])
    # what the broker has acknowledged is not offered twice
    assert [message[11] for message in broker.received if message.type == "D"] == [
        asked[11],
        acknowledged[11],
        asked[11],
    ]
    assert house.items() == []


@pytest.mark.parametrize("known", [False, True])
def test_beyond_the_window_the_order_is_not_sent_again_but_settled_by_a_status_request(
    make_house: MakeHouse, known: bool
) -> None:
    house = opened(make_house, dialect={"resend_window_seconds = 10": "resend_window_seconds = 0"})
    client, broker = house.peer("CLIENT1"), house.peer("BROKER1")
    client.send(new_order("A1"))
    asked = broker.expect("D")
    ask_again(house, int(asked[34]))
    query = broker.expect("H")
    assert (query[11], query.get(43)) == (asked[11], None)
    assert house.items() == [("unknown_outcome", "error", "BROKER1")]
    assert house.rows("SELECT life FROM client_orders") == [{"life": "unknown"}]
    if known:
        broker.send(report(broker, query, "I", "0", ord_status="0"))
        house.until("SELECT FROM client_orders WHERE life = 'working'")
        client.send(cancel("A2", "A1"))
        broker.expect("F")
    else:
        broker.send(report(broker, query, "I", "0", ord_status="8", leaves=0, more="58=never seen"))
        told = client.expect("8")
        assert (shape(told), told[58]) == (("8", "A1", "8", "8", None, "0", "0"), "never seen")
    assert house.rows("SELECT state FROM exception_items") == [{"state": "resolved"}]
    assert [message.type for message in broker.received if message.type == "D"] == ["D"]


def test_a_replace_beyond_the_window_is_not_sent_again_but_refused(make_house: MakeHouse) -> None:
    house = opened(make_house, dialect={"resend_window_seconds = 10": "resend_window_seconds = 0"})
    working(house, "A1")
    client, broker = house.peer("CLIENT1"), house.peer("BROKER1")
    client.send(replace("A2", "A1", 200))
    asked = broker.expect("G")
    ask_again(house, int(asked[34]))
    refusal = client.expect("9")
    assert (refusal[11], refusal[41], refusal[39], refusal[434]) == ("A2", "A1", "0", "2")
    assert refusal[58] == "the broker did not get the request in time; it was not sent again"
    broker.expect_nothing("G")


def test_a_cancel_is_always_sent_again(make_house: MakeHouse) -> None:
    house = opened(make_house, dialect={"resend_window_seconds = 10": "resend_window_seconds = 0"})
    working(house, "A1")
    client, broker = house.peer("CLIENT1"), house.peer("BROKER1")
    client.send(cancel("A2", "A1"))
    asked = broker.expect("F")
    ask_again(house, int(asked[34]))
    again = broker.expect("F")
    assert (again[11], again[43]) == (asked[11], "Y")
    broker.send(cancel_reject(again))
    assert client.expect("9")[58] == "too late"


def test_with_trading_off_a_start_sends_no_order_and_a_resend_offers_none(make_house: MakeHouse) -> None:
    house = opened(make_house)
    client, broker = house.peer("CLIENT1"), house.peer("BROKER1")
    client.send(new_order("A1"))
    asked = broker.expect("D")
    house.stop()
    house.config_file.write_text(house.config_file.read_text().replace('trading = "on"', 'trading = "off"'))
    broker.engine.set_next_target("BROKER1", int(asked[34]))
    house.start()
    query = broker.expect("H")
    assert query[11] == asked[11]
    house.up("CLIENT1", "BROKER1")
    client.send(new_order("A2"))
    assert client.expect("8", ClOrdID="A2")[58] == "trading_on: trading is off"
    client.send(cancel("A3", "A1"))
    broker.expect("F")
    broker.expect_nothing("D")


def test_a_bust_that_came_before_a_stop_is_applied_to_its_fill_that_comes_after_the_start(
    make_house: MakeHouse,
) -> None:
    house = opened(make_house)
    asked = working(house, "K1")
    broker = house.peer("BROKER1")
    broker.send(report(broker, asked, "F", "KX2", cum=70, last=(30, "150"), avg="150"))
    house.peer("CLIENT1").expect("8", ClOrdID="K1", ExecType="F")
    broker.send(report(broker, asked, "H", "KX3", cum=30, last=(40, "150"), ref="KX1", ord_status="1"))
    house.until("SELECT FROM exception_items WHERE kind = 'unknown_execution' AND state = 'open'")
    house.stop()
    house.start()
    client, broker = house.up("CLIENT1", "BROKER1")
    broker.send(report(broker, asked, "F", "KX1", cum=40, last=(40, "150"), avg="150"))
    assert [shape(client.expect("8")) for _ in range(2)] == [
        ("8", "K1", "F", "1", "40", "30", "70"),
        ("8", "K1", "H", "1", "40", "70", "30"),
    ]
    (order,) = house.rows("SELECT cum_qty, leaves_qty, ord_status FROM client_orders")
    assert tuple(order.values()) == (30, 70, "1")
    items = house.rows("SELECT kind, state FROM exception_items ORDER BY seq")
    assert [tuple(row.values()) for row in items] == [
        ("quantity_mismatch", "resolved"),
        ("unknown_execution", "resolved"),
    ]
    told = {message[17] for message in client.received if message.get(11) == "K1" and message.get(150) in "FH"}
    assert told == {row["client_exec_id"] for row in house.rows("SELECT client_exec_id FROM fills")}
    assert verify_tables(ledger_engine(house.url)).differences == []
