"""A thread of the engine that hangs is found out within seconds, whichever it is; one that is made to wait is not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from oms.demo.place import free_ports
from oms.fix.turning import TurnWatch
from oms.inbox import IN, Heard, Inbox
from oms.sim.peer import FixPeer
from tests.system.house import until

pytestmark = pytest.mark.engine
PATIENCE = 0.5
ORDER = "35=D|11=A1|55=IBM|54=1|38=100|40=2|44=10.5|60=20260302-12:00:00.000"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[FixPeer, FixPeer]]:
    """Two engines that are logged on to each other: who listens, who connects."""
    (port,) = free_ports(1)
    them = FixPeer("acceptor", "4.4", "THEM", "US", port, tmp_path / "them")
    us = FixPeer("initiator", "4.4", "US", "THEM", port, tmp_path / "us")
    engines = them.engine, us.engine
    assert [one.idle_seconds(name) for one in engines for name in one.sessions] == [None, None]  # before the start
    them.start()
    us.start()
    try:
        us.wait_logged_on()
        them.wait_logged_on()
        yield them, us
    finally:
        us.disconnect()
        us.stop()
        them.stop()
        assert [one.idle_seconds(name) for one in engines for name in one.sessions] == [None, None]  # after the end


def still(watch: TurnWatch) -> set[str]:
    watch.look()
    return set(watch.still)


@pytest.mark.parametrize("who", ["who listens", "who connects"])
def test_a_connection_whose_thread_hangs_is_still_until_it_goes_on_and_no_other_is(
    pair: tuple[FixPeer, FixPeer], who: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, other = pair if who == "who listens" else pair[::-1]
    held_back: set[str] = set()
    watch = TurnWatch(lambda: [one.engine for one in pair], lambda: held_back, patience=PATIENCE)
    assert (still(watch), watch.turning) == (set(), {"THEM": True, "US": True})
    go_on, entered = threading.Event(), threading.Event()

    def received(session: str, raw: str) -> None:
        entered.set()
        go_on.wait()

    monkeypatch.setattr(hangs.engine._listener, "received", received)
    try:
        other.send(ORDER)
        assert entered.wait(10)
        until(lambda: still(watch), "the thread hangs")
        assert watch.turning == {hangs.name: False, other.name: True}
        assert watch.still[hangs.name] > PATIENCE
        held_back.add(hangs.name)  # then it is no news that it waits
        assert (still(watch), watch.turning) == (set(), {"THEM": True, "US": True})
        held_back.clear()
        assert (still(watch), still(watch)) == (set(), {hangs.name})  # twice in a row
    finally:
        go_on.set()
    until(lambda: not still(watch), "it goes on")
    assert watch.turning == {"THEM": True, "US": True}


def test_a_client_that_is_not_logged_on_needs_no_thread_and_a_broker_that_is_not_has_the_one_that_connects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = free_ports(2)
    them = FixPeer("acceptor", "4.4", "THEM", "US", ports[0], tmp_path / "them").start()
    us = FixPeer("initiator", "4.4", "US", "THEM", ports[1], tmp_path / "us").start()  # where nobody listens
    watch = TurnWatch(lambda: [them.engine, us.engine], frozenset, patience=PATIENCE)
    go_on, entered = threading.Event(), threading.Event()
    heard = us.engine.on_event

    def on_event(handle: object, text: str) -> None:
        heard(handle, text)  # type: ignore[arg-type]
        if text.startswith("Connecting to "):
            entered.set()
            go_on.wait()

    try:
        until(lambda: us.engine.idle_seconds("US") is not None, "it connects")
        assert (still(watch), watch.turning) == (set(), {"US": True})
        monkeypatch.setattr(us.engine, "on_event", on_event)
        assert entered.wait(10)
        until(lambda: still(watch), "the thread that connects hangs")
        assert watch.turning == {"US": False}
    finally:
        go_on.set()
        us.stop()
        them.stop()


def test_the_inbox_says_who_waits_for_room() -> None:
    inbox = Inbox(["A", "B"], 1)
    inbox.put(Heard(IN, "A", "1", (), 0))
    inbox.put(Heard(IN, "B", "1", (), 0))
    assert inbox.held_back() == frozenset()
    threads = [threading.Thread(target=inbox.put, args=(Heard(IN, "A", text, (), 0),)) for text in ("2", "3")]
    for thread in threads:
        thread.start()
    until(lambda: inbox.held_back() == {"A"}, "A waits")
    taken = 0
    while taken < 4:
        taken += len(inbox.take(1, 5.0))
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert inbox.held_back() == frozenset()
