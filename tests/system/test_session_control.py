"""Operators and sessions: shown, logged out and on, disabled over a start; each change journaled with who and why."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from oms.ops.people import system_name
from tests.system.commands import answer, replays, said
from tests.system.house import House
from tests.system.words import new_order, report

MakeHouse = Callable[..., House]


def commands(house: House) -> list[tuple[Any, ...]]:
    """Verb, operator, session and reason of every command in the journal."""
    asked = "SELECT msg_type, detail FROM journal WHERE kind = 'operator' AND msg_type !~ '^access' ORDER BY seq"
    rows = house.rows(asked)
    found = []
    for row in rows:
        operator, verb, pairs = row["detail"]["matter"]
        assert verb == row["msg_type"]
        found.append((verb, operator, dict(pairs)["session"], dict(pairs).get("text", "")))
    return found


def test_a_session_that_is_logged_out_stays_out_and_routing_takes_the_fallback_until_it_may_log_on_again(
    make_house: MakeHouse,
) -> None:
    house = make_house(brokers={"BROKER1": "4.2", "BROKER2": "4.4"})
    gateway = house.start()
    client, first, second = house.up("CLIENT1", "BROKER1", "BROKER2")
    shown_live(house, gateway)
    me = system_name(os.getuid())

    left = answer(house, "sessions logout BROKER1 --reason", "they change their lines")
    assert (left["session"], left["logged_on"]) == ("BROKER1", False)
    assert left["kept_out"].startswith(f"logged out by {me} since ")
    assert left["kept_out"].endswith(" UTC: they change their lines")
    first.wait_logged_out()
    house.until("SELECT FROM session_positions WHERE session = 'BROKER1' AND NOT logged_on")
    client.send(new_order("A1"))
    second.send(report(second, second.expect("D"), "0", "N1"))
    client.expect("8", t11="A1")
    assert answer(house, "sessions show BROKER1")["engine"]["may_log_on"] is False
    refused(house)

    logons = first._logons
    code, text = said(house, "sessions logon BROKER1 --reason", "they are done")
    assert (code, text.startswith("BROKER1 may log on (journal row ")) == (0, True)
    first.wait_logged_on(logons=logons + 1)
    assert commands(house) == [
        ("sessions.logout", me, "BROKER1", "they change their lines"),
        ("sessions.logon", me, "BROKER1", "they are done"),
    ]
    house.stop()
    shown_without_gateway(house)
    replays(house)


def shown_live(house: House, gateway: Any) -> None:
    """The engine's numbers, those of the store, what is committed, dialect, last messages."""
    found = answer(house, "sessions show BROKER1")
    numbers = gateway._engines["broker"].numbers("BROKER1")
    assert (found["state"], found["dialect"], found["role"]) == ("logged on", "standard-fix42", "broker")
    assert (found["engine"]["next_out"], found["engine"]["next_in"]) == numbers
    assert found["stored"] == {"next_out": numbers[0], "next_in": numbers[1]}
    assert (found["engine"]["heartbeat_seconds"], found["engine"]["may_log_on"]) == (30, True)
    assert found["ledger"]["position"]["logged_on"] is True
    assert [(row["kind"], row["msg_type"]) for row in found["messages"]] == [("session", "SessionUp")]
    code, text = said(house, "sessions show BROKER1")
    assert (code, text.splitlines()[0]) == (0, "BROKER1 (broker, FIX.4.2, dialect standard-fix42): logged on")
    assert said(house, "sessions show NOBODY") == (
        3,
        "oms: there is no session NOBODY; there are CLIENT1, BROKER1, BROKER2\n",
    )


def refused(house: House) -> None:
    """What changes nothing is refused, and leaves no row."""
    before = commands(house)
    for command, problem in (
        ("logout BROKER1 --reason again", "BROKER1 is out already, logged out by "),
        ("enable BROKER1 --reason x", "`oms sessions logon BROKER1` lets it log on"),
        ("logon BROKER2 --reason x", "nobody keeps BROKER2 out; `oms sessions show BROKER2` shows what it does"),
        ("logout NOBODY --reason x", "there is no session NOBODY; there are CLIENT1, BROKER1, BROKER2"),
        (f"logout BROKER2 --reason {'x' * 201}", "the reason has 201 characters; shorten it to 200"),
    ):
        code, text = said(house, f"sessions {command}")
        assert (code, problem in text) == (2, True), text
    assert commands(house) == before


def shown_without_gateway(house: House) -> None:
    found = answer(house, "sessions show BROKER2")
    asked = ("Reconcile", "H", "AF")  # the broker is asked for its orders, once it is on for a while
    messages = [row for row in found["messages"] if row["msg_type"] not in asked]
    assert [(row["kind"], row["msg_type"], row["msg_seq_num"]) for row in messages] == [
        ("session", "SessionUp", None),
        ("out", "D", 2),
        ("in", "8", 2),
        ("session", "SessionDown", None),
    ]
    found = answer(house, "sessions show BROKER1")
    assert (found["state"], found["gateway_running"], found["engine"]) == ("no gateway", False, None)
    assert found["ledger"]["position"]["in_msg_seq_num"] < found["stored"]["next_in"]
    code, text = said(house, "sessions logout BROKER1 --reason x")
    assert (code, "no gateway listens on " in text) == (2, True)


def test_a_disabled_session_stays_out_over_a_start_and_numbers_that_are_set_until_it_is_enabled(
    make_house: MakeHouse,
) -> None:
    house = make_house()
    house.start()
    client, broker = house.up("CLIENT1", "BROKER1")
    code, text = said(house, "sessions disable CLIENT1 --reason", "contract ended")
    assert (code, text.startswith("CLIENT1 is disabled by "), ": contract ended (journal row " in text) == (
        0,
        True,
        True,
    )
    client.wait_logged_out()
    assert said(house, "sessions logon CLIENT1 --reason x")[0] == 2
    out = answer(house, "sessions show CLIENT1")["engine"]["next_out"]
    answer(house, f"sessions set-seq CLIENT1 --next-out {out + 5} --reason x --yes")
    assert answer(house, "sessions show CLIENT1")["engine"]["may_log_on"] is False
    house.stop()

    gateway = house.start()
    facts = gateway._report.facts
    assert facts["sessions_disabled"] == ["CLIENT1"]
    broker.wait_logged_on()
    # The client tries, and its attempts are recorded as refused.
    turned_away = "SELECT FROM journal WHERE kind = 'refused' AND session = 'CLIENT1' AND detail::text LIKE %s"
    house.until(turned_away, "%not enabled for logon%")
    assert answer(house, "sessions show CLIENT1")["state"].endswith(": contract ended")
    logons = client._logons
    assert said(house, "sessions enable CLIENT1 --reason renewed")[0] == 0
    client.wait_logged_on(logons=logons + 1)
    house.stop()
    assert [one[0] for one in commands(house) if one[0] != "sessions.numbers_set"] == [
        "sessions.disable",
        "sessions.set_seq",
        "sessions.enable",
    ]
    replays(house)
