"""Many orders at once over real sessions: mass cancels order by order and as one request, mass status, refusals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from oms.ledger.database import engine as ledger_engine
from oms.ledger.replay import verify_tables
from oms.sim.peer import FixPeer
from oms.sim.wire import Message, utc_now, utc_timestamp
from tests.system.house import House, in_parallel, until
from tests.system.nursery import Nursery
from tests.system.words import cancel_reject, fields, new_order, report, shape

MakeHouse = Callable[..., House]
AS_ONE = {"mass_cancel = false": "mass_cancel = true"}
CLIENTS = {"CLIENT42": "4.2", "CLIENT44": "4.4", "CLIENT50": "5.0SP2"}
NEWER = ("CLIENT44", "CLIENT50")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, shared_url: str) -> Iterator[House]:
    """Three clients, and two brokers that do not take mass cancels."""
    made = House(
        tmp_path_factory.mktemp("mass"),
        shared_url,
        clients=CLIENTS,
        brokers={"BROKER42": "4.2", "BROKER44": "4.4"},
        session_keys={"CLIENT44": "AllowUnknownMsgFields=Y\n"},
    )
    try:
        in_parallel([partial(made.peer, one) for one in made.brokers])
        in_parallel([made.start, *(partial(made.peer, one) for one in made.clients)])
        made.up(*made.clients, *made.brokers)
        yield made
        made.check_chain()
        tables_are_what_the_journal_adds_up_to(made)
    finally:
        made.close()


def tables_are_what_the_journal_adds_up_to(house: House) -> None:
    made = ledger_engine(house.url, read_only=True)
    try:
        assert verify_tables(made).differences == []
    finally:
        made.dispose()


def now() -> str:
    return utc_timestamp(utc_now())


def mass_cancel(cl_ord_id: str, more: str = "530=7") -> str:
    return f"35=q|11={cl_ord_id}|{more}|60={now()}"


def working(house: House, client: FixPeer, broker: FixPeer, cl_ord_id: str) -> tuple[Message, str]:
    """An order that its broker has accepted: what the broker got, and our OrderID(37)."""
    client.send(new_order(cl_ord_id, account=f"TO-{broker.name}"))
    asked = broker.expect("D")
    broker.send(report(broker, asked, "0", f"N-{asked[11]}"))
    return asked, client.expect("8", ClOrdID=cl_ord_id, OrdStatus="0")[37]


def canceled(broker: FixPeer, request: Message) -> None:
    broker.send(report(broker, request, "4", f"X-{request[11]}", leaves=0))


def answer(request: Message, response: str, more: str = "") -> str:
    """A broker's OrderMassCancelReport(r)."""
    ids = f"11={request[11]}|37=R-{request[11]}|1369=R-{request[11]}|530={request[530]}|531={response}"
    return f"35=r|{ids}|{more}" if more else f"35=r|{ids}"


def told(message: Message) -> list[tuple[int, str]]:
    """An OrderMassCancelReport(r), less what is the gateway's to choose."""
    assert message[37].startswith("M")
    assert message.get(1369, message[37]) == message[37]
    return fields(message, 37, 60, 1369)


# -- order by order ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NEWER)
def test_a_mass_cancel_reaches_brokers_of_every_version_order_by_order(house: House, name: str) -> None:
    client, broker42, broker44 = house.up(name, "BROKER42", "BROKER44")
    first, first_id = working(house, client, broker42, "A1")
    second, second_id = working(house, client, broker44, "A2")
    client.send(mass_cancel("M1"))
    group = 41 if name == "CLIENT44" else 1824
    assert told(client.expect("r")) == [
        (11, "M1"), (530, "7"), (531, "7"), (533, "2"),
        (534, "2"), (group, "A1"), (535, first_id), (group, "A2"), (535, second_id),
    ]  # fmt: skip
    for broker, order, cl_ord_id in ((broker42, first, "A1"), (broker44, second, "A2")):
        request = broker.expect("F")
        assert (request[41], request[37], request[55]) == (order[11], f"B-{order[11]}", "AAPL")
        canceled(broker, request)
        ended = client.expect("8")
        assert shape(ended) == ("8", cl_ord_id, "4", "4", None, "0", "0")
        assert 41 not in ended
    for peer in (client, broker42, broker44):
        peer.expect_nothing()


@pytest.mark.parametrize("name", NEWER)
def test_one_account_and_one_symbol_are_canceled_and_the_rest_lives(house: House, name: str) -> None:
    client, broker42, broker44 = house.up(name, "BROKER42", "BROKER44")
    one, _ = working(house, client, broker42, "B1")
    other, _ = working(house, client, broker44, "B2")
    client.send(mass_cancel("MB1", "530=1|55=SAP"))
    assert told(client.expect("r")) == [(11, "MB1"), (55, "SAP"), (530, "1"), (531, "1"), (533, "0")]
    party = "453=1|448=TO-BROKER44|447=D|452=24"
    client.send(mass_cancel("MB2", f"530=7|{'1=TO-BROKER44' if name == 'CLIENT44' else party}"))
    assert client.expect("r", ClOrdID="MB2")[533] == "1"
    request = broker44.expect("F")
    assert request[41] == other[11]
    client.send(mass_cancel("MB3", "530=1|55=AAPL|54=1"))
    assert client.expect("r", ClOrdID="MB3")[533] == "2"
    broker44.send(cancel_reject(request))
    refused = client.expect("9")
    assert (refused[11], refused[41], refused[39], refused[434], refused[58]) == ("MB2", "B2", "0", "1", "too late")
    request = broker42.expect("F")
    assert request[41] == one[11]
    canceled(broker42, request)
    assert client.expect("8")[11] == "B1"
    client.send(mass_cancel("MB4"))
    assert client.expect("r", ClOrdID="MB4")[533] == "1"
    canceled(broker44, broker44.expect("F"))
    assert shape(client.expect("8")) == ("8", "B2", "4", "4", None, "0", "0")
    for peer in (client, broker42, broker44):
        peer.expect_nothing()


@pytest.mark.parametrize("name", NEWER)
def test_what_cannot_be_taken_is_refused_by_a_report(house: House, name: str) -> None:
    (client,) = house.up(name)
    client.send(mass_cancel("MC1", "530=6|336=1"))
    refused = client.expect("r")
    assert fields(refused, 60, 1369) == [
        (11, "MC1"), (37, "NONE"),
        (58, "MassCancelRequestType(530): 6 is not taken here: send 1 (with Symbol(55)) or 7 (all orders)"),
        (530, "6"), (531, "0"), (532, "0"),
    ]  # fmt: skip


def test_a_client_of_4_2_is_told_that_its_version_has_no_mass_cancel(house: House) -> None:
    (client,) = house.up("CLIENT42")
    client.send(mass_cancel("M42"))
    reject = client.expect("3")
    assert (reject[372], reject[373], reject[58]) == ("q", "11", "Invalid MsgType")


# -- mass status -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NEWER)
def test_mass_status_reports_every_live_order_and_says_so_where_there_is_none(house: House, name: str) -> None:
    client, broker = house.up(name, "BROKER44")
    client.send("35=AF|584=S0|585=7")
    none = client.expect("8")
    told_none = [none.get(tag) for tag in (37, 17, 150, 39, 584, 911, 912, 58)]
    assert told_none == ["NONE", "0", "I", "8", "S0", "0", "Y", "no live order of yours matches"]
    for cl_ord_id in ("D1", "D2"):
        working(house, client, broker, cl_ord_id)
    client.send("35=AF|584=S1|585=8|1=TO-BROKER44")
    reports = [client.expect("8"), client.expect("8")]
    assert [[one.get(tag) for tag in (11, 17, 150, 39, 151, 584, 911, 912)] for one in reports] == [
        ["D1", "0", "I", "0", "100", "S1", "2", "N"],
        ["D2", "0", "I", "0", "100", "S1", "2", "Y"],
    ]
    client.send("35=AF|584=S2|585=6")
    refused = client.expect("j")
    assert [refused.get(tag) for tag in (372, 379, 380)] == ["AF", "S2", "0"]
    client.send(mass_cancel("MD1"))
    for _ in reports:
        canceled(broker, broker.expect("F"))
        assert client.expect("8")[150] == "4"
    client.expect("r")
    client.expect_nothing()


# -- what is not taken -------------------------------------------------------------------------------------------

REFUSED = {
    "E": (
        "66=L1|394=3|68=2|73=2|11=E1|67=1|21=1|55=AAPL|54=1|38=10|40=1|11=E2|67=2|21=1|55=SAP|54=1|38=10|40=1",
        "L1",
        "MsgType(35) E is not supported here: NewOrderList, order lists are not taken; send each order as"
        " NewOrderSingle(D), and cancel or ask about each by itself",
    ),
    "M": (
        "66=L1",
        "L1",
        "MsgType(35) M is not supported here: ListStatusRequest, order lists are not taken; send each order as"
        " NewOrderSingle(D), and cancel or ask about each by itself",
    ),
    "J": (
        "70=AL1|71=0|{type}73=2|11=E1|11=E2|54=1|55=AAPL|53=20|6=150|75=20261121",
        "AL1",
        "MsgType(35) J is not supported here: AllocationInstruction, allocations and confirmations are not taken;"
        " arrange them with the broker's middle office",
    ),
}


@pytest.mark.parametrize("name", CLIENTS)
@pytest.mark.parametrize("kind", REFUSED)
def test_lists_and_allocations_are_refused_with_what_to_do_instead(house: House, name: str, kind: str) -> None:
    (client,) = house.up(name)
    text, ref_id, why = REFUSED[kind]
    if name != "CLIENT42":
        text = text.replace("|21=1", "")
    client.send(f"35={kind}|{text.format(type='' if name == 'CLIENT42' else '626=1|857=1|')}")
    refused = client.expect("j")
    assert fields(refused, 45) == [(58, why), (372, kind), (379, ref_id), (380, "3")]


def test_a_brokers_list_status_is_refused_too(house: House) -> None:
    (broker,) = house.up("BROKER44")
    broker.send("35=N|66=L1|429=1|82=1|431=3|83=1|68=0|73=1|11=E1|14=0|39=0|151=0|84=0|6=0")
    refused = broker.expect("j")
    assert [refused.get(tag) for tag in (372, 379, 380)] == ["N", "L1", "3"]


# -- as one request ----------------------------------------------------------------------------------------------


def as_one(make_house: MakeHouse, version: str, nursery: Nursery | None = None) -> House:
    """A client, and a broker that takes mass cancels."""
    house = make_house({"CLIENT1": "4.4"}, {"BROKER1": version}, dialect=AS_ONE)
    house.peer("BROKER1")
    if nursery is None:
        house.start()
    else:
        house.fork(nursery)
    house.up("CLIENT1", "BROKER1")
    return house


@pytest.mark.parametrize("version", ["4.4", "5.0SP2"])
def test_a_broker_that_takes_it_gets_one_request_and_the_rest_order_by_order(
    make_house: MakeHouse, version: str
) -> None:
    house = as_one(make_house, version)
    client, broker = house.up("CLIENT1", "BROKER1")
    orders = [working(house, client, broker, one)[0] for one in ("A1", "A2", "A3")]
    client.send(mass_cancel("M1", "530=1|55=AAPL"))
    assert client.expect("r")[533] == "3"
    request = broker.expect("q")
    assert fields(request, 11, 60) == [(55, "AAPL"), (530, "1")]
    tag = 41 if version == "4.4" else 1824
    group = f"533=2|534=2|{tag}={orders[0][11]}|535=B-{orders[0][11]}|{tag}={orders[1][11]}|535=B-{orders[1][11]}"
    broker.send(answer(request, "1", group))
    for order, cl_ord_id in zip(orders[:2], ("A1", "A2"), strict=True):
        canceled(broker, order)
        assert shape(client.expect("8")) == ("8", cl_ord_id, "4", "4", None, "0", "0")
    left = broker.expect("F")
    assert left[41] == orders[2][11]
    canceled(broker, left)
    assert shape(client.expect("8")) == ("8", "A3", "4", "4", None, "0", "0")
    for peer in (client, broker):
        peer.expect_nothing()
    assert house.items() == []
    tables_are_what_the_journal_adds_up_to(house)


@pytest.mark.parametrize("step", ["committed", "before_send", "after_send"])
def test_after_a_kill_no_order_gets_two_cancels_and_none_is_forgotten(
    make_house: MakeHouse, nursery: Nursery, step: str
) -> None:
    house = as_one(make_house, "4.4", nursery)
    client, broker = house.up("CLIENT1", "BROKER1")
    orders = {working(house, client, broker, one)[0][11]: one for one in ("A1", "A2", "A3")}
    assert house.process is not None
    house.process.crash_at(step)
    client.send(mass_cancel("M1"))
    house.process.wait()
    house.fork(nursery)
    house.up("CLIENT1", "BROKER1")
    request = broker.expect("q")
    assert client.expect("r")[533] == "3"
    client.send(mass_cancel("M2"))  # those under way are counted, and get no second one
    assert client.expect("r", ClOrdID="M2")[533] == "3"

    house.process.kill()
    house.fork(nursery)
    house.up("CLIENT1", "BROKER1")
    broker.send(answer(request, "0", "532=0|58=not today"))
    cancels = [broker.expect("F") for _ in orders]
    assert sorted(one[41] for one in cancels) == sorted(orders)
    client.send(mass_cancel("M3"))
    assert client.expect("r", ClOrdID="M3")[533] == "3"

    house.process.kill()
    house.fork(nursery)
    house.up("CLIENT1", "BROKER1")
    client.send(mass_cancel("M1"))
    again = client.expect("r")
    assert (again[531], again[532], again[58]) == ("0", "99", "ClOrdID(11) M1 was used already on this trading day")
    for one in cancels:
        canceled(broker, one)
        assert shape(client.expect("8")) == ("8", orders[one[41]], "4", "4", None, "0", "0")
    until(lambda: house.rows("SELECT FROM client_orders WHERE finished") == [{}] * 3, "all have ended")
    for peer in (client, broker):
        peer.expect_nothing()
    assert house.items() == []
    assert [row["kind"] + row["state"] for row in house.rows("SELECT kind, state FROM requests ORDER BY seq")] == [
        "qaccepted", "qrejected", "qaccepted", "Faccepted", "Faccepted", "Faccepted", "qaccepted",
    ]  # fmt: skip
    house.check_chain()
    tables_are_what_the_journal_adds_up_to(house)
