"""Limits on projections through real sessions: refused with numbers and row; the totals outlive a restart."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from typing import Any

from click.testing import CliRunner

from oms.cli.main import oms
from oms.ledger.database import engine as ledger_engine
from oms.ledger.replay import verify_tables
from tests.system.house import House
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
