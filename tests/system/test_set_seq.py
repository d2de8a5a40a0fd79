"""Sequence numbers set by operators: shown first, applied to the running gateway, and no message lost or doubled."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.system.commands import answer, replays, said
from tests.system.house import House, until
from tests.system.people import BOB, OPERATORS, Terminal
from tests.system.words import new_order, report, told_fills

MakeHouse = Callable[..., House]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    return Terminal(monkeypatch)


def test_a_brokers_lost_fill_is_asked_for_again_by_two_people_and_booked_once_with_the_others(
    make_house: MakeHouse, terminal: Terminal
) -> None:
    """Next in is raised past a fill, which is lost then; set back, it comes again with those that are known."""
    house = make_house(toml=OPERATORS)
    gateway = house.start()
    client, broker = house.up("CLIENT1", "BROKER1")
    client.send(new_order("A1"))
    asked = broker.expect("D")
    broker.send(report(broker, asked, "F", "F1", cum=60, last=(60, "150"), avg="150"))
    client.expect("8", t32="60")
    engine = gateway._engines["broker"]
    _, expected = engine.numbers("BROKER1")

    shown = answer(house, "sessions set-seq BROKER1", "--next-in", str(expected + 10), "--show")
    assert (shown["next_in_now"], shown["needs_two"]) == (expected, True)
    lost = "lost, if there were any among them: fills; 1 orders with LeavesQty(151) 40 are alive at BROKER1"
    assert shown["risks"] == [lost]

    back = ("BROKER1", "--next-in", "2", "--reason", "a fill is missing")
    code, text = said(house, "sessions set-seq", *back, "--yes")
    assert (code, "came already: 1 message, among them 1 fill of 60 shares, about 1 order" in text) == (0, True)
    assert engine.numbers("BROKER1")[1] == expected  # proposed, not done
    found = answer(house, "approvals list")[0]
    assert "next in is set back" not in text.partition("AT RISK")[0]
    assert found["contents"]["effect"].startswith(f"next in {expected} to 2: what BROKER1 sends under 2 to")
    logons = broker._logons
    with terminal.of(BOB):
        done = answer(house, "approvals approve", found["proposal_id"], "--hash", found["hash"])
    assert (done["done"]["now"][1], done["done"]["before"][1]) == (2, expected + 1)  # its Logout(5) used one
    broker.wait_logged_on(logons=logons + 1)
    again = house.until("SELECT detail FROM journal WHERE kind = 'in' AND detail ->> 'duplicate' = 'true'")
    assert len(again) == 1
    broker.send(report(broker, asked, "F", "F2", cum=100, last=(40, "150"), avg="150"))
    client.expect("8", t32="40")
    verbs = [
        row["msg_type"]
        for row in house.rows(
            "SELECT msg_type FROM journal WHERE kind = 'operator' AND msg_type !~ '^access' ORDER BY seq"
        )
    ]
    assert verbs == ["approvals.propose", "approvals.approve", "sessions.set_seq", "sessions.numbers_set"]
    assert house.rows("SELECT epoch FROM session_positions WHERE session = 'BROKER1'") == [{"epoch": 1}]
    house.stop()
    assert [qty for _, qty in told_fills(client.received)] == [60, 40]
    replays(house)


def test_a_client_that_expects_lower_numbers_gets_them_and_what_can_no_longer_be_resent_is_told(
    make_house: MakeHouse, terminal: Terminal
) -> None:
    house = make_house(toml=OPERATORS)
    gateway = house.start()
    client, broker = house.up("CLIENT1", "BROKER1")
    client.send(new_order("A1"))
    asked = broker.expect("D")
    broker.send(report(broker, asked, "F", "F1", cum=60, last=(60, "150"), avg="150"))
    client.expect("8", t32="60")
    what_cannot_be_set_is_refused(house)
    engine = gateway._engines["client"]
    (out, _) = engine.numbers("CLIENT1")
    raised = said(house, "sessions set-seq CLIENT1", "--next-out", str(out + 20), "--show")[1]
    assert "gets a gap fill; nothing that was sent is lost" in raised
    assert "AT RISK" not in raised

    shown = answer(house, "sessions set-seq CLIENT1 --next-out 2 --show")
    risk = "can no longer be resent to CLIENT1: 1 message, among them 1 fill of 60 shares, about 1 order"
    assert (shown["risks"], shown["needs_two"], shown["at_risk"]) == ([risk], True, [1, 0])
    proposed = answer(house, "sessions set-seq CLIENT1 --next-out 2 --yes --reason x")
    broker.send(report(broker, asked, "F", "F2", cum=70, last=(10, "150"), avg="150"))
    client.expect("8", t32="10")
    with terminal.of(BOB):
        given = ("approvals approve", proposed["proposal_id"], "--hash", proposed["hash"])
        code, text = said(house, *given)
        assert (code, "by now more is at risk than was proposed" in text) == (2, True)
    renewed = answer(house, "sessions set-seq CLIENT1 --next-out 2 --yes --reason x")
    client.engine.logout("CLIENT1", "to be renumbered")
    client.wait_logged_out()
    client.engine.set_next_target("CLIENT1", 2)
    with terminal.of(BOB):
        done = answer(house, "approvals approve", renewed["proposal_id"], "--hash", renewed["hash"])["done"]
    assert done["now"][0] == 2
    position = house.rows("SELECT out_msg_seq_num FROM session_positions WHERE session = 'CLIENT1'")
    assert position == [{"out_msg_seq_num": 1}]  # or a start would not look for what left under 2 and up
    client.engine.logon("CLIENT1")
    client.wait_logged_on()
    broker.send(report(broker, asked, "F", "F3", cum=100, last=(30, "150"), avg="150"))
    assert int(client.expect("8", t32="30")[34]) < 6
    until(lambda: house.numbers_agree("CLIENT1"), "agreement")
    house.stop()
    it_is_shown_only(house)
    assert [qty for _, qty in told_fills(client.received)] == [60, 10, 30]
    replays(house)


def what_cannot_be_set_is_refused(house: House) -> None:
    assert said(house, "sessions set-seq NOBODY --next-in 2 --show") == (
        2,
        "oms: there is no session NOBODY; there are CLIENT1, BROKER1\n",
    )
    for wrong in ("--show", "--next-in 0 --show", "--next-in 2", "--next-in x --show"):
        assert said(house, f"sessions set-seq CLIENT1 {wrong}")[0] == 2
    assert said(house, "sessions set-seq CLIENT1 --next-in 9 --reason x")[0] == 1  # nobody answered the question
    assert house.rows("SELECT FROM journal WHERE kind = 'operator' AND msg_type !~ '^access'") == []


def it_is_shown_only(house: House) -> None:
    """Without a gateway."""
    code, text = said(house, "sessions set-seq CLIENT1 --next-in 99 --show")
    assert code == 2
    assert "CLIENT1 (client) has now: next out " in text
    assert "lost, if there were any among them: orders, cancels and replaces" in text
    assert "nothing was changed, because only the running gateway sets the numbers" in text
