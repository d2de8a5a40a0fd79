"""Fills that people enter, and approvals by a second person, through real sessions, commands and the ledger."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from oms.sim.peer import FixPeer
from oms.sim.wire import Message
from tests.system.commands import answer, replays, said
from tests.system.house import House
from tests.system.people import BOB, CARL, OPERATORS, Terminal
from tests.system.words import new_order, report, shape

MakeHouse = Callable[..., House]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    return Terminal(monkeypatch)


def desk(make_house: MakeHouse, version: str = "4.4", broker: str = "4.4", toml: str = OPERATORS) -> Any:
    """A gateway, and an order of CLIENT1 of which BROKER1 has reported 60 of 100 shares."""
    house = make_house(clients={"CLIENT1": version}, brokers={"BROKER1": broker}, toml=toml)
    house.start()
    client, peer = house.up("CLIENT1", "BROKER1")
    client.send(new_order("A1"))
    asked = peer.expect("D")
    peer.send(report(peer, asked, "0", "N1"))
    client.expect("8", ExecType="0")
    peer.send(report(peer, asked, "F", "F1", cum=60, last=(60, "150"), avg="150"))
    told = client.expect("8", t32="60")
    return house, client, peer, asked, told[37]


def propose(house: House, order_id: str, qty: int = 40, exec_id: str = "F2") -> dict[str, Any]:
    given = f"{order_id} --qty {qty} --px 150.5 --exec-id {exec_id}"
    found: dict[str, Any] = answer(house, f"fills add {given}", "--reason", "by phone")
    return found


def test_a_fill_that_two_people_enter_moves_the_order_is_told_once_and_survives_the_brokers_own_report(
    make_house: MakeHouse, terminal: Terminal
) -> None:
    house, client, peer, asked, order_id = desk(make_house, version="4.2")
    proposed = propose(house, order_id)
    assert house.rows("SELECT FROM fills WHERE origin = 'manual'") == []
    with terminal.of(BOB):
        shown = answer(house, "approvals show", proposed["proposal_id"])
        assert (shown["proposer"], shown["contents"]["qty"], shown["order"]["cum_qty"]) == ("ann", "40", "60")
        done = answer(house, "approvals approve", proposed["proposal_id"], "--hash", shown["hash"])
    report_ = client.expect("8", t32="40")
    assert shape(report_)[3:] == ("2", "40", "0", "100")
    assert (report_[31], report_[58], report_[17]) == ("150.5", "entered by hand", done["client_exec_id"])

    row = house.rows("SELECT origin, kind, exec_id, seq FROM fills WHERE client_exec_id = %s", done["client_exec_id"])
    assert row == [{"origin": "manual", "kind": "trade", "exec_id": "F2", "seq": done["journal_seq"]}]
    kept = house.rows("SELECT msg_type, detail FROM journal WHERE seq = %s", done["journal_seq"])[0]
    people = {name: kept["detail"]["manual"][name] for name in ("proposer", "approver", "reason")}
    assert (kept["msg_type"], people) == (
        "approvals.approve",
        {"proposer": "ann", "approver": "bob", "reason": "by phone"},
    )

    peer.send(report(peer, asked, "F", "F2", cum=100, last=(40, "150.5"), avg="150.2"))
    item = house.until("SELECT order_id, text, severity FROM exception_items WHERE kind = 'manual_fill_reported'")[0]
    assert (item["order_id"], item["severity"], done["client_exec_id"] in item["text"]) == (order_id, "warning", True)
    assert len(house.rows("SELECT FROM fills")) == 2
    house.stop()
    assert len([one for one in client.received if one.get(32) == "40"]) == 1
    replays(house)


def test_nobody_approves_alone_twice_too_late_unread_or_what_there_is_not_and_each_try_is_recorded(
    make_house: MakeHouse, terminal: Terminal
) -> None:
    toml = OPERATORS + 'two_people = ["fills.add", "kill.release"]\n'
    house, client, peer, asked, order_id = desk(make_house, toml=toml)
    no_fill_is_refused_with_the_remedy(house, order_id)
    first = propose(house, order_id)
    name, shown = first["proposal_id"], first["hash"]
    refused = [said(house, "approvals approve", name, "--hash", shown)]
    with terminal.of(BOB):
        refused.append(said(house, "approvals approve", name, "--hash", "0123456789abcdef"))
        refused.append(said(house, "approvals approve", "P999", "--hash", shown))
        assert answer(house, "approvals approve", name, "--hash", shown)["cum_qty"] == "100"
        refused.append(said(house, "approvals approve", name, "--hash", shown))
        refused.append(said(house, "approvals reject", name, "--reason", "no"))
    with terminal.of(CARL):
        code, text = said(house, "approvals list")
        assert (code, "may not command this gateway" in text) == (2, True)
    assert [code for code, _ in refused] == [2] * 5
    words = [text.partition(" (journal row")[0] for _, text in refused]
    assert words == [
        f"oms: ann proposed {name} and cannot approve it; another operator has to",
        f"oms: the hash 0123456789abcdef is not that of {name}: something else was read than would be done;"
        f" `oms approvals show {name}` shows it",
        "oms: there is no proposal P999; `oms approvals list --all` shows those of late",
        f"oms: {name} is approved by bob already",
        f"oms: {name} is approved by bob already",
    ]
    asked_for = "SELECT detail FROM journal WHERE kind = 'operator' AND detail ->> 'refused' <> '' ORDER BY seq"
    kept = house.rows(asked_for)[1:]  # the first is of a fill that is booked already
    assert [f"oms: {row['detail']['refused']}".partition(" (journal row")[0] for row in kept] == words
    assert [row["detail"]["matter"][0] for row in kept] == ["ann", "bob", "bob", "bob", "bob"]
    corrected_busted_and_not_told(house, client, peer, asked)
    a_kill_is_released_by_two(house, terminal)
    house.stop()
    assert len([one for one in client.received if one.get(32) == "40"]) == 1
    replays(house)


def test_a_proposal_expires_and_one_that_waits_is_still_there_after_a_restart(
    make_house: MakeHouse, terminal: Terminal
) -> None:
    """And a fill that was entered before the restart is known again when its broker reports it after that."""
    house, client, peer, asked, order_id = desk(make_house, toml=OPERATORS + "approval_minutes = 1\n")
    late, done = propose(house, order_id, 10, "F8"), propose(house, order_id, 10, "F7")
    kept = propose(house, order_id, 30, "F2")
    with terminal.of(BOB):
        answer(house, "approvals reject", late["proposal_id"], "--reason", "wrong order")
        answer(house, "approvals approve", done["proposal_id"], "--hash", done["hash"])
    house.stop()
    house.start()
    house.up("CLIENT1", "BROKER1")
    peer.send(report(peer, asked, "F", "F7", cum=70, last=(10, "150.5"), avg="150.1"))
    house.until("SELECT FROM exception_items WHERE kind = 'manual_fill_reported'")
    with terminal.of(BOB):
        states = {one["proposal_id"]: one["state"] for one in answer(house, "approvals list", "--all")}
        names = [one["proposal_id"] for one in (late, done, kept)]
        assert states == dict(zip(names, ("rejected", "approved", "open"), strict=True))
        assert answer(house, "approvals approve", kept["proposal_id"], "--hash", kept["hash"])["cum_qty"] == "100"
    client.expect("8", t32="30")

    over = propose(house, order_id, 5, "F9")
    gateway = house.gateway
    assert gateway is not None
    gateway._book.proposals[over["proposal_id"]].expires_at = gateway._book.proposals[over["proposal_id"]].proposed_at
    house.until("SELECT FROM journal WHERE msg_type = 'approvals.expire'")
    with terminal.of(BOB):
        code, text = said(house, "approvals approve", over["proposal_id"], "--hash", over["hash"])
    assert (code, f"{over['proposal_id']} is expired already" in text) == (2, True)


def corrected_busted_and_not_told(house: House, client: FixPeer, peer: FixPeer, asked: Message) -> None:
    """By one person, where the configuration asks for no second one: a correction, and a bust that nobody is told."""
    first = next(one[17] for one in client.received if one.get(32) == "60")
    done = answer(house, "fills correct", first, "--qty", "50", "--px", "150", "--reason", "mail of 14:02")
    corrected = client.expect("8", ExecType="G")
    assert (corrected[19], corrected[14], corrected[17]) == (first, "90", done["client_exec_id"])
    done = answer(house, "fills bust", first, "--reason", "mail of 14:05", "--silent")
    assert (done["told"], done["cum_qty"]) == ("", "40")
    refused = said(house, "fills correct", first, "--qty", "1", "--px", "1", "--reason", "x")
    assert (refused[0], "was busted: enter a new one" in refused[1]) == (2, True)
    listed = said(house, "fills list")[1]
    assert "correct of F1 by hand" in listed
    assert "bust of F1 by hand" in listed
    peer.send(report(peer, asked, "F", "F3", cum=20, last=(20, "150"), avg="150"))
    assert client.expect("8", t32="20")[14] == "60"
    assert [one for one in client.received if one.get(150) == "H"] == []


def a_kill_is_released_by_two(house: House, terminal: Terminal) -> None:
    said(house, "kill engage --symbol SAP --keep-orders --reason test")
    kill = answer(house, "kill list")[0]["kill_id"]
    proposed = answer(house, f"kill release {kill} --reason over")
    assert [one["kill_id"] for one in answer(house, "kill list")] == [kill]
    with terminal.of(BOB):
        code, text = said(house, "approvals approve", proposed["proposal_id"], "--hash", proposed["hash"])
    assert (code, text.startswith(f"{proposed['proposal_id']} is approved and done (journal row ")) == (0, True)
    assert answer(house, "kill list") == []
    released = house.rows("SELECT detail FROM journal WHERE msg_type = 'kill.release'")[0]["detail"]["matter"]
    assert (released[0], dict(released[2])["proposer"]) == ("bob", "ann")


BAD = [
    ({"order": "O9"}, "there is no order with OrderID(37) O9"),
    ({"--qty": "-1"}, "--qty '-1' is no number above zero"),
    ({"--qty": "0"}, "--qty '0' is no number above zero"),
    ({"--qty": "1e9"}, "--qty '1e9' is no number above zero"),
    ({"--px": "nan"}, "--px 'nan' is no number zero or more"),
    ({"--exec-id": "F\x01 35=8"}, "is no ExecID(17): 1 to 64 printable"),
    ({"--exec-id": "0"}, "--exec-id 0 names no execution"),
    ({"--exec-id": "F1"}, "ExecID(17) F1 of BROKER1 is booked already for"),
    ({"--trade-date": "3026-01-01"}, "is not within the year"),
    ({"--at": "noon"}, "--at 'noon' is no time"),
    ({"--child": "C9"}, "did not go to a broker as ClOrdID(11) C9"),
]


def no_fill_is_refused_with_the_remedy(house: House, order_id: str) -> None:
    for wrong, words in BAD:
        given = {"order": order_id, "--qty": "1", "--px": "1", "--exec-id": "F2"} | wrong
        options = [part for name, value in given.items() if name != "order" for part in (name, value)]
        code, text = said(house, "fills add", given["order"], *options, "--reason", "x")
        assert (code, words in text) == (2, True), (wrong, text)
    for command in ("fills correct X9 --qty 1 --px 1", "fills bust X9"):
        code, text = said(house, command, "--reason", "x")
        assert (code, "there is no fill with ExecID(17) X9" in text) == (2, True)
    assert answer(house, "approvals list") == []
