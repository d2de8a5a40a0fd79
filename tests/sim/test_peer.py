"""The test peer does what its tests rely on: it orders what it expects, says what came instead, and restarts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from oms.errors import OperatorError
from oms.sim.peer import FixPeer
from oms.sim.session import SessionSpec

pytestmark = pytest.mark.engine


@pytest.fixture
def broker(port: int, tmp_path: Path) -> Iterator[FixPeer]:
    """A listening peer."""
    with ExitStack() as ended:
        peer = FixPeer("acceptor", "4.4", "BROKER", "OMS", port, tmp_path / "broker").start()
        ended.callback(peer.stop)
        yield peer


@pytest.fixture
def client(broker: FixPeer, port: int, tmp_path: Path) -> Iterator[FixPeer]:
    """A peer that is logged on to it. It cuts the line before it stops, which saves the wait for the Logout(5)."""
    peer = FixPeer("initiator", "4.4", "OMS", "BROKER", port, tmp_path / "client").start()
    peer.wait_logged_on()
    broker.wait_logged_on()
    yield peer
    peer.disconnect()
    peer.stop()


def test_what_is_sent_is_received_and_expected_by_name_or_number(broker: FixPeer, client: FixPeer) -> None:
    client.send("35=D|11=A1|55=IBM|54=1|38=100|40=1|453=2|448=P|447=D|452=1|448=Q|447=D|452=3|7001=C/1")
    client.send("35=D|11=A2|55=SAP|54=1|38=100|40=1|97=Y")
    second = broker.expect("D", ClOrdID="A2", PossResend="Y", Price=None)
    first = broker.expect("D", t11="A1")
    assert (second[55], first[55], first.all(448), first[7001]) == ("SAP", "IBM", ["P", "Q"], "C/1")
    assert broker.received == [first, second]
    broker.expect_nothing()


def test_what_did_not_come_is_told_with_what_came_instead(broker: FixPeer, client: FixPeer) -> None:
    client.send("35=D|11=A1|55=IBM|54=1|38=100|40=1")
    broker.expect("D")
    client.send("35=D|11=A2|55=IBM|54=1|38=100|40=1")
    with pytest.raises(AssertionError, match=r"expected F; not yet taken:\n.*11=A2"):
        broker.expect("F", 0.05)
    with pytest.raises(AssertionError, match=r"unexpected.*11=A2"):
        broker.expect_nothing("D")


def test_a_message_that_breaks_the_dictionary_is_refused_and_the_reject_is_received(
    broker: FixPeer, client: FixPeer
) -> None:
    client.send("35=D|11=A1|55=IBM|54=1|38=abc|40=1")
    assert client.expect("3", RefMsgType="D")[371] == "38"
    message, reason = broker.refused[0]
    assert (message[11], "Incorrect data format for value" in reason) == ("A1", True)


def test_a_cut_connection_comes_back_by_itself(broker: FixPeer, client: FixPeer) -> None:
    client.disconnect()
    client.wait_logged_on(logons=2)
    client.send("35=D|11=A1|55=IBM|54=1|38=100|40=1")
    broker.expect("D", ClOrdID="A1")


def test_nothing_is_sent_or_kept_while_logged_out(broker: FixPeer, client: FixPeer) -> None:
    client.logout("lunch")
    broker.expect("5", Text="lunch")
    client.wait_logged_out()
    with pytest.raises(AssertionError, match="logged out"):
        client.send("35=D|11=A1|55=IBM|54=1|38=100|40=1")
    client.logon()
    client.wait_logged_on(logons=2)
    client.send("35=D|11=A2|55=IBM|54=1|38=100|40=1")
    assert broker.expect("D")[11] == "A2"


def test_a_restart_on_the_same_directory_goes_on_with_the_sequence_numbers(
    broker: FixPeer, port: int, tmp_path: Path
) -> None:
    for number in (2, 5):  # 1 is a Logon(A), 3 a Logout(5), 4 a Logon(A)
        with FixPeer("initiator", "4.4", "OMS", "BROKER", port, tmp_path / "client") as client:
            broker.wait_logged_on()
            client.send("35=D|11=A1|55=IBM|54=1|38=100|40=1")
            assert broker.expect("D")[34] == str(number)
        broker.wait_logged_out()


def test_a_port_in_use_and_an_unknown_version_are_told_so(broker: FixPeer, port: int, tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=f"port {port}: cannot listen"):
        FixPeer("acceptor", "4.4", "OTHER", "OMS", port, tmp_path / "other").start()
    with pytest.raises(OperatorError, match=r"version 4\.3: not a known one"):
        SessionSpec("X", "acceptor", "4.3", "X", "OMS", port, tmp_path)


def test_what_may_not_be_sent_at_the_last_moment_is_not_stored_and_uses_no_number(
    broker: FixPeer, client: FixPeer
) -> None:
    before = client.engine.numbers("OMS")
    client.engine._may_send = lambda: False
    assert client.engine.send("OMS", ["35=D\x0111=A1\x0155=IBM\x0154=1\x0138=100\x0140=1\x01"]) == []
    assert client.engine.numbers("OMS") == before
    client.engine._may_send = lambda: True
    client.send("35=D|11=A2|55=IBM|54=1|38=100|40=1")
    assert broker.expect("D")[11] == "A2"
    assert [message[11] for message in broker.received] == ["A2"]
