"""A thread of the FIX engine that hangs is told within seconds, by `oms health` and the metrics; others trade on."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from oms.fix.turning import PATIENCE_SECONDS, REMEDY
from oms.sim.peer import FixPeer
from tests.system.commands import answer, replays
from tests.system.house import House, free_ports, until
from tests.system.words import new_order, report

PRICES = """\
[[prices.source]]
name = "feed"
kind = "fix"
settings = "market_data.cfg"
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, shared_url: str) -> Iterator[House]:
    """The gateway of this module; at its end its journal replays to the same tables (I7)."""
    made = House(
        tmp_path_factory.mktemp("threads"),
        shared_url,
        clients={"CLIENT1": "4.4", "CLIENT2": "4.4"},
        brokers={"BROKER1": "4.4", "BROKER2": "4.4"},
        toml=PRICES,
    )
    (port,) = free_ports(1)
    (made.directory / "market_data.cfg").write_text(
        "[DEFAULT]\nConnectionType=initiator\nReconnectInterval=1\n[SESSION]\nBeginString=FIX.4.4\n"
        f"SenderCompID={made.comp_id}\nTargetCompID=FEED\nSocketConnectHost=127.0.0.1\nSocketConnectPort={port}\n"
    )
    feed = FixPeer("acceptor", "4.4", "FEED", made.comp_id, port, made.directory / "feed").start()
    made.peers["FEED"] = feed  # its end is the house's
    try:
        made.peer("BROKER1")
        made.start()
        made.up("CLIENT1", "CLIENT2", "BROKER1")
        feed.wait_logged_on()
        until(lambda: turning(made) == dict.fromkeys(ALL, 1), "all turn")
        yield made
        replays(made)
    finally:
        made.close()


ALL = ("CLIENT1", "CLIENT2", "BROKER1", "BROKER2", "market data feed")


def turning(house: House) -> dict[str, int]:
    """What the metrics say."""
    assert house.gateway is not None
    samples = house.gateway._session_watch.samples()["oms_session_turning"]
    return {name: int(value) for (name,), value in samples.items()}


def hangs_alone(house: House, name: str, cl_ord_id: str) -> None:
    """That the thread of this session hangs is told within seconds, and nobody else's; others trade on."""
    until(lambda: turning(house)[name] == 0, "it is noticed", PATIENCE_SECONDS + 5)
    assert turning(house) == dict.fromkeys(ALL, 1) | {name: 0}
    bad = [one["about"] for one in answer(house, "health", code=1)["findings"] if one["state"] == "bad"]
    assert bad == [f"thread of {name}"]
    trade(house, "CLIENT1", cl_ord_id)


def trade(house: House, client: str, cl_ord_id: str) -> None:
    """An order of this client goes to the broker and is told as new."""
    broker = house.peers["BROKER1"]
    house.peers[client].send(new_order(cl_ord_id))
    broker.send(report(broker, broker.expect("D"), "0", f"N-{cl_ord_id}"))
    house.peers[client].expect("8", ClOrdID=cl_ord_id, OrdStatus="0")


def test_a_session_whose_thread_hangs_is_told_within_seconds_and_all_others_trade_on(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    healthy = answer(house, "health")
    assert not [one for one in healthy["findings"] if one["state"] == "bad"]
    assert house.gateway is not None
    listener = house.gateway._engines["client"]._listener
    as_before, go_on = listener.received, threading.Event()

    def received(session: str, raw: str) -> None:
        if session == "CLIENT1":
            go_on.wait()
        as_before(session, raw)

    monkeypatch.setattr(listener, "received", received)
    try:
        house.peers["CLIENT1"].send(new_order("H1"))
        until(lambda: turning(house)["CLIENT1"] == 0, "it is noticed", PATIENCE_SECONDS + 5)
        assert turning(house) == dict.fromkeys(ALL, 1) | {"CLIENT1": 0}
        found = answer(house, "health", code=1)
        (finding,) = [one for one in found["findings"] if one["state"] == "bad"]
        assert (finding["about"], finding["text"].endswith(REMEDY)) == ("thread of CLIENT1", True)
        trade(house, "CLIENT2", "H2")
    finally:
        go_on.set()
    broker = house.peers["BROKER1"]
    broker.send(report(broker, broker.expect("D"), "0", "N-H1"))
    house.peers["CLIENT1"].expect("8", ClOrdID="H1", OrdStatus="0")
    until(lambda: turning(house)["CLIENT1"] == 1, "it turns again")
    assert [one for one in answer(house, "health")["findings"] if one["state"] == "bad"] == []


def test_the_thread_that_connects_to_brokers_is_watched_too(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    assert house.gateway is not None
    engine = house.gateway._engines["broker"]
    as_before, go_on = engine.on_event, threading.Event()

    def on_event(handle: object, text: str) -> None:
        as_before(handle, text)  # type: ignore[arg-type]
        if text.startswith("Connecting to "):
            go_on.wait()

    monkeypatch.setattr(engine, "on_event", on_event)
    try:
        hangs_alone(house, "BROKER2", "H3")
    finally:
        go_on.set()
    until(lambda: turning(house)["BROKER2"] == 1, "it turns again")


def test_the_thread_of_a_market_data_session_is_watched_too(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    assert house.gateway is not None
    (engine,) = house.gateway._prices.engines()
    go_on = threading.Event()
    monkeypatch.setattr(engine._listener, "received", lambda session, raw: go_on.wait())
    feed = house.peers["FEED"]
    try:
        feed.send(f"35=W|262={feed.expect('V')[262]}|55=AAPL|268=1|269=2|270=150")
        hangs_alone(house, "market data feed", "H4")
    finally:
        go_on.set()
    until(lambda: turning(house)["market data feed"] == 1, "it turns again")
