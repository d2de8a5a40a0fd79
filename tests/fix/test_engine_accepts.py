"""What the encoder writes is taken by the real engine with the standard dictionary: 4.2, 4.4 and 5.0 SP2.

The messages are those of one story of the core, so every kind of report, reject and request is there as the core
makes it. Two engines on loopback; the receiving one validates, and would answer Reject(3).
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from oms.core import messages as m
from oms.fix.encode import Encoder
from oms.sim.peer import FixPeer
from oms.sim.wire import Message
from tests.core.desk import Desk
from tests.core.driver import BROKER, CLIENT
from tests.fix.conftest import VERSIONS, encoder

pytestmark = pytest.mark.engine

PARTIES = (("453", "2"), ("448", "P1"), ("447", "D"), ("452", "1"), ("448", "P2"), ("447", "D"), ("452", "3"))
ALLOCS = (("78", "2"), ("79", "ACC1"), ("80", "60"), ("79", "ACC2"), ("80", "40"))
ENCODED_TEXT = (("354", "8"), ("355", "a\x0111=X\x01b"))
CONTRA = (("382", "2"), ("375", "BRK1"), ("337", "TRD1"), ("375", "BRK2"), ("337", "TRD2"))


def story() -> Desk:
    """One of everything that the core sends to a client and to a broker."""
    desk = Desk()
    passing = (*PARTIES, *ALLOCS, ("58", "careful"), *ENCODED_TEXT, ("9001", "x"))
    desk.new("A1", extra=passing)
    desk.report("A1", "A")
    desk.report("A1", "0", extra=(*PARTIES, *ENCODED_TEXT, ("20001", "y")))
    desk.fill("A1", 10, "10.25", "f1", extra=(*CONTRA, ("30", "XNYS"), ("29", "1")))
    desk.replace("R1", "A1", 120, "10.5", extra=passing)
    desk.report("R1", "E", orig="A1")
    desk.refuse("R1", "2", "no")
    desk.replace("R2", "A1", 120, "10.5")
    desk.report("R2", "5", orig="A1", order_qty=120)
    desk.correct("R2", "f1", 20, 10, exec_id="g1")
    desk.bust("R2", "g1", exec_id="h1")
    for exec_type in "79D3":
        desk.report("R2", exec_type, extra=(("378", "1"),) if exec_type == "D" else ())
    desk.report("R2", "0")
    desk.status("A1")
    desk.report("R2", "I", exec_id="0")
    desk.cancel("C1", "R2")
    desk.report("C1", "6", orig="R2")
    desk.fill("R2", 30)
    desk.report("C1", "4", orig="R2")
    desk.fill("R2", 5)
    desk.cancel("C2", "R2")
    desk.replace("R3", "R2")
    desk.new("A2", symbol="NOPE")
    desk.new("A2")
    desk.new("A1", poss_resend=True)
    desk.new("A3", problem=m.Problem("Price(44)", "1e5 is not a number", "99"))
    for cl_ord_id, ends in (("B1", "8"), ("B2", "C"), ("B3", "B")):
        desk.new(cl_ord_id, ord_type="4", stop_px="9.5")
        desk.report(cl_ord_id, ends)
    desk.status("NOPE")
    desk.cancel("C9", "NOPE")
    desk.event(CLIENT, m.Unsupported("E", "L1"))
    desk.event(BROKER, m.Unreadable("8", "", "cannot be read"))
    desk.report("VOICE", "F", order_id="B-9", last_qty=10, last_px=50, order_qty=100)
    desk.new("B4")
    desk.event(BROKER, m.ResendDeclined(desk.to_broker("B4")))
    desk.working("B5")
    desk.logged_out()
    desk.cancel("C5", "B5")
    desk.up()
    return desk


class Pair(NamedTuple):
    """The gateway's side and the counterparty's of one session."""

    version: str
    gateway: FixPeer
    them: FixPeer
    encoder: Encoder


@pytest.fixture(scope="module", params=VERSIONS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """A session of each version."""
    directory: Path = tmp_path_factory.mktemp("pair")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    them = FixPeer("acceptor", request.param, "THEM", "US", port, directory / "them").start()
    gateway = FixPeer("initiator", request.param, "US", "THEM", port, directory / "us").start()
    try:
        gateway.wait_logged_on()
        them.wait_logged_on()
        yield Pair(request.param, gateway, them, encoder(request.param, unknown="drop"))
    finally:
        gateway.disconnect()
        gateway.stop()
        them.stop()


@pytest.mark.parametrize("to", [CLIENT, BROKER])
def test_everything_that_the_core_sends_is_taken_by_the_counterpartys_engine(pair: Pair, to: str) -> None:
    leaving = [out for out in story().raw if out.session == to]
    kinds = {out.msg_type for out in leaving}
    assert kinds == ({"8", "9", "j"} if to == CLIENT else {"D", "F", "G", "H", "Q", "j"})
    if to == CLIENT:
        assert {out.fields["150"] for out in leaving if out.msg_type == "8"} == set("03456789ABCDEFGHI")
    before = len(pair.them.received)
    for out in leaving:
        pair.gateway.send(pair.encoder.encode(out).text, exact=True)
    pair.gateway.send("35=j|372=D|380=0|58=the last one", exact=True)
    pair.them.expect("j", Text="the last one")
    arrived = pair.them.received[before:-1]
    assert [one for one in pair.gateway.received if one.type == "3"] == []
    assert pair.them.refused == []
    assert [one.type for one in arrived] == [out.msg_type for out in leaving]
    assert [one.get(11) for one in arrived] == [out.fields.get("11") for out in leaving]


def arriving(pair: Pair, out: m.Outgoing) -> Message:
    """One message as the counterparty gets it."""
    pair.gateway.send(pair.encoder.encode(out).text, exact=True)
    return pair.them.expect(out.msg_type)


def test_groups_data_and_custom_tags_arrive_whole(pair: Pair) -> None:
    out = next(one for one in story().raw if one.msg_type == "D")
    found = arriving(pair, out)
    assert (found.all(79), found.all(80), found[58], found[9001]) == (["ACC1", "ACC2"], ["60", "40"], "careful", "x")
    assert "\x01354=8\x01355=a\x0111=X\x01b\x01" in found.raw
    assert found.all(448) == ([] if pair.version == "4.2" else ["P1", "P2"])
    assert found[11] == out.fields["11"]


def test_the_engine_itself_would_refuse_what_does_not_belong(pair: Pair) -> None:
    """That it validates at all: otherwise the tests above would say nothing."""
    text = pair.encoder.encode(next(one for one in story().raw if one.msg_type == "9")).text
    pair.gateway.send(text.replace("\x01434=2", ""), exact=True)
    refusal = pair.gateway.expect("3")
    assert refusal[371] == "434"
