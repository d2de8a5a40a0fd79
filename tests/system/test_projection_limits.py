"""Limits on projections through real sessions: refused with numbers and row; the totals outlive a restart."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from click.testing import CliRunner

from oms.cli.main import oms
from oms.ledger.database import engine as ledger_engine
from oms.ledger.replay import verify_tables
from tests.system.house import INSTRUMENTS, House
from tests.system.words import new_order, report

MakeHouse = Callable[..., House]
COLUMNS = ("cl_ord_id", "was", "would_be")


def oms_json(house: House, command: str, code: int) -> Any:
    """What a command prints with --json."""
    result = CliRunner().invoke(oms, [*command.split(), "--config", str(house.config_file), "--json"])
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def rehearsed(house: House) -> None:
    """The same rules say the same of the day; a lower limit would have stopped what it names, and nothing else."""
    same = oms_json(house, f"risk rehearse --rules {house.config_file}", 0)
    assert (same["judged"], same["was_refused"], same["would_be_refused"], same["differing"]) == (6, 3, 3, [])
    new = house.directory.parent / "new"
    shutil.copytree(house.directory, new, ignore=shutil.ignore_patterns("state", "peers"))
    (new / "limits.csv").write_text("control,account,symbol,value\nmax_position,FUND1,AAPL,100\n")
    lower = oms_json(house, f"risk rehearse --rules {new / 'oms.toml'}", 1)
    found = [tuple(one[name] for name in COLUMNS) for one in lower["differing"]]
    assert found == [
        ("A2", "taken, to BROKER1", "refused: max_position"),
        ("A5", "taken, to BROKER1", "refused: max_position"),
        ("A6", "refused: max_open_orders", "taken, to BROKER1"),
    ]
    assert lower["newly_refused"] == {"max_position": 2}
    asked = "risk explain --client CLIENT1 --account FUND1 --symbol AAPL --price 150"
    said = oms_json(house, f"{asked} --qty 1 --side sell", 1)
    assert said["verdict"].startswith("It would be refused: max_open_orders: 3 open orders exceeds 2")


ROWS = """control,client,account,symbol,value,level
max_position,,FUND1,*,250,hard
max_open_orders,*,,,2,hard
max_day_qty,,FUND1,,200,soft
"""


def test_totals_count_what_lives_and_what_has_traded_before_and_after_a_restart(make_house: MakeHouse) -> None:
    house = make_house(toml='[files]\nlimits = "limits.csv"\n')
    (house.directory / "limits.csv").write_text(ROWS)
    house.start()
    client, broker = house.up("CLIENT1", "BROKER1")
    client.send(new_order("A1"))
    first = broker.expect("D")
    broker.send(report(broker, first, "F", "F1", cum=100, last=(100, "150.00"), avg="150"))
    client.expect("8", ClOrdID="A1", ExecType="F")
    client.send(new_order("A2"))
    second = broker.expect("D")
    broker.send(report(broker, second, "F", "F2", cum=40, last=(40, "150.00"), avg="150"))
    client.expect("8", ClOrdID="A2", ExecType="F")

    client.send(new_order("A3"))
    assert client.expect("8", ClOrdID="A3", ExecType="8")[58] == (
        "max_position: 300 shares long exceeds 250 (account FUND1, symbol AAPL, limits.csv line 2)"
    )
    house.stop()

    house.start()
    house.up("CLIENT1", "BROKER1")
    client.send(new_order("A4"))
    assert client.expect("8", ClOrdID="A4", ExecType="8")[58] == (
        "max_position: 300 shares long exceeds 250 (account FUND1, symbol AAPL, limits.csv line 2)"
    )
    client.send(new_order("A5", qty=50))  # long 140, open 60 and 50; more than 200 today, which only warns
    assert broker.expect("D")[38] == "50"
    (item,) = house.until("SELECT text FROM exception_items WHERE kind = 'soft_limit'")
    assert item["text"] == (
        "max_day_qty: soft: 250 shares traded today and open exceeds 200 (account FUND1, limits.csv line 4)"
    )
    client.send(new_order("A6", qty=1).replace("|54=1|", "|54=2|"))
    assert client.expect("8", ClOrdID="A6", ExecType="8")[58] == (
        "max_open_orders: 3 open orders exceeds 2 (client CLIENT1, limits.csv line 3)"
    )
    house.stop()
    house.check_chain()
    rehearsed(house)
    made = ledger_engine(house.url, read_only=True)
    try:
        assert verify_tables(made).differences == []
    finally:
        made.dispose()


CONDUCT = """control,account,symbol,value
self_match,,,refuse
max_repeated_fills,FUND1,,2 in 86400
last_price_collar,,AAPL,1
"""
MARKETS = """[[markets]]
name = "LATER"
time_zone = "UTC"
sessions = "00:00-00:01"
days = ["{day}"]
"""


def text_of(house_answer: Any) -> str:
    return str(house_answer[58])


def test_conduct_and_market_hours_are_judged_alike_before_and_after_a_restart(make_house: MakeHouse) -> None:
    house = make_house(toml='[files]\nlimits = "limits.csv"\nmarkets = "markets.toml"\n')
    (house.directory / "limits.csv").write_text(CONDUCT)
    opens = datetime.now(UTC) + timedelta(days=3)
    (house.directory / "markets.toml").write_text(MARKETS.format(day=f"{opens:%a}".lower()))
    header, *lines = INSTRUMENTS.splitlines()
    later = lines[0].replace("AAPL", "LATE", 1)
    text = "\n".join([f"{header},market", *[f"{line}," for line in lines], f"{later},LATER"])
    (house.directory / "instruments.csv").write_text(f"{text}\n")
    house.start()
    client, broker = house.up("CLIENT1", "BROKER1")
    for number in (1, 2):
        client.send(new_order(f"A{number}", price="151.00"))
        asked = broker.expect("D")
        broker.send(report(broker, asked, "F", f"F{number}", cum=100, last=(100, "151.00"), avg="151"))
        client.expect("8", ClOrdID=f"A{number}", ExecType="F")
    client.send(new_order("A3", price="152.00").replace("|54=1|", "|54=2|"))
    broker.expect("D")

    def refused(name: str) -> dict[str, str]:
        asks = {
            "repeated": new_order(f"{name}1"),
            "collar": new_order(f"{name}2", price="149.00"),
            "match": new_order(f"{name}3", price="152.00"),
            "hours": new_order(f"{name}4").replace("|55=AAPL|", "|55=LATE|"),
        }
        found = {}
        for what, order in asks.items():
            client.send(order)
            found[what] = text_of(client.expect("8", ExecType="8"))
        return found

    told = {
        "repeated": "max_repeated_fills: 2 buy orders in AAPL traded within 86400 s, which reaches 2 "
        "(account FUND1, limits.csv line 3)",
        "collar": "last_price_collar: Price(44) 149 is over 1 % from the last price 151 "
        "(symbol AAPL, limits.csv line 4)",
        "match": "self_match: would trade with a sell at 152 (the firm, limits.csv line 2)",
        "hours": f"market_hours: LATER is closed, it opens at {opens:%Y-%m-%d} 00:00 UTC (00:00 UTC)",
    }
    assert refused("B") == told
    house.stop()
    house.start()
    house.up("CLIENT1", "BROKER1")
    assert refused("C") == told
    client.send("35=F|11=D1|41=A3|55=AAPL|54=2|38=100")
    assert broker.expect("F")[54] == "2"
    house.stop()
    house.check_chain()
