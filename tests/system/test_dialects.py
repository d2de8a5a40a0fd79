"""Brokers that differ, over real FIX sessions: the example dialects of fix_specs/, each as its file says.

    KEEPS     FIX 4.4    a replace keeps OrderID(37); accounts have the broker's numbers
    MOVES     FIX 4.2    a replace gives a new OrderID(37); exchanges by one letter; a header field
    CANCELS   FIX 4.4    no replace: cancel and new
    CUSTOM    5.0 SP2    its own dictionary, tags and symbols; short ids; no status requests

CLIENT1 is on FIX 4.4 and sees one house, whatever the broker; CLIENT2, on FIX 4.2, has symbols and rules of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from oms.ledger.database import engine as ledger_engine
from oms.ledger.replay import verify_tables
from oms.sim.peer import FixPeer
from oms.sim.wire import Message, utc_now, utc_timestamp
from tests.system.house import House
from tests.system.nursery import Nursery
from tests.system.words import cancel, cancel_reject, new_order, replace, report, shape, status

BROKERS = {"KEEPS": "4.4", "MOVES": "4.2", "CANCELS": "4.4", "CUSTOM": "5.0SP2"}
DIALECTS = {
    "KEEPS": "keeps-order-id-fix44",
    "MOVES": "new-order-id-fix42",
    "CANCELS": "cancel-new-fix44",
    "CUSTOM": "custom-tags-fix50sp2",
}
BY_DESTINATION = "".join(
    f'[[routes]]\nname = "to-{name}"\nex_destination = "{name}"\nbroker = "{name}"\n' for name in BROKERS
)
ROUTES = f'{BY_DESTINATION}[[routes]]\nname = "rest"\nbroker = "CUSTOM"\n'


CLIENT2 = """
name = "client2"
ord_types = ["market", "limit"]
times_in_force = ["day"]

[[translate]]
tag = "55"
table = { "AAPL" = "APPLE", "MSFT" = "MICRO" }
unmapped = "refuse"

[[from_counterparty]]
messages = ["D", "G"]
rename = { "6001" = "100" }
default = { "1" = "FUND1", "7001" = "none" }
require = ["100"]

[[to_counterparty]]
rename = { "7001" = "6002" }
drop = ["58"]
"""


def check_replay(house: House) -> None:
    """The tables are what the journal adds up to, and its chain holds."""
    made = ledger_engine(house.url, read_only=True)
    try:
        found = verify_tables(made)
    finally:
        made.dispose()
    assert found.differences == []
    house.check_chain()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, shared_url: str) -> Iterator[House]:
    made = House(
        tmp_path_factory.mktemp("dialects"),
        shared_url,
        clients={"CLIENT1": "4.4", "CLIENT2": "4.2"},
        brokers=BROKERS,
        dialects=DIALECTS | {"CLIENT2": "client2"},
        routes=ROUTES,
        session_keys={"CUSTOM": "AppDataDictionary=custom-tags-fix50sp2.xml"},
    )
    (made.directory / "fix_specs" / "client2.toml").write_text(CLIENT2)
    try:
        for name in BROKERS:
            made.peer(name)
        made.start()
        made.up("CLIENT1", "CLIENT2", *BROKERS)
        yield made
        made.stop()
        check_replay(made)
    finally:
        made.close()


def asked_of(house: House, name: str, text: str, kind: str) -> tuple[FixPeer, FixPeer, Message]:
    """CLIENT1 asks something; the client, the broker, and what the broker gets."""
    client, broker = house.peer("CLIENT1"), house.peer(name)
    client.send(text)
    return client, broker, broker.expect(kind)


def texts(message: Message, *tags: int) -> dict[int, str | None]:
    return {tag: message.get(tag) for tag in tags}


# -- a replace under the old OrderID(37), and under a new one ----------------------------------------------------


def test_a_replace_under_the_same_order_id_is_followed_by_its_cl_ord_id(house: House) -> None:
    client, broker, order = asked_of(house, "KEEPS", new_order("K1", more="100=KEEPS"), "D")
    broker.send(report(broker, order, "0", "K-X1", order_id="B1"))
    assert shape(client.expect("8")) == ("8", "K1", "0", "0", None, "100", "0")
    change = asked_of(house, "KEEPS", replace("K2", "K1", 200), "G")[2]
    assert texts(change, 37, 41) == {37: "B1", 41: order[11]}
    broker.send(report(broker, change, "5", "K-X2", ord_status="0", order_id="B1"))
    assert shape(client.expect("8")) == ("8", "K2", "5", "0", None, "200", "0")
    later = Message(change.raw.replace(f"41={order[11]}\x01", ""))
    broker.send(report(broker, later, "F", "K-X3", cum=200, last=(200, "150"), order_id="B1"))
    assert shape(client.expect("8")) == ("8", "K2", "F", "2", "200", "0", "200")


def test_an_order_id_that_changes_with_a_replace_is_followed(house: House) -> None:
    client, broker, order = asked_of(house, "MOVES", new_order("M1", more="100=MOVES"), "D")
    broker.send(report(broker, order, "0", "M-X1", order_id="FIRST"))
    assert client.expect("8")[198] == "FIRST"
    change = asked_of(house, "MOVES", replace("M2", "M1", 200), "G")[2]
    assert change[37] == "FIRST"
    broker.send(report(broker, change, "5", "M-X2", ord_status="5", order_id="SECOND"))
    told = client.expect("8")
    assert (shape(told), told[198]) == (("8", "M2", "5", "0", None, "200", "0"), "SECOND")
    # a fill that quotes nothing but the new OrderID(37)
    fill = report(broker, change, "F", "M-X3", cum=50, qty=200, last=(50, "150"), order_id="SECOND")
    broker.send(fill.replace(f"11={change[11]}", "11=?").replace(f"|41={change[41]}", ""))
    assert shape(client.expect("8")) == ("8", "M2", "F", "1", "50", "150", "50")
    request = asked_of(house, "MOVES", cancel("M3", "M2", 200), "F")[2]
    assert texts(request, 37, 41) == {37: "SECOND", 41: change[11]}
    broker.send(report(broker, request, "4", "M-X4", qty=200, cum=50, leaves=0, order_id="SECOND"))
    assert shape(client.expect("8")) == ("8", "M3", "4", "4", None, "0", "50")
    assert house.items() == []


# -- values that have another name there -------------------------------------------------------------------------


def test_accounts_are_translated_to_the_broker_and_the_client_sees_its_own(house: House) -> None:
    client, broker, order = asked_of(house, "KEEPS", new_order("KA1", more="100=KEEPS"), "D")
    assert order[1] == "8800123"
    broker.send(report(broker, order, "8", "KA-X1", leaves=0, more="1=8800123|103=0|58=no"))
    assert client.expect("8")[1] == "FUND1"


def test_an_account_that_the_broker_does_not_know_is_refused_with_the_reason(house: House) -> None:
    client, broker = house.peer("CLIENT1"), house.peer("KEEPS")
    client.send(new_order("KA2", account="TO-KEEPS", more="100=KEEPS"))
    told = client.expect("8")
    said = "route: to-KEEPS: KEEPS Account(1) TO-KEEPS has no other value in [[translate]] #1"
    assert (told[39], told[58]) == ("8", said)
    broker.expect_nothing("D")


def test_exchanges_are_translated_both_ways_and_a_header_field_is_set(house: House) -> None:
    client, broker, order = asked_of(house, "MOVES", new_order("ME1", more="100=MOVES|207=XNAS"), "D")
    assert texts(order, 207, 57, 21) == {207: "O", 57: "ALGO", 21: "1"}
    broker.send(report(broker, order, "8", "ME-X1", leaves=0, more="207=O|9700=desk|9701=secret|58=no"))
    assert texts(client.expect("8"), 207, 9700, 9710, 9701) == {207: "XNAS", 9700: None, 9710: "desk", 9701: None}


# -- custom tags, short ids, no status requests ------------------------------------------------------------------


def test_custom_tags_and_symbols_there_and_back_by_the_brokers_own_dictionary(house: House) -> None:
    client, broker, order = asked_of(house, "CUSTOM", new_order("C1", more="7001=DESK1|100=CUSTOM|58=hi"), "D")
    assert texts(order, 55, 9001, 9002, 7001) == {55: "AAPL.O", 9001: "DESK1", 9002: "A", 7001: None}
    assert len(order[11]) == 10
    own = "9001=DESK1|9002=A"
    broker.send(report(broker, order, "0", "C-X1", more=own).replace("55=AAPL", "55=AAPL.O"))
    told = client.expect("8")
    assert shape(told) == ("8", "C1", "0", "0", None, "100", "0")
    assert texts(told, 55, 7001, 9001, 9002) == {55: "AAPL", 7001: "DESK1", 9001: None, 9002: None}
    fill = report(broker, order, "F", "C-X2", cum=40, last=(40, "150"), more="9003=T")
    broker.send(fill.replace("55=AAPL", "55=AAPL.O"))
    assert texts(client.expect("8"), 55, 32, 851, 9003) == {55: "AAPL", 32: "40", 851: "2", 9003: None}
    kept = house.rows("SELECT raw, detail FROM journal WHERE session = 'CUSTOM' AND msg_type = '8' ORDER BY seq")[-1]
    assert b"\x019003=T\x01" in bytes(kept["raw"])
    assert "\x01851=2\x01" in kept["detail"]["read_as"]

    request = asked_of(house, "CUSTOM", cancel("C2", "C1"), "F")[2]
    assert texts(request, 55, 9002, 9001) == {55: "AAPL.O", 9002: "A", 9001: None}
    assert (len(request[11]), request[41]) == (10, order[11])
    gone = report(broker, request, "4", "C-X3", cum=40, leaves=0).replace("55=AAPL", "55=AAPL.O")
    broker.send(gone)
    assert shape(client.expect("8")) == ("8", "C2", "4", "4", None, "0", "40")


@pytest.mark.parametrize(
    ("more", "symbol", "said"),
    [
        ("100=CUSTOM", "AAPL", "field (9001) is missing, and required by [[to_counterparty]] #1"),
        ("100=CUSTOM|7001=D", "SAP", "Symbol(55) SAP has no other value in [[translate]] #1"),
    ],
)
def test_an_order_without_what_the_broker_requires_is_refused_before_it_leaves(
    house: House, more: str, symbol: str, said: str
) -> None:
    client, broker = house.peer("CLIENT1"), house.peer("CUSTOM")
    client.send(new_order(f"CR-{symbol}", more=more).replace("55=AAPL", f"55={symbol}"))
    told = client.expect("8")
    assert (told[39], told[58]) == ("8", f"route: to-CUSTOM: CUSTOM {said}")
    broker.expect_nothing("D")


def test_a_replace_without_what_the_broker_requires_is_refused_and_the_order_stays(house: House) -> None:
    client, broker, order = asked_of(house, "CUSTOM", new_order("CG1", more="7001=D|100=CUSTOM"), "D")
    broker.send(report(broker, order, "0", "CG-X1").replace("55=AAPL", "55=AAPL.O"))
    client.expect("8")
    client.send(replace("CG2", "CG1", 200))
    told = client.expect("9")
    said = "route: CUSTOM field (9001) is missing, and required by [[to_counterparty]] #1"
    assert texts(told, 11, 39, 58) == {11: "CG2", 39: "0", 58: said}


def test_a_status_request_for_a_broker_without_them_is_answered_by_the_gateway(house: House) -> None:
    client, broker, order = asked_of(house, "CUSTOM", new_order("CS1", more="7001=D|100=CUSTOM"), "D")
    broker.send(report(broker, order, "0", "CS-X1").replace("55=AAPL", "55=AAPL.O"))
    client.expect("8")
    client.send(status("CS1"))
    told = client.expect("8")
    assert (shape(told), told[17], told[55]) == (("8", "CS1", "I", "0", None, "100", "0"), "0", "AAPL")
    broker.expect_nothing("H")


# -- a client with a dialect -------------------------------------------------------------------------------------


def test_a_clients_own_words_are_read_as_ours_and_told_in_its_own(house: House) -> None:
    client, broker = house.peer("CLIENT2"), house.peer("CUSTOM")
    client.send("35=D|11=W1|55=APPLE|54=1|38=100|40=2|44=150|59=0|21=1|6001=CUSTOM|58=hi")
    order = broker.expect("D")
    assert texts(order, 55, 1, 9001, 100) == {55: "AAPL.O", 1: "FUND1", 9001: "none", 100: "CUSTOM"}
    broker.send(report(broker, order, "8", "W-X1", leaves=0, more="9001=none|58=no").replace("55=AAPL", "55=AAPL.O"))
    told = client.expect("8")
    assert texts(told, 55, 1, 39, 6002, 7001, 58) == {
        55: "APPLE", 1: "FUND1", 39: "8", 6002: "none", 7001: None, 58: None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("order", "reason", "rule"),
    [
        ("35=D|11=W2|55=APPLE|54=1|38=100|40=1|21=1", "0", "ExDestination(100)"),
        ("35=D|11=W3|55=AAPL|54=1|38=100|40=1|21=1|6001=CUSTOM", "1", "Symbol(55)"),
    ],
)
def test_an_order_that_a_clients_rules_refuse_is_rejected_and_never_leaves(
    house: House, order: str, reason: str, rule: str
) -> None:
    client = house.peer("CLIENT2")
    client.send(order)
    told = client.expect("8")
    assert (told[39], told[103]) == ("8", reason)
    row = house.rows("SELECT detail FROM journal WHERE session = 'CLIENT2' AND kind = 'in' ORDER BY seq DESC LIMIT 1")
    assert row[0]["detail"]["refused_by_rule"][0] == rule
    house.peer("CUSTOM").expect_nothing("D")


# -- no replace: cancel and new ----------------------------------------------------------------------------------


def working(house: House, name: str, cl_ord_id: str) -> tuple[FixPeer, FixPeer, Message]:
    """An order of 100 at the broker that has no replace, acknowledged."""
    client, broker, order = asked_of(house, name, new_order(cl_ord_id, more="100=CANCELS|7001=mine|847=1"), "D")
    broker.send(report(broker, order, "0", f"{cl_ord_id}-N"))
    assert shape(client.expect("8")) == ("8", cl_ord_id, "0", "0", None, "100", "0")
    return client, broker, order


def confirm(broker: FixPeer, order: Message, request: Message, exec_id: str, cum: int = 0) -> None:
    """The broker confirms the cancel of an order."""
    text = report(broker, request, "4", exec_id, qty=order[38], cum=cum, leaves=0, order_id=f"B-{order[11]}")
    broker.send(f"{text}|60={utc_timestamp(utc_now())}")


def test_the_client_sees_one_order_replaced_where_the_broker_sees_a_cancel_and_a_new_one(house: House) -> None:
    client, broker, order = working(house, "CANCELS", "N1")
    assert 847 not in order
    request = asked_of(house, "CANCELS", replace("N2", "N1", 300, "151.00", more="7001=changed"), "F")[2]
    assert texts(request, 37, 41, 55, 54) == {37: f"B-{order[11]}", 41: order[11], 55: "AAPL", 54: "1"}
    pending = client.expect("8")
    assert (shape(pending), pending[41]) == (("8", "N2", "E", "E", None, "100", "0"), "N1")
    broker.send(report(broker, order, "F", "N-F1", ord_status="6", cum=40, last=(40, "150")))
    assert shape(client.expect("8")) == ("8", "N1", "F", "E", "40", "60", "40")
    broker.expect_nothing("D")

    confirm(broker, order, request, "N-X2", 40)
    second = broker.expect("D")
    assert texts(second, 38, 44, 59, 1, 7001) == {38: "260", 44: "151.00", 59: "0", 1: "FUND1", 7001: "changed"}
    broker.send(report(broker, second, "0", "N-X3"))
    done = client.expect("8")
    assert (shape(done), done[41], done[38]) == (("8", "N2", "5", "1", None, "260", "40"), "N1", "300")
    broker.send(report(broker, second, "F", "N-F2", cum=260, last=(260, "151"), avg="151"))
    filled = client.expect("8")
    assert (shape(filled), filled[37]) == (("8", "N2", "F", "2", "260", "0", "300"), pending[37])
    client.expect_nothing()
    broker.expect_nothing()
    found = house.rows("SELECT life, order_qty, cum_qty FROM child_orders WHERE order_id = %s ORDER BY 2", done[37])
    assert [(row["life"], int(row["order_qty"]), int(row["cum_qty"])) for row in found] == [
        ("canceled", 100, 40),
        ("working", 260, 260),
    ]


def test_an_order_that_fills_before_the_cancel_answers_the_replace_too_late(house: House) -> None:
    client, broker, order = working(house, "CANCELS", "L1")
    request = asked_of(house, "CANCELS", replace("L2", "L1", 300), "F")[2]
    client.expect("8", ExecType="E")
    broker.send(report(broker, order, "F", "L-F1", cum=100, last=(100, "150")))
    client.expect("8", ExecType="F")
    broker.send(cancel_reject(request, ord_status="2"))
    told = client.expect("9")
    assert texts(told, 11, 41, 39, 434, 102) == {11: "L2", 41: "L1", 39: "2", 434: "2", 102: "0"}
    broker.expect_nothing("D")


def test_a_new_order_that_is_refused_ends_the_order_canceled_with_the_reason(house: House) -> None:
    client, broker, order = working(house, "CANCELS", "R1")
    request = asked_of(house, "CANCELS", replace("R2", "R1", 300), "F")[2]
    client.expect("8", ExecType="E")
    confirm(broker, order, request, "R-X2")
    second = broker.expect("D")
    broker.send(report(broker, second, "8", "R-X3", leaves=0, more="103=3|58=no credit"))
    told = client.expect("8")
    said = "the order was canceled to be replaced, and the new one was refused: no credit"
    assert (shape(told), told[41], told[58]) == (("8", "R2", "4", "4", None, "0", "0"), "R1", said)


# -- the same, with the gateway killed and started in the middle -----------------------------------------------------


@pytest.mark.parametrize("where", ["before the cancel is confirmed", "before the new order is answered"])
def test_a_replace_by_cancel_and_new_goes_on_after_a_kill(
    make_house: Callable[..., House], nursery: Nursery, where: str
) -> None:
    house = make_house(
        {"CLIENT1": "4.4"}, {"CANCELS": "4.4"}, dialects={"CANCELS": "cancel-new-fix44"}, routes=ROUTES_OF_ONE
    )
    house.peer("CANCELS")
    process = house.fork(nursery)
    client, broker = house.up("CLIENT1", "CANCELS")
    order = working(house, "CANCELS", "A1")[2]
    broker.send(report(broker, order, "F", "X1", cum=40, last=(40, "150"), avg="150"))
    client.expect("8", ExecType="F")
    request = asked_of(house, "CANCELS", replace("A2", "A1", 300, "151.00", more="7001=changed"), "F")[2]
    client.expect("8", ExecType="E")
    if where == "before the new order is answered":
        confirm(broker, order, request, "X2", 40)
        second = broker.expect("D")
    process.kill()
    house.fork(nursery)
    client.wait_logged_on(logons=2)
    broker.wait_logged_on(logons=2)
    if where == "before the cancel is confirmed":
        confirm(broker, order, request, "X2", 40)
        second = broker.expect("D")
    assert texts(second, 38, 44, 7001) == {38: "260", 44: "151.00", 7001: "changed"}
    broker.send(report(broker, second, "0", "X3"))
    assert shape(client.expect("8", ExecType="5")) == ("8", "A2", "5", "1", None, "260", "40")
    confirm(broker, order, request, "X2", 40)  # told again: nothing comes of it
    broker.send(report(broker, second, "F", "X4", cum=260, last=(260, "151"), avg="151"))
    assert shape(client.expect("8", OrdStatus="2")) == ("8", "A2", "F", "2", "260", "0", "300")
    broker.expect_nothing("D")
    assert house.items() == []
    check_replay(house)


ROUTES_OF_ONE = '[[routes]]\nname = "all"\nbroker = "CANCELS"\n'
