"""Rounds that an operator asks for, orders that people settle, and what follows a break, through real sessions."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from oms.sim.peer import FixPeer
from oms.sim.wire import Message
from tests.system.commands import answer, replays, said
from tests.system.house import House
from tests.system.people import BOB, OPERATORS, Terminal
from tests.system.words import new_order, report

MakeHouse = Callable[..., House]
QUICK = {"status_requests = true": "status_requests = true\nstatus_answer_seconds = 1"}


@pytest.fixture(autouse=True)
def by_command_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """No round begins with a logon."""
    monkeypatch.setattr("oms.own_events._EVERY", timedelta(milliseconds=100))
    monkeypatch.setattr("oms.core.rounds._SETTLED_AFTER", timedelta(hours=1))


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    return Terminal(monkeypatch)


def working(client: FixPeer, broker: FixPeer, cl_ord_id: str) -> Message:
    """An order that the broker has acknowledged."""
    client.send(new_order(cl_ord_id))
    asked = broker.expect("D")
    broker.send(report(broker, asked, "0", f"N-{cl_ord_id}"))
    client.expect("8", ClOrdID=cl_ord_id, ExecType="0")
    return asked


def test_a_round_on_demand_a_silent_broker_over_a_restart_and_an_order_that_two_people_settle(
    make_house: MakeHouse, terminal: Terminal
) -> None:
    house = make_house(brokers={"BROKER1": "4.4"}, dialect=QUICK, toml=OPERATORS)
    house.peer("BROKER1")
    house.start()
    client, broker = house.up("CLIENT1", "BROKER1")
    first, second = working(client, broker, "A1"), working(client, broker, "A2")
    broker.send(report(broker, second, "F", "F1", cum=40, last=(40, "150"), avg="150"))
    client.expect("8", ClOrdID="A2", CumQty="40")
    with ThreadPoolExecutor(1) as waits:
        waiting = waits.submit(answer, house, "reconcile run BROKER1 --wait", code=1)
        assert [broker.expect("H")[11], broker.expect("H")[11]] == [first[11], second[11]]
        broker.send(report(broker, first, "I", "0", ord_status="0"))
        broker.send(report(broker, second, "I", "0", ord_status="1", cum=40, avg="150.5"))
        found = waiting.result(30)
    order_id = house.rows("SELECT order_id FROM client_orders ORDER BY order_id")[1]["order_id"]
    assert (found["round"]["cause"], found["round"]["matched"]) == ("operator ann", 1)
    assert [(one["kind"], one["order_id"], one["text"]) for one in found["evidence"]] == [
        ("price_mismatch", order_id, "broker's AvgPx(6) 150.5, ours 150")
    ]
    no_such_broker = "oms: there is no broker session BROKER9; there are: BROKER1\n"
    assert said(house, "reconcile run BROKER9") == (2, no_such_broker)

    for restart in (True, False):  # a silent broker is one item, also after a restart
        begun = answer(house, "reconcile run BROKER1")
        again = answer(house, "reconcile run BROKER1")
        assert (again["round"], again["under_way"], begun["under_way"]) == (begun["round"], True, False)
        assert {broker.expect("H")[11], broker.expect("H")[11]} == {first[11], second[11]}
        house.until("SELECT FROM journal WHERE order_id = %s AND detail::text LIKE '%%time over%%'", begun["round"])
        assert answer(house, "reconcile show", begun["round"], code=1)["round"]["counts"]["unanswered"] == 2
        if restart:
            house.stop()
            house.start()
            client, broker = house.up("CLIENT1", "BROKER1")
    assert [kind for kind, _, _ in house.items()] == ["price_mismatch", "status_unanswered"]

    name = house.rows("SELECT order_id FROM client_orders ORDER BY order_id")[0]["order_id"]
    refused = said(house, f"orders settle {name} --as working", "--reason", "by phone")
    assert (refused[0], f"{name} is working: that it works is no news" in refused[1]) == (2, True)
    proposed = answer(house, f"orders settle {name} --as canceled", "--reason", "mail of 14:02")
    with terminal.of(BOB):
        done = answer(house, "approvals approve", proposed["proposal_id"], "--hash", proposed["hash"])
    told = client.expect("8", ExecType="4")
    assert (told[11], told[39], told[14], told[151], done["life"]) == ("A1", "4", "0", "0", "canceled")
    assert told[58] == "settled by an operator as canceled"
    broker.expect_nothing("F")
    assert "settled as canceled by ann, approved by bob: mail of 14:02" in said(house, f"orders explain {name}")[1]
    replays(house)


def test_a_break_told_by_the_drop_copy_is_asked_about_and_one_of_an_answer_blocks(make_house: MakeHouse) -> None:
    house = make_house(
        brokers={"BROKER1": "4.4", "COPY1": "4.4", "BROKER2": "4.2"},
        session_keys={"COPY1": "OmsRole=drop_copy\nOmsDropCopyOf=BROKER1\n"},
        routes='[[routes]]\nname = "second"\naccount = "TO-BROKER2"\nbroker = "BROKER2"\n'
        '[[routes]]\nname = "default"\nbroker = "BROKER1"\n',
    )
    for name, policy in (("standard-fix44", "query"), ("standard-fix42", "block")):
        file = house.directory / "fix_specs" / f"{name}.toml"
        file.write_text(file.read_text() + f'\n[reconcile]\non_break = "{policy}"\n')
    for name in ("BROKER1", "COPY1", "BROKER2"):
        house.peer(name)
    house.start()
    client, broker, copy, other = house.up("CLIENT1", "BROKER1", "COPY1", "BROKER2")
    asked = working(client, broker, "A1")
    broker.send(report(broker, asked, "F", "f1", cum=10, last=(10, "150"), avg="150"))
    copy.send(report(copy, asked, "F", "f1", cum=10, last=(10, "150.5"), avg="150.5"))
    assert broker.expect("H")[11] == asked[11]  # the order session is asked about what the copy tells otherwise
    broker.send(report(broker, asked, "I", "0", ord_status="1", cum=10, avg="150.5"))
    house.until("SELECT FROM journal WHERE detail -> 'reconcile' ->> 'ended' = 'complete'")
    (found,) = answer(house, "reconcile list --broker BROKER1")
    assert (found["cause"], found["counts"]["differing"]) == ("on_break", 1)

    client.send(new_order("B1", account="TO-BROKER2"))
    asked = other.expect("D")
    other.send(report(other, asked, "0", "N-B1"))
    client.expect("8", ClOrdID="B1", ExecType="0")
    answer(house, "reconcile run BROKER2")
    assert other.expect("H")[11] == asked[11]
    other.send(report(other, asked, "I", "0", ord_status="4", leaves=0))
    house.until("SELECT FROM journal WHERE msg_type = 'kill.engage'")
    (kill,) = answer(house, "kill list")
    assert (kill["operator"], kill["text"], kill["reason"]) == (
        "oms",
        "symbol AAPL, broker BROKER2",
        "order session of BROKER2 differs, and its dialect has on_break = block",
    )
    assert house.rows("SELECT FROM client_orders WHERE cl_ord_id = 'B1' AND NOT finished") != []  # not canceled
    replays(house)
