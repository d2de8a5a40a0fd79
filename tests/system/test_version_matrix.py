"""Clients and brokers of every version work together: one order's life in all nine combinations, whole messages.

One gateway, three clients, three brokers. What a client sees depends on its own version only, whatever the
broker speaks: that is what the expectations say. OrderID(37), ExecID(17) and TransactTime(60) are the gateway's
or the broker's to choose; references to them are checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from oms.sim.peer import FixPeer
from oms.sim.wire import Message
from tests.system.house import House, in_parallel
from tests.system.words import cancel, cancel_reject, fields, new_order, replace, report, status

VERSIONS = ("4.2", "4.4", "5.0SP2")
Fields = dict[int, str]
# FIX 4.2 in place of ExecType(150) of 4.4: ExecTransType(20) and ExecType(150), for an order that is part filled
IN_42 = {"F": ("0", "1"), "H": ("1", "1"), "G": ("2", "1"), "I": ("3", "1")}


def name(role: str, version: str) -> str:
    """The counterparty's name: CLIENT42, BROKER50SP2."""
    return role + version.replace(".", "")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, shared_url: str) -> Iterator[House]:
    made = House(
        tmp_path_factory.mktemp("matrix"),
        shared_url,
        clients={name("CLIENT", version): version for version in VERSIONS},
        brokers={name("BROKER", version): version for version in VERSIONS},
    )
    try:
        in_parallel([partial(made.peer, one) for one in made.brokers])
        in_parallel([made.start, *(partial(made.peer, one) for one in made.clients)])
        made.up(*made.clients, *made.brokers)
        yield made
        made.check_chain()
    finally:
        made.close()


class Pair:
    """A client and a broker, and the order between them; keeps what the client was told."""

    def __init__(self, client: FixPeer, broker: FixPeer) -> None:
        self.client, self.broker = client, broker
        self.account = f"TO-{broker.name}"
        self.told: list[Message] = []

    def asks(self, text: str, kind: str) -> Message:
        """The client asks; what the broker gets."""
        self.client.send(text)
        return self.broker.expect(kind)

    def answers(self, text: str, kind: str = "8") -> Message:
        """The broker answers; what the client is told."""
        self.broker.send(text)
        self.told.append(self.client.expect(kind))
        return self.told[-1]

    def expected(self, exec_type: str, ord_status: str, **more: str) -> Fields:
        """A report on the order as this client's version has it; tags as `t11="A1"`."""
        found = {1: self.account, 40: "2", 54: "1", 55: "AAPL", 59: "0", 39: ord_status, 150: exec_type}
        if self.client.version == "4.2":
            found[20], found[150] = IN_42.get(exec_type, ("0", exec_type))
        return found | {int(tag[1:]): value for tag, value in more.items()}


def seen(message: Message, *leave_out: int) -> Fields:
    """The fields of a message, no tag twice, without those that are the gateway's to choose."""
    found = fields(message, 37, 17, 60, 198, 527, *leave_out)
    assert len(dict(found)) == len(found), message
    return dict(found)


@pytest.fixture(params=[(client, broker) for client in VERSIONS for broker in VERSIONS], ids="-to-".join)
def pair(house: House, request: pytest.FixtureRequest) -> Pair:
    client, broker = request.param
    return Pair(house.peer(name("CLIENT", client)), house.peer(name("BROKER", broker)))


def test_an_orders_life_reads_the_same_in_every_combination(pair: Pair) -> None:
    client, broker = pair.client, pair.broker
    p = f"{client.version}-{broker.version}-"
    by_hand = {21: "1"} if "4.2" in (client.version, broker.version) else {}

    # new, acknowledged, part filled
    order = pair.asks(new_order(f"{p}1", account=pair.account, more="7001=mine|58=work it|9001=too"), "D")
    wanted = {1: pair.account, 11: order[11], 38: "100", 40: "2", 44: "150.00", 54: "1", 55: "AAPL", 59: "0"}
    assert seen(order) == wanted | by_hand | {58: "work it", 7001: "mine", 9001: "too"}
    new = pair.answers(report(broker, order, "0", f"{p}X1", more="7002=theirs|58=taken"))
    rest = {"t11": f"{p}1", "t38": "100", "t44": "150"}
    extras = {"t7002": "theirs", "t58": "taken"}
    assert seen(new) == pair.expected("0", "0", t6="0", t14="0", t151="100", **rest, **extras)
    part = pair.answers(report(broker, order, "F", f"{p}X2", cum=40, last=(40, "150"), avg="150"))
    quantities = {"t14": "40", "t151": "60", "t6": "150", "t32": "40", "t31": "150"}
    assert seen(part) == pair.expected("F", "1", **quantities, **rest)

    # replaced, filled again
    change = pair.asks(replace(f"{p}2", f"{p}1", 200, "151.00").replace("1=FUND1", f"1={pair.account}"), "G")
    assert seen(change) == wanted | by_hand | {11: change[11], 41: order[11], 38: "200", 44: "151.00"}
    assert (change[37], change[11] != order[11]) == (f"B-{order[11]}", True)
    replaced = pair.answers(
        report(broker, change, "5", f"{p}X3", ord_status="1", cum=40, avg="150", order_id=f"B-{order[11]}")
    )
    rest = {"t11": f"{p}2", "t38": "200", "t44": "151"}
    expected = pair.expected("5", "1", t41=f"{p}1", t14="40", t151="160", t6="150", **rest)
    assert seen(replaced) == expected
    working = Message(change.raw.replace(f"41={order[11]}\x01", ""))
    last = {"last": (10, "151"), "order_id": f"B-{order[11]}"}
    again = pair.answers(report(broker, working, "F", f"{p}X4", ord_status="1", cum=50, avg="150.2", **last))  # type: ignore[arg-type]
    quantities = {"t14": "50", "t151": "150", "t6": "150.2", "t32": "10", "t31": "151"}
    assert seen(again) == pair.expected("F", "1", **quantities, **rest)

    # busted, corrected
    bust = pair.answers(
        report(broker, working, "H", f"{p}X5", ord_status="1", cum=40, avg="150", ref=f"{p}X4", **last)  # type: ignore[arg-type]
    )
    quantities = {"t14": "40", "t151": "160", "t6": "150", "t32": "10", "t31": "151"}
    assert seen(bust) == pair.expected("H", "1", t19=again[17], **quantities, **rest)
    words = {"ord_status": "1", "cum": 30, "avg": "150.5", "ref": f"{p}X2", "last": (30, "150.5")}
    corrected = pair.answers(report(broker, working, "G", f"{p}X6", **words))  # type: ignore[arg-type]
    quantities = {"t14": "30", "t151": "170", "t6": "150.5", "t32": "30", "t31": "150.5"}
    assert seen(corrected) == pair.expected("G", "1", t19=part[17], **quantities, **rest)

    # asked for its state
    asked = pair.asks(status(f"{p}2"), "H")
    assert fields(asked) == [(11, change[11]), (37, f"B-{order[11]}"), (54, "1"), (55, "AAPL")]
    state = pair.answers(report(broker, working, "I", f"{p}X7", ord_status="1", cum=30, avg="150.5"))
    assert seen(state) == pair.expected("I", "1", t14="30", t151="170", t6="150.5", **rest)
    assert state[17] == "0"

    # a cancel rejected, a cancel accepted
    request = pair.asks(cancel(f"{p}3", f"{p}2", 200), "F")
    wanted = {11: request[11], 41: change[11], 38: "200", 54: "1", 55: "AAPL"}
    assert seen(request) == wanted
    refused = pair.answers(cancel_reject(request, "too late", "1"), "9")
    assert seen(refused) == {11: f"{p}3", 41: f"{p}2", 39: "1", 58: "too late", 102: "0", 434: "1"}
    request = pair.asks(cancel(f"{p}4", f"{p}2", 200), "F")
    assert seen(request) == wanted | {11: request[11]}
    gone = pair.answers(report(broker, request, "4", f"{p}X8", qty=200, cum=30, leaves=0, avg="150.5"))
    rest["t11"] = f"{p}4"
    assert seen(gone) == pair.expected("4", "4", t41=f"{p}2", t14="30", t151="0", t6="150.5", **rest)

    # one order, one OrderID(37); every report its own ExecID(17); the broker's ids beside them
    assert len({message[37] for message in pair.told}) == 1
    reports = [message for message in pair.told if message.type == "8" and message[17] != "0"]
    assert len({message[17] for message in reports}) == len(reports) == 7
    assert {message[198] for message in reports} == {f"B-{order[11]}"}
    theirs = [f"{p}X{number}" for number in (1, 2, 3, 4, 5, 6, 8)]
    assert [message.get(527) for message in reports] == ([None] * 7 if client.version == "4.2" else theirs)
    client.expect_nothing()
    broker.expect_nothing()


def test_a_reject_of_the_broker_reads_the_same_in_every_combination(pair: Pair) -> None:
    p = f"R{pair.client.version}-{pair.broker.version}"
    order = pair.asks(new_order(p, account=pair.account), "D")
    told = pair.answers(report(pair.broker, order, "8", f"{p}X", leaves=0, more="103=2|58=exchange closed"))
    rest = {"t11": p, "t38": "100", "t44": "150", "t6": "0", "t14": "0", "t151": "0"}
    assert seen(told) == pair.expected("8", "8", t103="2", t58="exchange closed", **rest)


# Groups of a client's order: (fields, versions whose NewOrderSingle(D) has them)
GROUPS = {
    "parties": (
        "453=3|448=A|447=D|452=1|448=B|447=D|452=3|448=C|447=D|452=24|802=2|523=c1|803=2|523=c2|803=3",
        "4.4 5.0SP2",
    ),
    "allocations": ("78=2|79=ACC1|80=60|79=ACC2|80=40", "4.2 4.4 5.0SP2"),
}


@pytest.mark.parametrize("what", GROUPS)
def test_repeating_groups_and_custom_tags_pass_in_their_order_or_are_refused_by_name(pair: Pair, what: str) -> None:
    client, broker = pair.client, pair.broker
    text, versions = GROUPS[what]
    if client.version not in versions.split():
        pytest.skip("the client's version has no such group")
    p = f"{what[0].upper()}{client.version}-{broker.version}"
    client.send(new_order(p, account=pair.account, more=f"{text}|7003=c|7001=a|7002=b"))
    group = [(int(tag), value) for tag, _, value in (one.partition("=") for one in text.split("|"))]
    tags = {tag for tag, _ in group}
    if broker.version in versions.split():
        order = broker.expect("D")
        assert [one for one in fields(order) if one[0] in tags] == group
        assert {tag: order[tag] for tag in (7001, 7002, 7003)} == {7001: "a", 7002: "b", 7003: "c"}
        broker.send(report(broker, order, "8", f"{p}X", leaves=0, more=f"{group_of_reports(text)}7003=c"))
        told = client.expect("8")
        assert (told[39], told[7003]) == ("8", "c")
        wanted = group if what == "parties" else []
        assert [one for one in fields(told) if one[0] in tags] == wanted
    else:
        told = client.expect("8")
        names = ", ".join(str(tag) for tag in sorted(tags))
        said = f"route: to-{broker.name}: {broker.name} does not take field {names} in MsgType(35) D"
        assert (told[39], told[58]) == ("8", said)
        broker.expect_nothing("D")


def group_of_reports(text: str) -> str:
    """The group as an ExecutionReport(8) may have it: parties, not allocations."""
    return f"{text}|" if text.startswith("453") else ""


def test_a_brokers_field_that_the_clients_version_does_not_have_is_left_out_of_the_report_and_noted(
    house: House,
) -> None:
    client, broker = house.peer("CLIENT42"), house.peer("BROKER50SP2")
    client.send(new_order("OUT1", account="TO-BROKER50SP2"))
    order = broker.expect("D")
    broker.send(report(broker, order, "8", "OUT1X", leaves=0, more="453=1|448=A|447=D|452=1|58=no"))
    told = client.expect("8")
    assert (told[58], 453 in told, 448 in told) == ("no", False, False)
    found = house.until(
        "SELECT detail ->> 'dropped' AS dropped FROM journal WHERE kind = 'out' AND session = 'CLIENT42'"
        " ORDER BY seq DESC LIMIT 1"
    )
    assert found[0]["dropped"] == '["453","448","447","452"]'
