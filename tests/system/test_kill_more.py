"""The kill switch's neighbours through real sessions: its drill, a release by two, cancel on disconnect."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable

import psutil
import pytest
from click.testing import CliRunner

from oms.cli import kill_drill
from oms.cli.main import oms
from oms.demo.kill_drill import Drilled
from oms.sim.peer import FixPeer
from tests.system.commands import answer, replays, said
from tests.system.house import House
from tests.system.people import ANN, BOB, Terminal
from tests.system.test_kill import working
from tests.system.words import new_order, replace, report, shape

MakeHouse = Callable[..., House]
AT_ONCE = "OmsCancelOnDisconnect=Y\nOmsCancelOnDisconnectSeconds=1\nOmsCancelOnDisconnectExempt=GTC\n"
TWO = f'[operators]\nusers = {{ ann = {ANN}, bob = {BOB} }}\ntwo_people = ["kill.release"]\n'


def test_a_drill_accounts_for_every_order_and_leaves_nothing_running() -> None:
    with tempfile.TemporaryDirectory(prefix="oms-tests-") as directory:
        result = CliRunner().invoke(oms, ["kill", "drill", "--orders", "40", "--json", "--dir", directory])
        found = json.loads(result.stdout)
        assert (result.exit_code, found["ok"], found["problems"]) == (0, True, [])
        assert found["orders"] >= 40
        assert (found["outcomes"], found["cancels"]) == ({"canceled": found["orders"]}, found["orders"])
        assert found["last_order_left"] <= found["command_answered"]
        assert found["first_refused"] > 0
        assert found["last_cancel_left"] <= found["proven"]
        running = [" ".join(one.info["cmdline"] or ()) for one in psutil.process_iter(["cmdline"])]
        assert [command for command in running if directory in command] == []


def test_a_drill_in_which_an_order_is_unanswered_is_not_proven(monkeypatch: pytest.MonkeyPatch) -> None:
    drilled = Drilled(2, {"canceled": 1, "unanswered": 1}, -0.1, 0.01, 0.02, 0.03, 2, None)
    monkeypatch.setattr(kill_drill, "_drilled", lambda *_: drilled)
    result = CliRunner().invoke(oms, ["kill", "drill"])
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (
        1,
        "2 orders were alive: 1 canceled, 1 unanswered; NOT proven.",
    )


def test_a_kill_is_released_by_two_people_where_the_configuration_says_so(
    make_house: MakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal(monkeypatch)
    house = make_house(toml=TWO)
    house.start()
    client, broker = house.up("CLIENT1", "BROKER1")
    kill = answer(house, "kill engage", "--firm", "--reason", "x")["kill_id"]
    proposal = answer(house, "kill release", kill, "--reason", "fixed")["proposal_id"]
    assert [one["kill_id"] for one in answer(house, "kill list")] == [kill]
    client.send(new_order("A1"))
    assert client.expect("8", ClOrdID="A1")[58] == f"kill_switch: {kill} is engaged for the firm"
    shown = answer(house, "approvals show", proposal)["hash"]
    code, text = said(house, "approvals approve", proposal, "--hash", shown)
    assert (code, "ann" in text) == (2, True)  # not by the one who proposed it
    with terminal.of(BOB):
        answer(house, "approvals approve", proposal, "--hash", shown)
    assert answer(house, "kill list") == []
    working(client, broker, "A2")
    house.stop()
    replays(house)


def test_a_reduce_only_kill_lets_through_what_reduces_a_position_and_nothing_else_also_after_a_restart(
    make_house: MakeHouse,
) -> None:
    house = make_house()
    text = house.config_file.read_text()
    house.config_file.write_text(text.replace("[gateway]\n", "[gateway]\nkeep_positions = true\n"))
    house.start()
    client, broker = house.up("CLIENT1", "BROKER1")
    bought = working(client, broker, "A1")
    broker.send(report(broker, bought, "F", "F1", cum=100, last=(100, "150"), avg="150"))
    client.expect("8", ClOrdID="A1", OrdStatus="2")
    done = answer(house, "kill engage", "--account", "FUND1", "--reduce-only", "--reason", "x")
    refused = f"kill_switch: {done['kill_id']} is engaged for account FUND1 (reduce-only)"
    for number in range(2):
        if number:
            house.stop()
            house.start()
            client, broker = house.up("CLIENT1", "BROKER1")
        client.send(new_order(f"B{number}"))  # buys more
        assert client.expect("8", ClOrdID=f"B{number}")[58] == refused
        client.send(new_order(f"C{number}", qty=101).replace("54=1", "54=2"))  # sells more than there is
        assert client.expect("8", ClOrdID=f"C{number}")[58] == refused
        client.send(new_order(f"D{number}", qty=40).replace("54=1", "54=2"))
        asked = broker.expect("D")
        assert (asked[54], asked[38]) == ("2", "40")
        broker.send(report(broker, asked, "0", f"N-D{number}"))
        client.expect("8", ClOrdID=f"D{number}", ExecType="0")
    client.send(new_order("E1", qty=21).replace("54=1", "54=2"))  # 80 of 100 are for sale already
    assert client.expect("8", ClOrdID="E1")[58] == refused
    client.send(replace("E2", "D1", 61).replace("54=1", "54=2"))
    assert client.expect("9", ClOrdID="E2")[58] == refused
    client.send(replace("E3", "D1", 60).replace("54=1", "54=2"))
    assert broker.expect("G")[38] == "60"
    house.stop()
    replays(house)


def test_a_reduce_only_kill_needs_positions_to_be_kept(make_house: MakeHouse) -> None:
    house = make_house()
    house.start()
    code, text = said(house, "kill engage", "--firm", "--reduce-only", "--reason", "x")
    assert (code, "set [gateway] keep_positions = true" in text) == (2, True)
    assert answer(house, "kill list") == []


def gone(make_house: MakeHouse) -> tuple[House, FixPeer]:
    """A client with a day order and a good-till-cancel one, cut off; cancel on disconnect is set."""
    house = make_house(session_keys={"CLIENT1": AT_ONCE})
    house.start()
    client, broker = house.up("CLIENT1", "BROKER1")
    working(client, broker, "A1")
    client.send(new_order("A2").replace("59=0", "59=1"))
    broker.send(report(broker, broker.expect("D"), "0", "N2"))
    client.expect("8", ClOrdID="A2", ExecType="0")
    house.drop("CLIENT1")
    return house, broker


def test_a_client_that_stays_away_has_its_orders_canceled_and_is_told_at_its_next_logon(
    make_house: MakeHouse,
) -> None:
    house, broker = gone(make_house)
    asked = broker.expect("F")
    broker.send(report(broker, asked, "4", "C1", leaves=0))
    house.until("SELECT FROM client_orders WHERE life = 'canceled'")
    (client,) = house.up("CLIENT1")
    assert shape(client.expect("8", ClOrdID="A1")) == ("8", "A1", "4", "4", None, "0", "0")
    client.send(new_order("A3"))
    assert broker.expect("D")[38] == "100"
    broker.expect_nothing("F")
    house.stop()
    house.check_chain()
    replays(house)


def test_what_refines_cancel_on_disconnect_needs_it(make_house: MakeHouse) -> None:
    house = make_house(session_keys={"CLIENT1": "OmsCancelOnDisconnectSeconds=5\n"})
    code, text = said(house, "check")
    assert code == 2
    assert "OmsCancelOnDisconnectSeconds: without OmsCancelOnDisconnect=Y; add OmsCancelOnDisconnect=Y" in text
