"""Trading off and on while a gateway runs and over its end, through real sessions, commands and the ledger."""

from __future__ import annotations

import getpass
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from oms.errors import OperatorError
from oms.ops.control import call
from tests.system.commands import answer, replays, said
from tests.system.house import House, until
from tests.system.nursery import Nursery
from tests.system.people import BOB, OPERATORS, Terminal
from tests.system.words import cancel, cancel_reject, new_order, replace, report

MakeHouse = Callable[..., House]
ME = getpass.getuser()
OFF = "trading_on: trading is off"


def refused(house: House, cl_ord_id: str) -> str:
    """Why a new order is refused; it must be."""
    client = house.peer("CLIENT1")
    client.send(new_order(cl_ord_id))
    told = client.expect("8", ClOrdID=cl_ord_id)
    assert (told[150], told[39]) == ("8", "8")
    return str(told[58])


def works(house: House, cl_ord_id: str, **terms: Any) -> Any:
    """A new order that the broker acknowledges; what the broker got."""
    client, broker = house.peer("CLIENT1"), house.peer("BROKER1")
    client.send(new_order(cl_ord_id, **terms))
    asked = broker.expect("D")
    broker.send(report(broker, asked, "0", f"N-{cl_ord_id}"))
    client.expect("8", ClOrdID=cl_ord_id, ExecType="0")
    return asked


def trading_finding(house: House) -> dict[str, Any]:
    """What `oms health` says of trading."""
    found = answer(house, "health")["findings"]
    return next(one for one in found if one["about"] == "trading")


def test_off_stops_orders_and_replaces_that_add_risk_lets_cancels_pass_and_on_ends_it(make_house: MakeHouse) -> None:
    house = make_house()
    house.start()
    client, broker = house.up("CLIENT1", "BROKER1")
    asked = works(house, "A1")
    assert answer(house, "trading status")["trading"] == "on"
    done = answer(house, "trading off", "--reason", "exchange test")
    assert (done["trading"], done["by"], done["why"], done["problem"]) == ("off", ME, "exchange test", "")

    assert refused(house, "A2") == OFF
    client.send(replace("A3", "A1", 150))
    assert client.expect("9", ClOrdID="A3")[58] == OFF
    client.send(replace("A4", "A1", 60))
    smaller = broker.expect("G")
    assert (smaller[38], smaller[41]) == ("60", asked[11])
    client.send(cancel("A5", "A4", 60))
    assert broker.expect("F")[55] == "AAPL"

    items = house.rows("SELECT text, severity FROM exception_items WHERE kind = 'trading_off'")
    assert [("`oms trading on --reason TEXT`" in row["text"], row["severity"]) for row in items] == [
        (True, "warning")
    ]
    code, text = said(house, "trading status")
    assert (code, f"by {ME}: exchange test (environment test)." in text) == (1, True)
    assert "To switch it on: oms trading on --reason TEXT" in text
    found = trading_finding(house)
    assert (found["state"], "exchange test; oms trading on" in found["text"]) == ("warn", True)

    for verb in ("trading.on", "trading.off"):
        with pytest.raises(OperatorError, match="say why: --reason TEXT"):
            call(house.directory / "state", verb, {"text": "  "})
    assert said(house, "trading on --reason done")[1].startswith("Trading is on (journal row ")
    code, text = said(house, "trading on --reason again")
    assert (code, "oms: trading is on since " in text) == (2, True)
    assert house.rows("SELECT state FROM exception_items WHERE kind = 'trading_off'") == [{"state": "resolved"}]
    works(house, "A6")
    rows = house.rows(
        "SELECT msg_type, detail -> 'matter' ->> 0 AS who FROM journal WHERE msg_type LIKE 'trading.%%'"
    )
    assert [tuple(row.values()) for row in rows] == [("trading.off", ME), ("trading.on", ME)]
    house.stop()
    replays(house)


def test_off_holds_over_kill_9_and_where_the_ledger_was_gone_its_file_tells_the_journal(
    make_house: MakeHouse, nursery: Nursery
) -> None:
    """Also where the rule says that an unclean stop alone does not matter."""
    house = make_house()
    process = house.fork(nursery)
    house.up("CLIENT1", "BROKER1")
    since = answer(house, "trading off", "--reason", "close of business")["since"]
    process.kill()
    file = house.directory / "state" / "trading_off.json"
    kept = json.loads(file.read_text())
    assert (kept["since"], kept["why"]) == (since, "close of business")
    # As if the ledger had been gone when it was switched off once more.
    file.write_text(json.dumps(kept | {"switch_id": "T00000002", "why": "ledger gone"}))
    house.start()
    told = house.until("SELECT detail FROM journal WHERE msg_type = 'trading.off' ORDER BY seq OFFSET 1")
    assert dict(told[0]["detail"]["matter"][2]) == {"text": "ledger gone", "switch_id": "T00000002"}
    house.up("CLIENT1", "BROKER1")
    assert refused(house, "A1") == OFF
    answer(house, "trading on", "--reason", "morning")
    assert not file.exists()
    works(house, "A2")
    house.stop()
    file.write_text("not a switch")
    with pytest.raises(OperatorError, match=r"trading_off.json says why trading was switched off and cannot be read"):
        house.start()


def test_after_an_unclean_stop_trading_waits_for_an_operator_also_over_a_clean_one(
    make_house: MakeHouse, nursery: Nursery
) -> None:
    house = make_house(after_unclean_stop="wait")
    process = house.fork(nursery)
    client, broker = house.up("CLIENT1", "BROKER1")
    asked = works(house, "A1")
    process.crash_at("before_send")
    client.send(new_order("B1"))  # committed, and not sent when the gateway dies
    process.wait()
    house.start()
    house.up("CLIENT1", "BROKER1")
    text = "route: the order did not leave: trading is off; it was of before a restart"
    assert client.expect("8", ClOrdID="B1", ExecType="8")[58] == text
    assert refused(house, "A2") == OFF
    client.send(cancel("A3", "A1"))
    sent = broker.expect("F")
    assert sent[41] == asked[11]
    broker.send(cancel_reject(sent))
    status = answer(house, "trading status", code=1)
    assert (status["cause"], status["by"], status["remedy"]) == ("unclean stop", "", "oms trading on --reason TEXT")
    house.stop()
    house.start()
    _, text = said(house, "start-report")
    line = next(one.strip() for one in text.splitlines() if one.startswith("  trading"))
    assert "UTC: the run before was cut off" in line
    assert line.endswith("`oms trading on --reason TEXT` switches it on")
    house.up("CLIENT1", "BROKER1")
    assert refused(house, "A4") == OFF
    answer(house, "trading on", "--reason", "books agree with BROKER1")
    works(house, "A5")
    house.stop()
    house.start()
    house.up("CLIENT1", "BROKER1")
    works(house, "A6")
    house.stop()
    replays(house)


def test_the_configuration_is_the_ceiling_and_two_people_may_have_to_agree(
    make_house: MakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal(monkeypatch)
    house = make_house(trading="off", toml=OPERATORS + 'two_people = ["trading.on"]\n')
    house.start()
    code, text = said(house, "trading on --reason now")
    assert (code, 'which is the ceiling: write trading = "on" in [gateway] of oms.toml' in text) == (2, True)
    house.stop()
    house.config_file.write_text(house.config_file.read_text().replace('trading = "off"', 'trading = "on"'))
    house.start()
    house.up("CLIENT1", "BROKER1")
    works(house, "A1")
    answer(house, "trading off", "--reason", "test")
    proposed = answer(house, "trading on", "--reason", "test is over")
    assert answer(house, "trading status", code=1)["trading"] == "off"
    code, text = said(house, "approvals approve", proposed["proposal_id"], "--hash", proposed["hash"])
    assert (code, "ann proposed" in text) == (2, True)
    assert refused(house, "A2") == OFF
    with terminal.of(BOB):
        answer(house, "approvals approve", proposed["proposal_id"], "--hash", proposed["hash"])
    status = answer(house, "trading status")
    assert (status["trading"], status["by"], status["why"]) == ("on", "bob", "test is over")
    works(house, "A3")
    switched = house.rows("SELECT detail FROM journal WHERE msg_type = 'trading.on'")[0]["detail"]["matter"]
    assert (switched[0], dict(switched[2])["proposer"]) == ("bob", "ann")


def test_off_is_in_force_while_the_gateway_cannot_journal_it_and_what_is_decided_does_not_leave(
    make_house: MakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The committer stands still; meanwhile trading is switched off; then it goes on."""
    house = make_house()
    gateway = house.start()
    client, broker = house.up("CLIENT1", "BROKER1")
    holds = threading.Event()
    commit = gateway._writer.commit

    def held(batch: Any) -> Any:
        assert holds.wait(20)
        return commit(batch)

    monkeypatch.setattr(gateway._writer, "commit", held)
    client.send(new_order("A1"))
    until(lambda: "A1" in {key[1] for key in gateway._book.by_client_id.named}, "the order is decided")
    answers: list[Any] = []
    asking = threading.Thread(target=lambda: answers.append(answer(house, "trading off", "--reason", "now")))
    asking.start()
    until(lambda: not gateway._barrier.switched_on, "trading is off")
    assert not answers
    holds.set()
    told = client.expect("8", ClOrdID="A1", ExecType="8")
    assert told[58] == f"route: the order did not leave: trading is off; {OFF}"
    asking.join(20)
    assert answers[0]["trading"] == "off"
    broker.expect_nothing("D")
    house.stop()
    replays(house)


# -- environments ---------------------------------------------------------------------------------------------


def test_a_ledger_of_one_environment_refuses_a_gateway_of_the_other(make_house: MakeHouse) -> None:
    test = make_house()
    test.start()
    assert test.rows("SELECT name, environment, marked_by FROM ledger_environment") == [
        {"name": "ledger", "environment": "test", "marked_by": "oms"}
    ]
    test.stop()
    _live(test)
    starts = test.rows("SELECT count(*) AS number FROM journal")
    with pytest.raises(
        OperatorError,
        match=r'is "live", and the ledger \w+ is a test ledger since .* name the live ledger in .database. url',
    ):
        test.start()
    assert test.rows("SELECT count(*) AS number FROM journal") == starts


def test_a_new_live_ledger_waits_for_an_operator_and_an_order_without_limits_of_its_own_is_refused(
    make_house: MakeHouse, empty_postgres_url: str
) -> None:
    """The limits file names CLIENT1 of two clients; [limits] has no default, and an override for FUND1 alone."""
    house = make_house(clients={"CLIENT1": "4.4", "CLIENT2": "4.4"}, url=empty_postgres_url)
    _live(house)
    text = house.config_file.read_text()
    default = "[limits]\nmax_order_qty = 1000000\nmax_order_notional = 1000000000\n"
    override = '[[limits.override]]\naccount = "FUND1"\nmax_order_qty = 1000\nmax_order_notional = 1000000\n'
    assert default in text
    house.config_file.write_text(text.replace(default, override))
    house.start()
    client, other, _ = house.up("CLIENT1", "CLIENT2", "BROKER1")
    assert refused(house, "A1") == OFF
    assert answer(house, "trading status", code=1)["cause"] == "first start on live"
    answer(house, "trading on", "--reason", "first day")
    works(house, "A2")
    client.send(new_order("A3", account="TO-BROKER1"))
    assert client.expect("8", ClOrdID="A3")[58] == "max_order_qty: no quantity limit is set for this order"
    other.send(new_order("B1"))
    text = "limit_row: no row of the limits file names client CLIENT2 or Account(1) FUND1"
    assert other.expect("8", ClOrdID="B1")[58] == text
    house.stop()
    replays(house)


def _live(house: House) -> None:
    """The same desk, on live."""
    (house.directory / "limits.csv").write_text("control,client,value\nmax_open_orders,CLIENT1,500\n")
    text = house.config_file.read_text().replace("[gateway]\n", '[gateway]\nenvironment = "live"\n')
    house.config_file.write_text(text.replace("[database]\n", '[files]\nlimits = "limits.csv"\n[database]\n'))
    cfg = house.directory / "sessions.cfg"
    cfg.write_text(cfg.read_text().replace("[DEFAULT]\n", "[DEFAULT]\nOmsEnvironment=live\nOmsAllowLoopback=Y\n"))
