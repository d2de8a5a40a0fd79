"""Whatever a client or a stranger sends: it is recorded and answered, and everybody goes on trading (I10).

All tests share one gateway, so each also shows that it survived those before.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from time import monotonic

import pytest

from oms.sim.wire import Message
from tests.system.conftest import Desk
from tests.system.house import until
from tests.system.raw import RawClient
from tests.system.words import cancel, fields, new_order, report

LONG = "".join(f"{number:04x}" for number in range(0, 60_000, 41))  # 5,856 characters that do not compress away


@pytest.fixture
def raw(desk: Desk) -> Iterator[RawClient]:
    """CLIENT3 over a plain socket, logged on."""
    with RawClient(desk.house.client_port, "CLIENT3", desk.house.comp_id) as client:
        client.logon()
        yield client


# What the engine refuses with Reject(3): (message, Text(58), RefTagID(371), SessionRejectReason(373))
REJECTED = {
    "unknown MsgType": ("35=ZZ|11=A1|55=AAPL", "Invalid MsgType", None, "11"),
    "required tag missing": (new_order("A1").replace("|54=1", ""), "Required tag missing", "54", "1"),
    "value outside the enumeration": (
        new_order("A1").replace("54=1", "54=Z"),
        "Value is incorrect (out of range) for this tag",
        "54",
        "5",
    ),
    "price that is not a number": (new_order("A1", price="NaN"), "Incorrect data format for value", "44", "6"),
    "price with an exponent": (new_order("A1", price="1e5"), "Incorrect data format for value", "44", "6"),
    "tag that appears twice": (new_order("A1", more="38=7"), "Tag appears more than once", "38", "13"),
    "tag that nobody knows": (new_order("A1", more="4999=7"), "Invalid tag number", "4999", "0"),
    "tag of another message": (
        new_order("A1", more="41=A0"),
        "Tag not defined for this message type",
        "41",
        "2",
    ),
    "tag without a value": (new_order("A1", more="58="), "Tag specified without a value", "58", "4"),
    "group with fewer entries than it says": (
        new_order("A1", more="453=2|448=A|447=D|452=1"),
        "Incorrect NumInGroup count for repeating group",
        "453",
        "16",
    ),
}


@pytest.mark.parametrize("what", REJECTED)
def test_what_the_dictionary_forbids_is_rejected_with_the_tag_and_recorded(
    desk: Desk, raw: RawClient, what: str
) -> None:
    text, reason, tag, code = REJECTED[what]
    before = desk.journal_end()
    number = raw.next_number
    raw.send(text)
    reject = raw.expect("3")
    answer = [(45, str(number)), (58, reason), (371, tag), (372, text.split("|")[0][3:]), (373, code)]
    assert fields(reject) == [(one, value) for one, value in answer if value is not None]
    assert desk.refusals(before) == [f"{reason} (RefTagID(371)={tag})" if tag else reason]
    desk.still_trades(raw)


# What the gateway refuses: (message, ClOrdID(11) echoed, OrdRejReason(103), Text(58))
REFUSED = {
    "no symbol": (
        new_order("B0").replace("|55=AAPL", ""),
        "B0",
        "1",
        "known_instrument: Symbol(55)  is not known",
    ),
    "negative quantity": (new_order("B1", qty=-5), "B1", "13", "OrderQty(38): -5 is not above zero"),
    "zero quantity": (new_order("B2", qty=0), "B2", "13", "OrderQty(38): 0 is not above zero"),
    "quantity of 10^30": (
        new_order("B3", qty=10**30),
        "B3",
        "13",
        f"OrderQty(38): {10**30} is not a number of at most 15 digits and 10 decimals",
    ),
    "price with 20 decimals": (
        new_order("B4", price="1." + "1" * 20),
        "B4",
        "99",
        f"Price(44): 1.{'1' * 20} is not a number of at most 15 digits and 10 decimals",
    ),
    "negative price": (new_order("B5", price="-1"), "B5", "99", "Price(44): -1 is not above zero"),
    "account with a NUL and a byte that is not UTF-8": (
        new_order("B6", account="FU\0ND\xff"),
        "B6",
        "15",
        "known_account: Account(1) FU\\x00ND\\xff is not known",
    ),
    "account with the separators of the ledger's rows": (
        new_order("B7", account="\x1d\x1e\x1f"),
        "B7",
        "15",
        "known_account: Account(1) \\x1d\\x1e\\x1f is not known",
    ),
    "account of 100 kB": (
        new_order("B8", account="F" * 100_000),
        "B8",
        "15",
        "known_account: Account(1) " + "F" * 474,
    ),
    "ClOrdID(11) of 65 characters": (
        new_order("C" * 65),
        "C" * 65,
        "99",
        "ClOrdID(11): is longer than 64 characters or not printable",
    ),
    "ClOrdID(11) in Latin-1": (
        new_order("C\xfc1"),
        "C\\xfc1",
        "99",
        "ClOrdID(11): has bytes that are not UTF-8",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_an_order_that_makes_no_sense_is_rejected_with_its_id_and_the_reason(
    desk: Desk, raw: RawClient, what: str
) -> None:
    text, cl_ord_id, code, reason = REFUSED[what]
    sent = raw.send(text)
    told = raw.expect("8")
    assert (told[11], told[150], told[39], told[103], told[151], told[14]) == (cl_ord_id, "8", "8", code, "0", "0")
    assert told[58] == reason
    assert "" not in told.values()
    kept = desk.house.rows(
        "SELECT raw FROM journal WHERE kind = 'in' AND session = 'CLIENT3' ORDER BY seq DESC LIMIT 1"
    )
    assert bytes(kept[0]["raw"]) == sent
    desk.broker.expect_nothing("D")
    desk.still_trades(raw)


def test_a_text_of_100_kb_in_latin_1_goes_through_with_its_foreign_bytes_written_out(
    desk: Desk, raw: RawClient
) -> None:
    raw.send(new_order("T1", more=f"58=Z\xfcrich {'x' * 100_000}"))
    asked = desk.broker.expect("D")
    assert asked[58] == f"Z\\xfcrich {'x' * 100_000}"
    desk.broker.send(report(desk.broker, asked, "8", "T1-X", more=f"58=na\xefve {'y' * 100_000}"))
    told = raw.expect("8")
    assert (told[39], told[58].encode("latin-1").decode()) == ("8", f"na\xefve {'y' * 100_000}")
    desk.still_trades(raw)


def test_a_cancel_with_an_id_that_no_index_could_hold_is_refused(desk: Desk, raw: RawClient) -> None:
    raw.send(new_order("L1"))
    desk.broker.expect("D")
    raw.send(cancel(LONG, "L1"))
    refusal = raw.expect("9")
    assert (refusal[11], refusal[41], refusal[102]) == (LONG, "L1", "2")
    assert refusal[58] == "ClOrdID(11): is longer than 64 characters or not printable"
    raw.send(cancel("L2", "L1"))
    desk.broker.expect("F")
    desk.still_trades(raw)


def test_a_message_type_the_gateway_does_not_process_is_answered_with_a_business_reject(
    desk: Desk, raw: RawClient
) -> None:
    number = raw.next_number
    raw.send("35=R|131=Q1|146=1|55=AAPL")
    text = (
        "MsgType(35) R is not supported here: QuoteRequest, quotes and indications are not taken; send an order as"
        " NewOrderSingle(D)"
    )
    assert fields(raw.expect("j")) == [(45, str(number)), (58, text), (372, "R"), (379, "Q1"), (380, "3")]
    number = raw.next_number
    raw.send("35=8|37=1|17=2|150=0|39=0|55=AAPL|54=1|151=1|14=0|6=0")  # a client does not report
    text = (
        "MsgType(35) 8 is not supported here: ExecutionReport, reports on orders are not taken; they come from"
        " brokers, on a broker session"
    )
    assert fields(raw.expect("j")) == [(45, str(number)), (58, text), (372, "8"), (380, "3")]
    desk.still_trades(raw)


# What nobody can answer, because it is no message: (bytes, the reason recorded)
GARBLED = {
    "wrong checksum": (
        lambda message: message[:-4] + b"999\x01",
        "Invalid message: Expected CheckSum=999, Received CheckSum=",
    ),
    "field without a tag": (
        lambda message: message.replace(b"\x0155=AAPL", b"\x01\xff\x00vwxyz"),
        "Invalid message: ",
    ),
    "header fields in another order": (
        lambda message: message.replace(b"\x0135=D\x0134=2", b"\x0134=2\x0135=D"),
        "Invalid message: Header fields out of order",
    ),
    "length that is too short": (
        lambda message: message.replace(b"\x019=", b"\x019=1\x019=", 1),
        "Invalid message: ",
    ),
}


@pytest.mark.parametrize("what", GARBLED)
def test_a_garbled_message_is_recorded_and_the_next_one_is_taken(desk: Desk, raw: RawClient, what: str) -> None:
    spoil, reason = GARBLED[what]
    before = desk.journal_end()
    raw.send_bytes(spoil(raw.message(new_order("G1"))))
    raw.next_number = 2  # as the standard has it: a garbled message does not count
    (recorded,) = desk.refusals(before)
    assert recorded.startswith(reason)
    desk.still_trades(raw)


def test_a_truncated_message_swallows_the_next_and_both_come_again_by_resend(desk: Desk, raw: RawClient) -> None:
    before = desk.journal_end()
    whole = raw.message(new_order("S1"))
    raw.send_bytes(whole[: len(whole) // 2])
    raw.send(new_order("S2"), number=3)
    assert desk.refusals(before)[0].startswith("Invalid message: Expected BodyLength=")
    raw.send(new_order("S3"), number=4)
    asked = raw.expect("2")
    assert (asked[7], asked[16]) == ("2", "0")
    for number, cl_ord_id in ((2, "S1"), (3, "S2"), (4, "S3")):
        raw.send(new_order(cl_ord_id), number=number, more="43=Y|122=20260101-00:00:00|")
    orders = [desk.broker.expect("D") for _ in range(3)]
    assert len({order[11] for order in orders}) == 3
    taken = desk.house.rows(
        "SELECT cl_ord_id FROM client_orders WHERE cl_ord_id IN ('S1', 'S2', 'S3') ORDER BY new_seq"
    )
    assert [row["cl_ord_id"] for row in taken] == ["S1", "S2", "S3"]
    raw.next_number = 5
    desk.still_trades(raw)


def test_a_message_without_a_sequence_number_is_recorded_and_not_taken(desk: Desk, raw: RawClient) -> None:
    before = desk.journal_end()
    raw.send(new_order("N1"), number=0)
    assert len(desk.refusals(before)) == 1
    desk.still_trades(raw)
    desk.broker.expect_nothing("D")


def test_a_sequence_number_used_before_ends_the_session_and_is_recorded(desk: Desk, raw: RawClient) -> None:
    before = desk.journal_end()
    raw.send(new_order("N2"), number=1)
    reason = "MsgSeqNum too low, expecting 2 but received 1"
    assert raw.expect("5")[58] == reason
    raw.expect_closed()
    assert desk.refusals(before) == [reason]
    desk.still_trades()


def test_a_message_in_another_firms_name_is_rejected_and_recorded(desk: Desk, raw: RawClient) -> None:
    before = desk.journal_end()
    raw.send(new_order("N3"), sender="CLIENT1")
    assert raw.expect("3")[58] == "CompID problem"
    assert desk.refusals(before) == ["CompID problem"]
    desk.broker.expect_nothing("D")
    desk.still_trades()


def test_an_order_before_the_logon_is_recorded_and_the_connection_closed(desk: Desk) -> None:
    before = desk.journal_end()
    with RawClient(desk.house.client_port, "CLIENT3", desk.house.comp_id) as stranger:
        stranger.send(new_order("P1"))
        stranger.expect_closed()
    assert desk.refusals(before) == ["Logon state is not valid for message"]
    desk.broker.expect_nothing("D")
    desk.still_trades()


def test_a_logon_under_a_name_nobody_knows_is_recorded_and_the_connection_closed(desk: Desk) -> None:
    before = desk.journal_end()
    with RawClient(desk.house.client_port, "MALL\xf6RY", desk.house.comp_id) as stranger:
        stranger.send("35=A|98=0|108=30")
        stranger.expect_closed()
    assert desk.refusals(before) == ["no such session on this port: check BeginString(8), the CompIDs and the port"]
    desk.still_trades()


def test_bytes_that_are_no_fix_at_all_harm_nobody(desk: Desk) -> None:
    with RawClient(desk.house.client_port, "CLIENT3", desk.house.comp_id) as stranger:
        stranger.send_bytes(b"GET / HTTP/1.1\r\n\r\n" + bytes(range(256)) * 100)
        desk.still_trades()


def test_a_second_logon_of_a_live_session_gets_nothing_and_the_live_one_goes_on(desk: Desk) -> None:
    with RawClient(desk.house.client_port, "CLIENT1", desk.house.comp_id) as thief:
        thief.send("35=A|98=0|108=30|141=Y")
        desk.still_trades()
        assert thief.received == []
    assert desk.client.logged_on


def test_a_logon_within_a_live_session_is_recorded_and_ends_it(desk: Desk, raw: RawClient) -> None:
    before = desk.journal_end()
    raw.send("35=A|98=0|108=30")
    raw.expect_closed()
    assert desk.refusals(before)[0] == "Logon state is not valid for message"
    desk.still_trades()


def test_rejects_of_a_client_are_recorded_as_exception_items(desk: Desk, raw: RawClient) -> None:
    raw.send("35=3|45=1|58=I cannot read you")
    raw.send("35=j|45=1|372=8|380=0|58=nor this")
    found = desk.house.until(
        "SELECT kind, severity, text FROM exception_items WHERE session = 'CLIENT3' AND kind = 'message_rejected'"
        " GROUP BY 1, 2, 3"
        " HAVING (SELECT count(*) FROM exception_items WHERE kind = 'message_rejected') = 2 ORDER BY 3"
    )
    assert [tuple(row.values()) for row in found] == [
        ("message_rejected", "error", "CLIENT3 refused MsgSeqNum(34) 1, MsgType(35) 8: nor this"),
        ("message_rejected", "error", "CLIENT3 refused MsgSeqNum(34) 1, MsgType(35) unknown: I cannot read you"),
    ]
    desk.still_trades(raw)


def test_old_numbers_in_the_inbox_do_not_swallow_the_messages_after_a_reset(desk: Desk) -> None:
    """A client that floods, drops, and logs on again from 1 loses nothing of its second life."""
    first = RawClient(desk.house.client_port, "CLIENT3", desk.house.comp_id)
    with first:
        first.logon()
        for number in range(150):
            first.send(new_order(f"Q{number}", account="NOBODY"))
    with RawClient(desk.house.client_port, "CLIENT3", desk.house.comp_id) as second:
        second.logon()
        second.send(new_order("Q-LAST", account="NOBODY"))
        while second.expect("8").get(11) != "Q-LAST":
            pass
        desk.still_trades(second)


def test_a_flood_of_one_client_leaves_the_other_its_share_and_nothing_is_lost(desk: Desk) -> None:
    count, answered = 3000, len(desk.client42.received)
    over = threading.Event()

    def flood() -> None:
        for number in range(count):
            desk.client42.send(new_order(f"FLOOD{number}", account="NOBODY"))
        over.set()

    flooding = threading.Thread(target=flood)
    flooding.start()
    until(lambda: len(desk.client42.received) > answered + 100, "the flood is under way")
    waits = []
    while not over.is_set():
        started = monotonic()
        cl_ord_id = f"CALM{len(waits)}"
        desk.client.send(new_order(cl_ord_id, more=f"58={cl_ord_id}"))
        asked = desk.broker.expect("D", Text=cl_ord_id)
        desk.broker.send(report(desk.broker, asked, "F", f"X-{cl_ord_id}", cum=100, last=(100, "150"), avg="150"))
        desk.client.expect("8", ClOrdID=cl_ord_id, OrdStatus="2")
        waits.append(monotonic() - started)
    flooding.join()
    assert waits
    assert max(waits) < 2.0
    until(lambda: len(desk.client42.received) == answered + count, "every order of the flood is answered")
    told: list[Message] = desk.client42.received[answered:]
    assert [message[11] for message in told] == [f"FLOOD{number}" for number in range(count)]
    assert {message[39] for message in told} == {"8"}
    desk.still_trades()
