"""Clients and brokers that are added to sessions.cfg trade after `oms sessions reload`, and nobody else notices."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest

from oms.fix.store import set_aside
from tests.system.commands import answer, replays, said
from tests.system.house import House, free_ports
from tests.system.newcomers import Newcomer, open_house, trade
from tests.system.nursery import Nursery
from tests.system.words import new_order, replace, report, told_fills


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, shared_url: str) -> Iterator[House]:
    """CLIENT1 and BROKER1 trade."""
    with open_house(tmp_path_factory.mktemp("added"), shared_url) as made:
        yield made


def test_a_new_client_trades_while_others_go_on_and_still_does_after_a_start(house: House) -> None:
    client, _ = house.up("CLIENT1", "BROKER1")
    trade(house, client, "A1")
    file = house.directory / "sessions.cfg"
    kept = file.read_text()
    new = Newcomer(
        house,
        "CLIENT2",
        "4.2",
        "OmsNews=Y\nOmsCancelOnDisconnect=Y\nOmsCancelOnDisconnectSeconds=1\nOmsMaxRate=500\n",
    )
    copy = Newcomer(house, "COPY1", more="OmsRole=drop_copy\nOmsDropCopyOf=BROKER1\n", port=house.client_port)
    file.write_text(kept + new.section + copy.section)
    code, text = said(house, "sessions reload --preview")
    assert (code, text) == (
        0,
        "CLIENT2: new, would be added\nCOPY1: a new drop copy: needs a restart\n",
    )
    done = answer(house, "sessions reload --reason", "CLIENT2 has signed")
    assert (done["added"], done["changed"], done["retired"], done["kept_out"]) == (["CLIENT2"], {}, [], {})
    assert client.logged_on
    peer = new.peer()
    try:
        peer.wait_logged_on()
        house.until_logged_on("CLIENT2")
        trade(house, peer, "B1")
        trade(house, client, "A2")
        peer.send(new_order("B5"))
        asked = house.peers["BROKER1"].expect("D")
        assert house.rows("SELECT count(*) AS n FROM journal WHERE kind = 'session' AND session = 'CLIENT1'") == [
            {"n": 1}
        ]  # it was never logged out
        shown = answer(house, "sessions show CLIENT2")
        numbers = {name: shown["engine"][name] for name in ("next_in", "next_out")}
        assert (shown["state"], numbers) == ("logged on", {"next_in": 4, "next_out": 3})
        kill = answer(house, "kill engage --client CLIENT2 --keep-orders --reason", "rehearsal")["kill_id"]
        assert kill in peer.expect("B")[58]
        peer.send(new_order("B2"))
        assert "kill_switch" in peer.expect("8", ClOrdID="B2", OrdStatus="8")[58]
        answer(house, f"kill release {kill} --reason over")
        peer.expect("B")
        findings = {one["about"]: one["state"] for one in answer(house, "health")["findings"]}
        assert (findings["session CLIENT2"], findings[f"port {new.port}"]) == ("ok", "ok")
        assert said(house, "sessions reload --reason again")[1].startswith("COPY1: ")
        rows = house.rows("SELECT detail FROM journal WHERE msg_type = 'sessions.reload'")
        assert [dict(row["detail"]["matter"][2])["added"] for row in rows] == ["CLIENT2"]
    finally:
        peer.disconnect()
        peer.stop()
    house.until("SELECT FROM session_positions WHERE session = 'CLIENT2' AND NOT logged_on")
    broker = house.peers["BROKER1"]
    canceled = broker.expect("F")  # it stays away
    assert canceled[41] == asked[11]
    broker.send(report(broker, canceled, "4", "X5", leaves=0))
    house.until("SELECT FROM client_orders WHERE client = 'CLIENT2' AND finished HAVING count(*) = 3")
    replays(house)
    file.write_text(kept + new.section)
    house.stop()
    house.start()
    house.up("CLIENT1", "BROKER1")
    peer = new.peer()
    try:
        peer.wait_logged_on()
        house.until_logged_on("CLIENT2")
        trade(house, peer, "B3")
    finally:
        peer.disconnect()
        peer.stop()
    replays(house)


def test_one_that_had_left_comes_back_with_its_numbers_and_stays_out_until_it_is_enabled(house: House) -> None:
    """As it does at a start; one whose port is taken, or whose store is lost, is refused and nothing is changed."""
    file = house.directory / "sessions.cfg"
    with_it = file.read_text()
    new = Newcomer(house, "CLIENT2", "4.2")
    without = with_it.partition("[SESSION]\nOmsName=CLIENT2")[0]
    file.write_text(without)
    assert answer(house, "sessions reload --reason", "CLIENT2 left")["retired"] == ["CLIENT2"]
    file.write_text(with_it)
    done = answer(house, "sessions reload --reason", "CLIENT2 is back")
    assert (done["back"], done["added"], done["retired"]) == (["CLIENT2"], [], [])
    file.write_text(without)
    answer(house, "sessions reload --reason", "CLIENT2 left again")
    house.stop()
    house.start()

    moved = with_it.partition("[SESSION]\nOmsName=CLIENT2")[2].partition("SocketAcceptPort=")[2].partition("\n")[0]
    file.write_text(with_it.replace(f"SocketAcceptPort={moved}", f"SocketAcceptPort={new.port}"))
    with socket.create_server(("127.0.0.1", new.port)):
        code, text = said(house, "sessions reload --reason back")
    assert (code, f"nothing was changed: port {new.port} cannot be opened" in text) == (2, True), text
    spec = house.config.sessions["CLIENT2"]
    prefix, aside = spec.store_path / spec.store_prefix, spec.store_path / "aside"
    set_aside(prefix, aside)
    code, text = said(house, "sessions reload --reason back")
    assert (code, "nothing was changed: message stores are lost" in text, "--new-machine" in text) == (2, True, True)
    for kept in aside.iterdir():
        kept.rename(spec.store_path / kept.name)
    assert "CLIENT2" not in answer(house, "sessions show CLIENT1")["session"]

    done = answer(house, "sessions reload --reason", "CLIENT2 is back")
    assert (done["added"], list(done["kept_out"])) == (["CLIENT2"], ["CLIENT2"])
    (broker,) = house.up("BROKER1")
    assert broker.logged_on
    peer = new.peer()
    try:
        house.until("SELECT FROM journal WHERE kind = 'refused' AND session = 'CLIENT2'")
        answer(house, "sessions enable CLIENT2 --reason signed")
        answer(house, "sessions drain CLIENT2 --undo --reason signed")
        peer.wait_logged_on()
        house.until_logged_on("CLIENT2")
        assert house.rows("SELECT max(epoch) AS epoch FROM session_positions") == [{"epoch": 0}]
        trade(house, peer, "B4")
    finally:
        peer.disconnect()
        peer.stop()
    replays(house)


def add_broker(house: House, port: int) -> str:
    """A section for BROKER2, which takes so many messages a second; orders for NEW go there."""
    specs = house.directory / "fix_specs"
    dialect = (specs / "standard-fix44.toml").read_text().replace("standard-fix44", "second")
    (specs / "second.toml").write_text(f"{dialect}\n[outbound]\nmax_messages_per_second = 100\n")
    head, _, routes = house.config_file.read_text().partition("[[routes]]")
    route = '[[routes]]\nname = "new"\nex_destination = "NEW"\nbroker = "BROKER2"\nfallbacks = ["BROKER1"]\n'
    house.config_file.write_text(f"{head}{route}[[routes]]{routes}")
    house.brokers["BROKER2"], house.broker_ports["BROKER2"] = "4.4", port
    return (
        "[SESSION]\nOmsName=BROKER2\nTargetCompID=BROKER2\nBeginString=FIX.4.4\nConnectionType=initiator\n"
        f"SocketConnectHost=127.0.0.1\nSocketConnectPort={port}\nOmsDialect=second\n"
    )


def test_a_new_broker_gets_what_the_routes_give_it_and_after_kill_9_those_added_have_their_orders_once(
    make_house: Callable[..., House], nursery: Nursery
) -> None:
    """Routes of oms.toml come into force with it. A client that was not committed is there too."""
    house = make_house()
    gateway = house.fork(nursery)
    client, first = house.up("CLIENT1", "BROKER1")
    file = house.directory / "sessions.cfg"
    new, later = Newcomer(house, "CLIENT2"), Newcomer(house, "CLIENT3")
    file.write_text(file.read_text() + new.section + add_broker(house, free_ports(1)[0]))
    told = said(house, "sessions reload --preview")[1].splitlines()
    assert told == [
        "CLIENT2: new, would be added",
        "BROKER2: new, would be added",
        "routes new: would be as oms.toml has them now",
    ]
    client.send(new_order("A1", more="100=NEW"))
    first.send(report(first, first.expect("D"), "0", "N1"))  # as before
    answer(house, "sessions reload --reason", "BROKER2 is certified")
    peer, last = new.peer(), later.peer()
    try:
        (second,) = house.up("BROKER2")
        peer.wait_logged_on()
        house.until_logged_on("CLIENT2")
        peer.send(new_order("B1", more="100=NEW"))
        asked = second.expect("D")
        second.send(report(second, asked, "0", "M1"))
        peer.expect("8", ClOrdID="B1", OrdStatus="0")
        peer.send(replace("B2", "B1", qty=200))
        second.expect("G")
        assert "100 messages a second" in said(house, "sessions show BROKER2")[1]
        code, text = said(house, "reconcile run BROKER2")
        assert code == 0, text
        gateway.kill()
        peer.wait_logged_out()
        gateway = house.fork(nursery)
        house.up("CLIENT1", "BROKER1", "BROKER2")
        peer.wait_logged_on()
        house.until_logged_on("CLIENT2")
        second.send(report(second, asked, "F", "M2", cum=100, last=(100, "150"), avg="150"))
        peer.expect("8", ClOrdID="B1", CumQty="100")

        file.write_text(file.read_text() + later.section)
        gateway.crash_at("taken")
        assert said(house, "sessions reload --reason signed")[0] != 0
        gateway.wait()
        house.fork(nursery)
        house.up("CLIENT1", "BROKER1", "BROKER2")
        for one in (peer, last):
            one.wait_logged_on()
        house.until_logged_on("CLIENT2", "CLIENT3")
        trade(house, last, "C1")
        assert (len(told_fills(peer.received)), [one.type for one in second.received].count("D")) == (1, 1)
    finally:
        for one in (peer, last):
            one.disconnect()
            one.stop()
    assert house.process is not None
    house.process.stop()
    replays(house)
    house.check_chain()
