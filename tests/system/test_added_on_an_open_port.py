"""Clients that are added on the port of others trade after `oms sessions reload`, while the others go on."""

from __future__ import annotations

import dataclasses
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
import quickfix as fix

from oms import additions
from oms.sim.peer import FixPeer
from tests.system.commands import answer, replays, said
from tests.system.house import House, in_parallel, until
from tests.system.newcomers import Newcomer, open_house, trade
from tests.system.nursery import Nursery
from tests.system.raw import RawClient
from tests.system.words import new_order, report

MANY = [f"NEW{number}" for number in range(20)]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, shared_url: str) -> Iterator[House]:
    """CLIENT1 and BROKER1 trade."""
    with open_house(tmp_path_factory.mktemp("port"), shared_url) as made:
        yield made


@contextmanager
def order_flow(house: House, client: FixPeer, prefix: str) -> Iterator[list[str]]:
    """Orders of a client, one after the other, each acknowledged by its broker; gives those that were."""
    ended, done = threading.Event(), list[str]()
    failures: list[BaseException] = []
    broker = house.peers["BROKER1"]

    def work() -> None:
        try:
            while not ended.wait(0.01):
                name = f"{prefix}{len(done)}"
                client.send(new_order(name))
                broker.send(report(broker, broker.expect("D"), "0", f"N-{name}"))
                client.expect("8", ClOrdID=name, OrdStatus="0")
                done.append(name)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        until(lambda: done or failures, "no order goes through")
        yield done
        before = len(done)
        until(lambda: len(done) > before or failures, "no order goes through any more")
    finally:
        ended.set()
        thread.join()
    assert not failures, failures


def logons_of(house: House, name: str) -> list[str]:
    """What the journal says of a session's logons and logouts."""
    rows = house.rows("SELECT msg_type FROM journal WHERE kind = 'session' AND session = %s ORDER BY seq", name)
    return [row["msg_type"] for row in rows]


def refused_without_a_session(house: House) -> int:
    return len(house.rows("SELECT FROM journal WHERE kind = 'refused' AND detail::text LIKE '%%no such session%%'"))


def knock(house: House, name: str, source: str = "") -> RawClient | None:
    """Log on once; None where the gateway hangs up."""
    line = RawClient(house.client_port, name, house.comp_id, source=source)
    try:
        line.logon()
    except (AssertionError, ConnectionError):
        line.__exit__(None, None, None)
        return None
    return line


def test_it_trades_while_the_others_of_the_port_go_on_and_is_seen_like_any_other(house: House) -> None:
    client, _ = house.up("CLIENT1", "BROKER1")
    file = house.directory / "sessions.cfg"
    new = Newcomer(house, "CLIENT2", "4.2", "OmsMaxRate=500\n", port=house.client_port)
    near = Newcomer(house, "CLIENT3", more="AllowedRemoteAddresses=127.0.0.2\n", port=house.client_port)
    own = Newcomer(house, "CLIENT4")
    file.write_text(file.read_text() + new.section + near.section + own.section)
    early = new.peer()
    peers = [early]
    try:
        until(lambda: refused_without_a_session(house), "the newcomer is not turned away")
        assert "CLIENT2: new, would be added\n" in said(house, "sessions reload --preview")[1]
        with order_flow(house, client, "F"):
            done = answer(house, "sessions reload --reason", "they have signed")
            assert (done["added"], done["restart"]) == (["CLIENT2", "CLIENT3", "CLIENT4"], [])
            early.wait_logged_on()  # it had tried all along
            house.until_logged_on("CLIENT2")
        trade(house, early, "B1")
        peers.append(own.peer())
        peers[1].wait_logged_on()
        trade(house, peers[1], "D1")
        assert knock(house, "STRANGER") is None
        assert knock(house, "CLIENT4") is None  # on a port that is not its own
        assert knock(house, "CLIENT3") is None
        near_line = knock(house, "CLIENT3", "127.0.0.2")
        assert near_line is not None
        with near_line:
            shown = answer(house, "sessions show CLIENT2")
            assert shown["state"] == "logged on"
            house.until_logged_on("CLIENT3")
            assert house.gateway is not None
            watch = house.gateway._session_watch
            names = ("CLIENT1", "CLIENT2", "CLIENT3", "CLIENT4")
            until(lambda: all(watch.turning.turning.get(name) for name in names), "a session without a thread")
            findings = {one["about"]: one["state"] for one in answer(house, "health")["findings"]}
            about = [f"session {name}" for name in names] + [f"port {one.port}" for one in (new, own)]
            assert [findings[one] for one in about] == ["ok"] * 6
            near_line.logout()
        assert (logons_of(house, "CLIENT1"), client.logged_on) == (["SessionUp"], True)
    finally:
        for peer in peers:
            peer.disconnect()
            peer.stop()
    replays(house)


def test_a_port_has_its_tls_and_its_socket_keys_once(house: House) -> None:
    one = house.config.sessions["CLIENT1"]
    other = {**one.settings, "SocketNodelay": "N", "LogonTimeout": "7"}
    new = dataclasses.replace(one, name="CLIENT9", session_id="FIX.4.4:A->B", tls=True, settings=other)
    why = f"a new client on port {one.port}, which is open with another OmsTls, SocketNodelay"
    assert additions.why_not(new, {"CLIENT1": one}) == why
    same = dataclasses.replace(new, tls=False, settings={**one.settings, "LogonTimeout": "7"})
    assert additions.why_not(same, {"CLIENT1": one}) == ""


def test_where_the_engine_does_not_take_one_nothing_is_left_of_the_others(house: House) -> None:
    """Neither of one that it made for the open port, nor of one that it made together with the other."""
    house.up("CLIENT1", "BROKER1")
    file = house.directory / "sessions.cfg"
    kept = file.read_text()
    shared, beside = (Newcomer(house, name, port=house.client_port) for name in ("FINE1", "FINE2"))
    own = Newcomer(house, "WRONG")
    file.write_text(kept + shared.section + own.section + beside.section.replace(str(beside.port), str(own.port)))
    spec = house.config.sessions["WRONG"]
    wrong = spec.store_path / f"{spec.store_prefix}.body"
    wrong.mkdir()
    code, text = said(house, "sessions reload --reason signed")
    assert (code, "nothing was changed: the FIX engine cannot make" in text) == (2, True), text
    assert not any(_engine_has(house, name) for name in ("FINE1", "FINE2", "WRONG"))
    wrong.rmdir()
    assert answer(house, "sessions reload --reason signed")["added"] == ["FINE1", "WRONG", "FINE2"]
    peer = shared.peer()
    peer.wait_logged_on()
    house.until_logged_on("FINE1")
    trade(house, peer, "E1")
    peer.disconnect()
    peer.stop()
    file.write_text(kept)
    answer(house, "sessions reload --reason", "they left")


def test_a_port_that_was_taken_meanwhile_keeps_out_those_of_that_port_alone(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = house.directory / "sessions.cfg"
    kept = file.read_text()
    own, shared = Newcomer(house, "SHUT1"), Newcomer(house, "OPEN1", port=house.client_port)
    file.write_text(kept + own.section + shared.section)
    monkeypatch.setattr(additions, "_require_free", lambda port: None)
    with socket.create_server(("0.0.0.0", own.port)):
        code, text = said(house, "sessions reload --reason signed")
    assert (code, "SHUT1: added, but the port cannot be opened" in text, "OPEN1" in text) == (2, True, False), text
    line = knock(house, "OPEN1")
    assert line is not None
    with line:
        line.logout()
    file.write_text(kept)
    assert answer(house, "sessions reload --reason", "they left")["retired"] == ["SHUT1", "OPEN1"]


def _engine_has(house: House, name: str) -> bool:
    native = fix.SessionID()
    native.fromString(house.config.sessions[name].session_id)
    return bool(fix.Session.doesSessionExist(native))


def test_it_is_retired_and_comes_back_like_any_other_and_a_start_finds_it(house: House) -> None:
    file = house.directory / "sessions.cfg"
    with_them = file.read_text()
    new = Newcomer(house, "CLIENT2", "4.2", port=house.client_port)
    client, _ = house.up("CLIENT1", "BROKER1")
    file.write_text(with_them.partition("[SESSION]\nOmsName=CLIENT2")[0])
    peer = new.peer()
    try:
        peer.wait_logged_on()
        done = answer(house, "sessions reload --reason", "they left")
        assert done["retired"] == ["CLIENT2", "CLIENT3", "CLIENT4"]
        peer.wait_logged_out()
        file.write_text(with_them)
        done = answer(house, "sessions reload --reason", "they are back")
        assert (done["back"], done["added"]) == (["CLIENT2", "CLIENT3", "CLIENT4"], [])
        answer(house, "sessions enable CLIENT2 --reason signed")
        answer(house, "sessions drain CLIENT2 --undo --reason signed")
        peer.wait_logged_on(logons=2)
        house.until_logged_on("CLIENT2")
        trade(house, peer, "B2")
        assert client.logged_on
        house.stop()
        peer.wait_logged_out()
        house.start()
        house.up("CLIENT1", "BROKER1")
        peer.wait_logged_on(logons=3)
        house.until_logged_on("CLIENT2")
        trade(house, peer, "B3")
    finally:
        peer.disconnect()
        peer.stop()
    replays(house)


def test_twenty_at_once_and_one_by_one_while_all_of_them_and_strangers_knock(house: House) -> None:
    """Whoever knocks too early is turned away, and nobody else is touched; then a stop with all of them on."""
    client, _ = house.up("CLIENT1", "BROKER1")
    file = house.directory / "sessions.cfg"
    sections = {name: Newcomer(house, name, port=house.client_port).section for name in MANY}
    lines: dict[str, RawClient] = {}
    ended = threading.Event()

    def knocks(name: str) -> None:
        while name not in lines and not ended.is_set():
            line = knock(house, name)
            if line is not None:
                lines[name] = line
            ended.wait(0.02)

    threads = [threading.Thread(target=knocks, args=(name,)) for name in (*MANY, "STRANGER1", "STRANGER2")]
    with ExitStack() as stack:
        stack.callback(lambda: [line.__exit__(None, None, None) for line in lines.values()])
        with order_flow(house, client, "G"):
            for thread in threads:
                thread.start()
            try:
                for name in MANY[:4]:
                    file.write_text(file.read_text() + sections[name])
                    assert answer(house, "sessions reload --reason", "signed")["added"] == [name]
                file.write_text(file.read_text() + "".join(sections[name] for name in MANY[4:]))
                assert answer(house, "sessions reload --reason", "signed")["added"] == MANY[4:]
                until(lambda: len(lines) == len(MANY), lambda: f"only {sorted(lines)} are logged on", 30)
            finally:
                ended.set()
                for thread in threads:
                    thread.join()
        house.until_logged_on(*MANY)
        assert sorted(lines) == sorted(MANY)
        assert client.logged_on
        for name, line in lines.items():
            line.send(new_order(f"{name}-1"))
        assert len([house.peers["BROKER1"].expect("D") for _ in lines]) == len(MANY)
        began = time.monotonic()
        house.stop()
        assert time.monotonic() - began < 10
        for line in lines.values():
            assert line.expect("5")[58] == "the gateway stops"
    replays(house)
    house.start()
    house.up("CLIENT1", "BROKER1")
    in_parallel([lambda name=name: _trade_again(house, name) for name in MANY[::7]])  # type: ignore[misc]


def _trade_again(house: House, name: str) -> None:
    line = knock(house, name)
    assert line is not None
    with line:
        line.logout()


def test_a_stop_while_they_are_added_and_a_death_right_after(
    make_house: Callable[..., House], nursery: Nursery
) -> None:
    """However far it came, the next start has what the file has."""
    house = make_house()
    file = house.directory / "sessions.cfg"
    gateway = house.fork(nursery)
    for number, pause in enumerate((0.0, 0.1, 0.2, 0.3)):
        house.up("CLIENT1", "BROKER1")
        new = Newcomer(house, f"LATE{number}", port=house.client_port)
        file.write_text(file.read_text() + new.section)
        reload = threading.Thread(target=said, args=(house, "sessions reload --reason x"))
        reload.start()
        time.sleep(pause)  # nothing to await: the stop is to come at any point of the reload
        gateway.stop()
        reload.join()
        gateway = house.fork(nursery)
        line = until(lambda name=f"LATE{number}": knock(house, name), "no logon")  # type: ignore[misc]
        line.__exit__(None, None, None)
    file.write_text(file.read_text() + Newcomer(house, "LAST", port=house.client_port).section)
    house.up("CLIENT1", "BROKER1")
    answer(house, "sessions reload --reason signed")
    gateway.kill()
    house.fork(nursery)
    house.up("CLIENT1", "BROKER1")
    line = knock(house, "LAST")
    assert line is not None
    with line:
        house.until_logged_on("LAST")
        line.send(new_order("L1"))
        house.peers["BROKER1"].expect("D")
    assert house.process is not None
    house.process.stop()
    replays(house)
