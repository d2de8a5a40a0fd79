"""Kill switches through real sessions: nothing new leaves, what lives is canceled, and there is proof."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from typing import Any

from oms.core.kill import Kill
from oms.sim.peer import FixPeer
from oms.sim.wire import Message
from tests.system.commands import answer, replays, said
from tests.system.house import House
from tests.system.nursery import Nursery
from tests.system.words import new_order, replace, report

MakeHouse = Callable[..., House]
ME = getpass.getuser()


def working(client: FixPeer, broker: FixPeer, cl_ord_id: str, **terms: Any) -> Message:
    """An order that the broker has acknowledged; returns what the broker got."""
    client.send(new_order(cl_ord_id, **terms))
    asked = broker.expect("D")
    broker.send(report(broker, asked, "0", f"N-{cl_ord_id}"))
    client.expect("8", ClOrdID=cl_ord_id, ExecType="0")
    return asked


def test_a_kill_stops_new_orders_and_replaces_cancels_what_lives_and_is_proven_order_by_order(
    make_house: MakeHouse,
) -> None:
    house = make_house()
    house.start()
    client, broker = house.up("CLIENT1", "BROKER1")
    first, second = working(client, broker, "A1"), working(client, broker, "A2")
    done = answer(house, "kill engage", "--firm", "--reason", "runaway strategy", "--wait", "0", code=1)
    kill = done["kill_id"]
    assert (done["counts"], [one["outcome"] for one in done["orders"]]) == ({"unanswered": 2}, ["unanswered"] * 2)
    cancels = {one[41]: one for one in (broker.expect("F"), broker.expect("F"))}
    assert set(cancels) == {first[11], second[11]}

    client.send(new_order("A3"))
    refused = client.expect("8", ClOrdID="A3")
    assert (refused[150], refused[39], refused[58]) == ("8", "8", f"kill_switch: {kill} is engaged for the firm")
    client.send(replace("A4", "A1", 50))
    assert client.expect("9", ClOrdID="A4")[58] == f"kill_switch: {kill} is engaged for the firm"

    broker.send(report(broker, cancels[first[11]], "4", "C1", leaves=0))
    broker.send(report(broker, second, "F", "F2", cum=100, last=(100, "150.00"), avg="150"))
    code, text = said(house, "kill status", kill, "--wait", "10")
    assert (code, text.splitlines()[-1]) == (
        0,
        "2 orders were alive in scope: 1 canceled, 1 filled; proven: none is left alive.",
    )
    canceled = client.expect("8", ClOrdID="A1", ExecType="4")
    assert (canceled[39], canceled[151], 41 in canceled) == ("4", "0", False)

    assert answer(house, "kill list") == [
        {"kill_id": kill, "scope": [], "operator": ME, "reason": "runaway strategy", "text": "the firm"}
    ]
    answer(house, "kill release", kill, "--reason", "fixed")
    assert said(house, "kill list") == (0, "No kill switch is engaged.\n")
    working(client, broker, "A5")
    house.stop()
    house.check_chain()
    replays(house)


def test_a_kill_of_one_account_and_symbol_leaves_the_others_alone(make_house: MakeHouse) -> None:
    house = make_house()
    house.start()
    client, broker = house.up("CLIENT1", "BROKER1")
    working(client, broker, "A1")
    other = working(client, broker, "B1", account="TO-BROKER1")
    done = answer(
        house, "kill engage", "--account", "TO-*", "--symbol", "AAPL", "--reason", "x", "--wait", "0", code=1
    )
    assert [one["cl_ord_id"] for one in done["orders"]] == ["B1"]
    assert broker.expect("F")[41] == other[11]
    client.send(new_order("B2", account="TO-BROKER1"))
    assert client.expect("8", ClOrdID="B2")[150] == "8"
    working(client, broker, "A2")


def test_a_kill_of_a_broker_sends_orders_to_the_next_one(make_house: MakeHouse) -> None:
    house = make_house(brokers={"BROKER1": "4.4", "BROKER2": "4.4"})
    house.start()
    client, _, second = house.up("CLIENT1", "BROKER1", "BROKER2")
    done = answer(house, "kill engage", "--broker", "BROKER1", "--reason", "their feed is wrong")
    client.send(new_order("A1"))
    assert second.expect("D")[38] == "100"
    routed = house.until("SELECT detail FROM journal WHERE msg_type = 'D' AND kind = 'in'")[0]["detail"]["route"]
    assert routed["tried"] == [["BROKER1", f"{done['kill_id']} is engaged for broker BROKER1"]]


def test_a_kill_holds_after_kill_9_and_a_new_start_until_it_is_released(
    make_house: MakeHouse, nursery: Nursery
) -> None:
    house = make_house()
    process = house.fork(nursery)
    client, broker = house.up("CLIENT1", "BROKER1")
    first = working(client, broker, "A1")
    kill = answer(house, "kill engage", "--client", "CLIENT1", "--reason", "x", "--wait", "0", code=1)["kill_id"]
    asked = broker.expect("F")
    process.kill()
    house.fork(nursery)
    house.up("CLIENT1", "BROKER1")
    client.send(new_order("A2"))
    assert client.expect("8", ClOrdID="A2")[58] == f"kill_switch: {kill} is engaged for client CLIENT1"
    broker.send(report(broker, asked, "4", "C1", leaves=0))
    assert answer(house, "kill status", kill, "--wait", "10")["counts"] == {"canceled": 1}
    assert asked[41] == first[11]


def test_a_kill_that_was_engaged_but_not_journaled_is_carried_out_at_the_next_start(make_house: MakeHouse) -> None:
    house = make_house()
    gateway = house.start()
    client, broker = house.up("CLIENT1", "BROKER1")
    first = working(client, broker, "A1")
    gateway._barrier.engage(Kill("K1", (), "ann", "as if the ledger had been gone"))
    house.stop()
    house.start()
    house.up("CLIENT1", "BROKER1")
    assert broker.expect("F")[41] == first[11]
    assert [one["cl_ord_id"] for one in answer(house, "kill status", "K1", code=1)["orders"]] == ["A1"]


def test_an_order_that_is_committed_when_the_kill_comes_does_not_leave(make_house: MakeHouse) -> None:
    """The second path: the barrier stands before the outbox, whatever the core does meanwhile."""
    house = make_house()
    gateway = house.start()
    client, broker = house.up("CLIENT1", "BROKER1")
    judged = gateway._core._context.judge
    judged._kills = tuple  # the core has not heard of it
    gateway._barrier.engage(Kill("K1", (("symbol", "AAPL"),), "ann", "now"))
    client.send(new_order("A1"))
    refused = client.expect("8", ClOrdID="A1")
    assert refused[58].startswith("route: the order did not leave: kill switch K1 is engaged for symbol AAPL")
    house.stop()
    assert [one.type for one in broker.untaken] == []


def test_a_scope_is_needed_or_the_whole_firm_in_so_many_words(make_house: MakeHouse) -> None:
    house = make_house()
    house.start()
    code, text = said(house, "kill engage", "--reason", "x")
    assert (code, "or --firm for everything" in text) == (2, True)
    assert said(house, "kill release", "K9", "--reason", "x") == (
        2,
        "oms: no kill switch K9 is engaged; `oms kill list` shows those that are\n",
    )
    code, text = said(house, "kill status", "K9")
    assert (code, text) == (
        3,
        "oms: the ledger has no kill switch K9; `oms kill list` shows those that are engaged\n",
    )
