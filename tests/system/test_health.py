"""`oms health` of a running gateway: well with warnings, an engine thread that stands still, no gateway."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.system.commands import answer, said
from tests.system.house import House, until
from tests.system.words import new_order, report

MakeHouse = Callable[..., House]


def states(found: dict[str, Any]) -> dict[str, str]:
    return {one["about"]: one["state"] for one in found["findings"]}


def test_health_sees_within_seconds_that_a_sessions_engine_thread_stands_still_and_that_it_turns_again(
    make_house: MakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = make_house(session_keys={"BROKER1": "HeartBtInt=1"})
    gateway = house.start()
    client, broker = house.up("CLIENT1", "BROKER1")
    client.send(new_order("A1"))
    asked = broker.expect("D")
    well = ("core thread", "threads", "ledger", "lease", "trading", "kill switches", "session CLIENT1")
    well = (*well, f"port {house.client_port}")
    assert states(answer(house, "health")) == dict.fromkeys([*well, "session BROKER1"], "ok")
    assert said(house, "health")[1].startswith("The gateway is healthy.\n")

    goes_on, put = threading.Event(), gateway._inbox.put

    def stands_still(heard: Any) -> None:
        assert goes_on.wait(60)
        put(heard)

    monkeypatch.setattr(gateway._inbox, "put", stands_still)
    try:
        broker.send(report(broker, asked, "0", "N1"))
        until(lambda: said(house, "health")[0] == 1, "not healthy")
        found = answer(house, "health", code=1)
        assert states(found) == dict.fromkeys(well, "ok") | {"session BROKER1": "bad"}
        text = next(one["text"] for one in found["findings"] if one["state"] == "bad")
        assert "no message in or out for " in text
        assert "it stands still" in text
        assert gateway._engines["broker"].sessions["BROKER1"].logged_on
    finally:
        goes_on.set()
    until(lambda: states(answer(house, "health"))["session BROKER1"] == "ok", "healthy again")
    client.expect("8", t39="0")  # what stood still was not lost

    answer(house, "sessions logout BROKER1 --reason", "to look at it")
    code, text = said(house, "health")
    assert (code, text.splitlines()[0]) == (0, "The gateway is healthy (1 to look at).")
    house.stop()
    found = answer(house, "health", code=1)
    assert (found["healthy"], states(found)) == (False, {"gateway": "bad"})
