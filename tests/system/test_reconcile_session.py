"""Orders compared with what their broker says, after a cut and after a start, by real sessions and commands."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from oms.sim.peer import FixPeer
from oms.sim.wire import Message
from tests.system.commands import answer, replays, said
from tests.system.house import House, until
from tests.system.words import new_order, report

MakeHouse = Callable[..., House]
MASS = {"status_requests = true": "status_requests = true\nmass_status = true"}


@pytest.fixture
def settle(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Set after how many seconds of a session a round begins: never, until a test says when."""
    monkeypatch.setattr("oms.own_events._EVERY", timedelta(milliseconds=100))

    def after(seconds: float) -> None:
        monkeypatch.setattr("oms.core.rounds._SETTLED_AFTER", timedelta(seconds=seconds))

    after(3600)
    return after


def working(client: FixPeer, broker: FixPeer, cl_ord_id: str) -> Message:
    """An order that the broker has acknowledged; returns what the broker got."""
    client.send(new_order(cl_ord_id))
    asked = broker.expect("D")
    broker.send(report(broker, asked, "0", f"N-{cl_ord_id}"))
    client.expect("8", ClOrdID=cl_ord_id, ExecType="0")
    return asked


def ended_rounds(house: House, count: int) -> list[Any]:
    """The rounds, as soon as so many have ended; newest first."""

    def look() -> list[Any]:
        found = answer(house, "reconcile list")
        return found if sum(one["ended_at"] is not None for one in found) >= count else []

    return until(look, f"{count} rounds ended")


def test_after_a_cut_and_after_a_start_the_broker_is_asked_for_each_live_order_and_its_word_compared(
    make_house: MakeHouse, settle: Callable[[float], None]
) -> None:
    house = make_house()
    house.peer("BROKER1")
    house.start()
    client, broker = house.up("CLIENT1", "BROKER1")
    first, second = working(client, broker, "A1"), working(client, broker, "A2")
    assert said(house, "reconcile list")[1].startswith("No round was begun")
    settle(0)
    house.drop("BROKER1")
    (broker,) = house.up("BROKER1")
    asked = [broker.expect("H"), broker.expect("H")]
    assert [one[11] for one in asked] == [first[11], second[11]]
    broker.send(report(broker, first, "I", "0", ord_status="0"))
    broker.send(report(broker, second, "I", "0", ord_status="1", cum=40, avg="150"))
    (found,) = ended_rounds(house, 1)
    assert (found["about"], found["how"], found["ended"], found["orders"], found["asked"], found["matched"]) == (
        "BROKER1", "each", "complete", 2, 2, 1,
    )  # fmt: skip
    shown = answer(house, "reconcile show", found["round_id"], code=1)
    (evidence,) = shown["evidence"]
    assert (evidence["kind"], evidence["text"]) == (
        "quantity_mismatch",
        "broker's CumQty(14) 40, ledger's 0",
    )
    assert f"11={second[11]}" in evidence["raw"]
    code, text = said(house, "reconcile show", found["round_id"])
    assert (code, "an OrderStatusRequest(H) for each order" in text, "quantity_mismatch" in text) == (1, True, True)
    assert house.items() == [("quantity_mismatch", "warning", "BROKER1")]
    broker.send(report(broker, second, "F", "F1", cum=40, last=(40, "150"), avg="150"))
    client.expect("8", ClOrdID="A2", CumQty="40")
    house.until("SELECT FROM exception_items WHERE state = 'resolved'")

    house.stop()
    house.start()
    house.up("CLIENT1", "BROKER1")
    assert {broker.expect("H")[11], broker.expect("H")[11]} == {first[11], second[11]}
    broker.send(report(broker, first, "I", "0", ord_status="0"))
    broker.send(report(broker, second, "I", "0", ord_status="1", cum=40, avg="150"))
    newest = ended_rounds(house, 2)[0]
    assert (newest["matched"], newest["counts"]["differing"]) == (2, 0)
    assert said(house, "reconcile show", newest["round_id"])[0] == 0
    assert said(house, "reconcile show", "R9") == (
        3,
        "oms: the ledger has no round R9; `oms reconcile list` shows them\n",
    )
    house.check_chain()
    replays(house)


def test_one_mass_status_request_shows_what_is_missing_on_either_side(
    make_house: MakeHouse, settle: Callable[[float], None]
) -> None:
    house = make_house(brokers={"BROKER1": "4.4"}, dialect=MASS)
    house.peer("BROKER1")
    house.start()
    client, broker = house.up("CLIENT1", "BROKER1")
    first = working(client, broker, "A1")
    working(client, broker, "A2")
    settle(0)
    house.drop("BROKER1")
    (broker,) = house.up("BROKER1")
    asked = broker.expect("AF")
    assert (asked[585], asked[584][0]) == ("7", "R")
    of_it = f"584={asked[584]}|911=2|912="
    broker.send(report(broker, first, "I", "0", ord_status="0", more=of_it + "N"))
    stranger = {11: "VOICE", 38: "100", 54: "1", 44: "150"}
    broker.send(report(broker, stranger, "I", "0", ord_status="0", more=of_it + "Y"))  # type: ignore[arg-type]
    (found,) = ended_rounds(house, 1)
    assert (found["how"], found["ended"], found["matched"], found["counts"]["missing_here"]) == (
        "mass", "complete", 1, 1,
    )  # fmt: skip
    kinds = {
        one["kind"]: one["text"] for one in answer(house, "reconcile show", found["round_id"], code=1)["evidence"]
    }
    assert kinds == {"broker_unknown_order": "", "missing_here": "OrderID(37) of the broker B-VOICE"}
    assert sorted(house.items()) == [
        ("broker_unknown_order", "error", "BROKER1"),
        ("unknown_order", "warning", "BROKER1"),
    ]
    live = answer(house, "orders list", "--live")
    assert {one["cl_ord_id"] for one in live} == {"A1", "A2"}
    replays(house)
