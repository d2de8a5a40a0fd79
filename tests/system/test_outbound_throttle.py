"""A broker that takes so many messages a second, through real sessions: urgency, refusals, complaints, kill -9."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from oms.paced import PacedSender
from oms.sim.peer import FixPeer
from tests.system.house import House, until
from tests.system.nursery import Nursery
from tests.system.words import cancel, new_order, replace, report, told_fills

pytestmark = pytest.mark.system
MakeHouse = Callable[..., House]


def limited(rate: int, burst: int, max_wait: int = 60) -> dict[str, str]:
    """The dialects, with this limit."""
    limit = f"[outbound]\nmax_messages_per_second = {rate}\nburst = {burst}\nmax_wait_seconds = {max_wait}\n"
    complaint = '[[outbound.too_fast]]\nmsg_type = "j"\nvalue = "*too many*"\n'
    return {"\n[tags]\n": f"\n{limit}{complaint}[tags]\n"}


def paced(house: House) -> PacedSender:
    assert house.gateway is not None
    sender = house.gateway._senders["BROKER1"]
    assert isinstance(sender, PacedSender)
    return sender


def asked(broker: FixPeer, count: int) -> list[tuple[str, str]]:
    """MsgType(35) and OrderQty(38) of the messages that a broker got, `count` at least: the quantity is the name."""

    def got() -> list[tuple[str, str]]:
        return [(one.type, one[38]) for one in list(broker.received) if one.type in ("D", "F", "G")]

    until(lambda: len(got()) >= count, lambda: str(got()))
    return got()


def test_cancels_overtake_what_waits_but_never_their_own_order_and_what_waited_is_explained(
    make_house: MakeHouse,
) -> None:
    house = make_house(brokers={"BROKER1": "4.4"}, dialect=limited(2, 2))
    house.peer("BROKER1")
    house.start()
    client, broker = house.up("CLIENT1", "BROKER1")
    for number in (1, 2):
        client.send(new_order(f"A{number}", 100 + number))
    assert asked(broker, 2) == [("D", "101"), ("D", "102")]
    pace = paced(house).pace
    pace.full = pace._tokens = 0.001  # type: ignore[assignment]  # until all are there
    for number in (3, 4, 5):
        client.send(new_order(f"A{number}", 100 + number))
    client.send(replace("R2", "A2", 202))
    client.send(cancel("X1", "A1", 101))
    client.send(cancel("X4", "A4", 104))
    until(lambda: paced(house).waiting() == {"cancel": 1, "replace": 1, "new": 2, "other": 0}, "they wait")
    until(lambda: paced(house).oldest_seconds() > 0.2, "they wait for a while")
    pace.full = 20
    paced(house)._wake.set()
    dropped = client.expect("8", ClOrdID="X4")
    assert (dropped[150], dropped[39], dropped[41]) == ("4", "4", "A4")
    assert dropped[58] == "canceled before it left: a cancel came before it could leave"
    in_turn = [("D", "101"), ("D", "102"), ("F", "101"), ("G", "202"), ("D", "103"), ("D", "105")]
    assert asked(broker, 6) == in_turn
    house.until("SELECT FROM sends WHERE session = 'BROKER1' HAVING count(*) = 8")
    waited = house.rows("SELECT reason FROM sends WHERE outcome = 'sent' AND reason IS NOT NULL")
    assert len(waited) == 4
    assert all(row["reason"].endswith("s for its turn, at 20 messages a second") for row in waited)
    assert house.items() == []


def test_an_order_that_waits_too_long_is_refused_and_a_complaint_halves_the_pace(make_house: MakeHouse) -> None:
    house = make_house(brokers={"BROKER1": "4.4"}, dialect=limited(1, 1, max_wait=1))
    house.peer("BROKER1")
    house.start()
    client, broker = house.up("CLIENT1", "BROKER1")
    client.send(new_order("A1", 101))
    first = broker.expect("D")
    paced(house).pace.slow(1e12)  # nothing leaves for long
    client.send(new_order("A2", 102))
    refused = client.expect("8", ClOrdID="A2")
    assert (refused[150], refused[39]) == ("8", "8")
    assert "waited for more than 1 s at BROKER1's limit of 1 messages a second" in refused[58]
    before = paced(house).pace.complaints
    broker.send(f"35=j|45={first[34]}|372=D|380=3|58=Too many messages|379={first[11]}")
    told = client.expect("8", ClOrdID="A1")
    assert (told[150], told[39]) == ("8", "8")  # a reject is a reject, and nothing is sent again
    assert paced(house).pace.complaints == before + 1
    (row,) = house.rows("SELECT detail FROM journal WHERE kind = 'in' AND msg_type = 'j'")
    assert row["detail"]["too_fast"].startswith("BROKER1 gets too many messages: now ")
    assert paced(house).outbound()["too_fast"] == before + 1
    broker.expect_nothing()


@pytest.mark.parametrize("step", ["after_send", "refused"])
def test_a_kill_while_messages_wait_neither_loses_nor_doubles_any(
    make_house: MakeHouse, nursery: Nursery, step: str
) -> None:
    house = make_house(brokers={"BROKER1": "4.4"}, dialect=limited(1, 1))
    house.peer("BROKER1")
    house.fork(nursery)
    client, broker = house.up("CLIENT1", "BROKER1")
    assert house.process is not None
    for number in range(1, 6):
        client.send(new_order(f"A{number}", 100 + number))
    client.send(cancel("X1", "A1", 101))
    taken = "SELECT FROM journal WHERE session = 'CLIENT1' AND kind = 'in' HAVING count(*) = %s"
    house.until(taken, 6)
    if step == "refused":
        house.process.crash_at(step)
    client.send(cancel("X5", "A5", 105))
    house.until(taken, 7)
    if step != "refused":
        house.process.crash_at(step)
    house.process.wait()
    for file in (house.directory / "fix_specs").glob("*.toml"):  # a start takes up what waits at its own pace
        file.write_text(file.read_text().replace("max_messages_per_second = 1\n", "max_messages_per_second = 50\n"))
    house.fork(nursery)
    assert client.expect("8", ClOrdID="X5")[39] == "4"
    got = asked(broker, 5)
    assert sorted(got) == [("D", "101"), ("D", "102"), ("D", "103"), ("D", "104"), ("F", "101")]
    assert got.index(("D", "101")) < got.index(("F", "101"))
    for number, one in enumerate([one for one in broker.received if one.type == "D" and one[38] != "101"]):
        broker.send(report(broker, one, "F", f"X{number}", cum=int(one[38]), last=(int(one[38]), "150"), avg="150"))
    until(lambda: len(told_fills(client.received)) == 3, house.state_of)
    assert len(asked(broker, 5)) == 5
    house.check_chain()
