"""Circuit breakers through real sessions: they open by themselves, hold over a restart, and close again."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from tests.system.commands import answer, replays, said
from tests.system.house import House, until
from tests.system.people import ANN, BOB, Terminal
from tests.system.test_kill import working
from tests.system.words import cancel, new_order, replace, report

MakeHouse = Callable[..., House]

REJECTS = """\
[[breakers]]
name = "rejects"
measure = "reject_rate"
broker = "*"
threshold = 60
min_count = 3
rest = 1
probes = 1
"""
LOSS = """\
[[breakers]]
name = "loss"
measure = "loss"
account = "*"
threshold = 1000
action = "cancel_working"
"""
LAG = """\
[[breakers]]
name = "slow"
measure = "database_lag"
threshold = 1
"""
TWO = f'[operators]\nusers = {{ ann = {ANN}, bob = {BOB} }}\ntwo_people = ["breakers.reset"]\n'


def test_a_broker_that_rejects_is_taken_out_of_routing_and_tried_again_after_its_rest(make_house: MakeHouse) -> None:
    house = make_house(brokers={"BROKER1": "4.2", "BROKER2": "4.4"}, toml=REJECTS)
    house.start()
    client, broker, other = house.up("CLIENT1", "BROKER1", "BROKER2")
    for number in range(3):
        client.send(new_order(f"A{number}"))
        broker.send(report(broker, broker.expect("D"), "8", f"R{number}", leaves=0))
        client.expect("8", ClOrdID=f"A{number}", ExecType="8")
    (item,) = house.until("SELECT * FROM exception_items WHERE kind = 'circuit_breaker'")
    text = "rejects for broker BROKER1: 3 of 3 orders rejected within 60 s, threshold 60 %"
    assert (item["state"], item["severity"], item["text"]) == ("open", "error", text)
    client.send(new_order("B1"))
    assert other.expect("D")[38] == "100"
    client.send(new_order("B2", account="TO-BROKER1"))
    told = client.expect("8", ClOrdID="B2")
    assert (told[39], told[103], told[58]) == ("8", "0", f"circuit_breaker: {text}")
    code, explained = said(house, "orders explain", "B2")
    assert (code, "verdict: rejected by rule circuit_breaker" in explained) == (0, True)
    until(lambda: answer(house, "breakers list")["rules"][0]["half_open"], "half-open after its rest")
    probe = working(client, broker, "C1", account="TO-BROKER1")
    assert probe[38] == "100"
    closed = house.until("SELECT resolution FROM exception_items WHERE kind = 'circuit_breaker' AND state <> 'open'")
    assert closed == [{"resolution": "1 probes were answered well"}]
    assert answer(house, "breakers list")["breakers"] == []
    house.stop()
    house.check_chain()
    replays(house)


def test_a_loss_cancels_what_works_holds_over_a_restart_and_is_reset_by_two_people(
    make_house: MakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal(monkeypatch)
    house = make_house(toml=LOSS + TWO)
    house.start()
    client, broker = house.up("CLIENT1", "BROKER1")
    works = working(client, broker, "A1")
    for name, qty, price in (("A2", 100, "150"), ("A3", 1, "140")):
        asked = working(client, broker, name, qty=qty)
        broker.send(report(broker, asked, "F", f"F-{name}", cum=qty, last=(qty, price), avg=price))
        client.expect("8", ClOrdID=name, OrdStatus="2")
    canceled = broker.expect("F")
    assert canceled[41] == works[11]
    broker.send(report(broker, canceled, "4", "C1", leaves=0))
    client.expect("8", ClOrdID="A1", ExecType="4")
    (item,) = house.until("SELECT item_id FROM exception_items WHERE kind = 'circuit_breaker'")
    code, text = said(house, "exceptions resolve", item["item_id"], "--reason", "x")
    assert (code, "is closed with its circuit breaker" in text) == (2, True)
    house.stop()
    replays(house)

    house.start()
    client, broker = house.up("CLIENT1", "BROKER1")
    told = "circuit_breaker: loss for account FUND1: loss 1000 USD today, threshold 1000"
    client.send(new_order("B1"))
    assert client.expect("8", ClOrdID="B1")[58] == told
    hypothetical = ("--client", "CLIENT1", "--account", "FUND1", "--symbol", "AAPL", "--qty", "1", "--price", "150")
    assert answer(house, "risk explain", *hypothetical, code=1)["verdict"] == f"It would be refused: {told}."
    code, text = said(house, "breakers reset", "loss", "--account", "TO-BROKER1", "--reason", "x")
    assert (code, "no such breaker is open" in text) == (2, True)
    proposal = answer(house, "breakers reset", "loss", "--all", "--reason", "desk head agrees")["proposal_id"]
    shown = answer(house, "approvals show", proposal)["hash"]
    with terminal.of(BOB):
        answer(house, "approvals approve", proposal, "--hash", shown)
    assert answer(house, "breakers show", "loss")["breakers"] == []
    working(client, broker, "B2")
    house.stop()
    house.check_chain()
    replays(house)


def test_an_operator_opens_one_and_cancels_still_go(make_house: MakeHouse) -> None:
    house = make_house(toml=REJECTS.replace("rest = 1\nprobes = 1\n", "") + LAG)
    house.start()
    client, broker = house.up("CLIENT1", "BROKER1")
    working(client, broker, "A1")
    assert said(house, "breakers trip", "rejects", "--reason", "x") == (
        2, "oms: rejects has a breaker for each --broker *; say which\n",
    )  # fmt: skip
    assert said(house, "breakers show", "nobody")[0] == 3
    code, text = said(house, "breakers trip", "rejects", "--broker", "BROKER1", "--reason", "they ask for it")
    assert (code, text.startswith("rejects for broker BROKER1 is open (journal row ")) == (0, True)
    (found,) = answer(house, "breakers show", "rejects")["breakers"]
    assert (found["state"], found["scope"]) == ("open", {"broker": "BROKER1"})
    client.send(replace("A2", "A1", 150))
    assert client.expect("9", ClOrdID="A2")[58].startswith("circuit_breaker: rejects for broker BROKER1: opened by")
    client.send(cancel("A3", "A1"))
    assert broker.expect("F")[38] == "100"
    assert said(house, "breakers reset", "rejects", "--broker", "BROKER1", "--reason", "done")[0] == 0

    with psycopg.connect(house.url) as other:  # commits wait for this one
        other.execute("LOCK TABLE batches IN EXCLUSIVE MODE")
        client.send(new_order("B1"))
        other.execute("SELECT pg_sleep(1.3)")
    (item,) = house.until("SELECT text FROM exception_items WHERE kind = 'circuit_breaker' AND state = 'open'")
    assert item["text"].startswith("slow for the firm: ")
    client.send(new_order("B2"))
    assert client.expect("8", ClOrdID="B2")[58].startswith("circuit_breaker: slow for the firm: ")
    house.stop()
    replays(house)
