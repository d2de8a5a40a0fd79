"""Several messages leave in one call of the engine: in their order, and up to the first that is none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from oms.errors import Unsendable
from oms.fix.handle import msg_seq_num
from oms.sim.peer import FixPeer

pytestmark = pytest.mark.engine

PARTIES = "453=2|448=P|447=D|452=1|448=Q|447=D|452=3"


def order(cl_ord_id: str, more: str = "") -> str:
    return f"35=D|11={cl_ord_id}|55=IBM|54=1|38=100|40=1|21=1|60=20261121-10:00:00|{more}".replace("|", "\x01")


@pytest.fixture(params=["4.2", "4.4", "5.0SP2"])
def pair(request: pytest.FixtureRequest, port: int, tmp_path: Path) -> Iterator[tuple[FixPeer, FixPeer]]:
    """A peer that sends and one that receives, logged on."""
    receiver = FixPeer("acceptor", request.param, "BROKER", "OMS", port, tmp_path / "broker").start()
    sender = FixPeer("initiator", request.param, "OMS", "BROKER", port, tmp_path / "client").start()
    sender.wait_logged_on()
    yield sender, receiver
    sender.disconnect()
    sender.stop()
    receiver.stop()


def send(peer: FixPeer, *texts: str) -> list[str]:
    session = peer._session
    return session.engine.send(session.spec.name, list(texts))


def test_all_leave_in_their_order_and_come_back_as_they_left(pair: tuple[FixPeer, FixPeer]) -> None:
    sender, receiver = pair
    left = send(sender, *[order(f"A{number}") for number in range(40)])
    assert [msg_seq_num(raw) for raw in left] == list(range(2, 42))  # 1 was the Logon(A)
    for number in range(40):
        assert receiver.expect("D", ClOrdID=f"A{number}")[34] == str(number + 2)


def test_repeating_groups_are_whole_in_every_one(pair: tuple[FixPeer, FixPeer]) -> None:
    sender, receiver = pair
    groups = PARTIES if sender._session.spec.version != "4.2" else "382=2|375=P|337=X|375=Q|337=Y"
    kind = "D" if sender._session.spec.version != "4.2" else "8"
    if kind == "8":
        text = f"35=8|37=1|17=E1|20=0|150=0|39=0|55=IBM|54=1|151=1|14=0|6=0|{groups}|".replace("|", "\x01")
        send(sender, text, text)
        assert [receiver.expect("8").all(375) for _ in range(2)] == [["P", "Q"], ["P", "Q"]]
    else:
        send(sender, order("G1", groups + "|"), order("G2", groups + "|"))
        assert [receiver.expect("D").all(448) for _ in range(2)] == [["P", "Q"], ["P", "Q"]]


def test_what_is_no_message_ends_the_call_and_costs_no_number(pair: tuple[FixPeer, FixPeer]) -> None:
    sender, receiver = pair
    bad = [order("B").replace("38=", "x="), order("B", "58=\udcff\udcfe\ud800\x01")]
    for number, none in enumerate(bad):
        left = send(sender, order(f"A{number}"), none, order(f"C{number}"))
        assert [msg_seq_num(raw) for raw in left] == [2 + number]
        with pytest.raises(Unsendable, match=r"the FIX engine cannot make this message: ."):
            send(sender, none, order(f"C{number}"))
        assert receiver.expect("D")[11] == f"A{number}"
    receiver.expect_nothing()


def test_a_session_that_is_logged_out_sends_none(pair: tuple[FixPeer, FixPeer]) -> None:
    sender, _ = pair
    sender.logout("lunch")
    sender.wait_logged_out()
    assert send(sender, order("A1"), order("A2")) == []
