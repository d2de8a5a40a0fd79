"""A broker's end-of-day file against the ledger, by the command and a running gateway."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from oms.ledger.database import engine as ledger_engine
from oms.ledger.replay import verify_tables
from oms.sim.peer import FixPeer
from oms.sim.wire import Message
from tests.system.commands import answer, said
from tests.system.house import House
from tests.system.words import new_order, report

MakeHouse = Callable[..., House]
DAY = ("--trade-date", "2026-03-02")
HEAD = "ExecID,ClOrdID,Symbol,Side,LastQty,LastPx,Account,TradeDate,TransactTime\n"


def working(client: FixPeer, broker: FixPeer, cl_ord_id: str, more: str = "") -> Message:
    """An order of 100 that the broker has acknowledged."""
    client.send(new_order(cl_ord_id, more=more))
    asked = broker.expect("D")
    broker.send(report(broker, asked, "0", f"N-{cl_ord_id}"))
    client.expect("8", ClOrdID=cl_ord_id, ExecType="0")
    return asked


def told(broker: FixPeer, asked: Message, exec_id: str, cum: int, **given: str) -> None:
    """A fill of 10 at 150, or what `given` says, at a second of 2026-03-02."""
    kind, qty, ref = given.get("kind", "F"), given.get("qty", "10"), given.get("ref", "")
    at = f"60=20260302-13:00:{given.get('second', cum):>02}"
    last = (qty, given.get("px", "150"))
    broker.send(report(broker, asked, kind, exec_id, ord_status="1", cum=cum, last=last, avg="150", ref=ref, more=at))


def line(asked: Message, exec_id: str, second: int | str, qty: int = 10, px: str = "150") -> str:
    """A line of the file."""
    return f"{exec_id},{asked[11]},AAPL,1,{qty},{px},FUND1,20260302,20260302-13:00:{second:>02}\n"


def write(house: House, name: str, *lines: str) -> str:
    """A file of executions; its path."""
    path: Path = house.directory / name
    path.write_text(HEAD + "".join(lines))
    return str(path)


def check_replay(house: House) -> None:
    """The journal gives the tables."""
    made = ledger_engine(house.url, read_only=True)
    try:
        found = verify_tables(made)
    finally:
        made.dispose()
    assert found.differences == []
    assert found.compared["witnesses"] == len(house.rows("SELECT FROM witnesses"))


def test_a_file_confirms_fills_raises_breaks_and_a_better_one_closes_them(
    make_house: MakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = make_house(brokers={"BROKER1": "4.4"})
    house.peer("BROKER1")
    house.start()
    client, broker = house.up("CLIENT1", "BROKER1")
    asked = working(client, broker, "A1")
    told(broker, asked, "f1", 10)
    told(broker, asked, "f2", 20)
    told(broker, asked, "g2", 25, kind="G", ref="f2", qty="15")
    told(broker, asked, "f3", 35)
    told(broker, asked, "h3", 25, kind="H", ref="f3")
    told(broker, asked, "f4", 35, second="40")  # not in the file
    told(broker, asked, "f5", 45)  # the file has another price
    told(broker, asked, "f6", 55, second="50")
    told(broker, asked, "f7", 65, second="51")  # as f6, and not in the file
    house.until("SELECT FROM fills WHERE exec_id = 'f7'")
    lines = [line(asked, "f1", 10), line(asked, "f2", 20, 15), line(asked, "f6", 50)]
    worse = write(house, "day.csv", *lines, line(asked, "f5", 45, px="150.5"), line(asked, "f9", 58, 20))

    found = answer(house, "reconcile file BROKER1", worse, *DAY, code=1)
    assert (found["lines"], found["fills"], [one["exec_id"] for one in found["matched"]]) == (
        5, 6, ["f1", "f2", "f6"],
    )  # fmt: skip
    order_id = house.rows("SELECT order_id FROM client_orders")[0]["order_id"]
    assert [(one["kind"], one["exec_id"], one["line"], one["order_id"]) for one in found["breaks"]] == [
        ("file_mismatch", "f5", 5, order_id),
        ("file_missing_here", "f9", 6, ""),
        ("file_missing_there", "f4", None, order_id),
        ("file_duplicate", "f7", None, order_id),
    ]
    seq = house.rows("SELECT seq FROM fills WHERE exec_id = 'f5'")[0]["seq"]
    assert found["breaks"][0]["text"] == (
        "BROKER1's file: LastPx(31) differs: the file has ExecID(17) f5, 10 at 150.5, Symbol(55) AAPL, Side(54) 1"
        f" (line 5), the ledger ExecID(17) f5, 10 at 150, Symbol(55) AAPL, Side(54) 1 (journal row {seq})"
    )
    done = found["gateway"]
    assert (done["witnesses"], done["opened"], done["closed"], done["done"], done["problems"]) == (3, 4, 0, [], [])
    assert sorted(house.items()) == [
        ("file_duplicate", "warning", "BROKER1"),
        ("file_mismatch", "error", "BROKER1"),
        ("file_missing_here", "error", "BROKER1"),
        ("file_missing_there", "error", "BROKER1"),
    ]
    by_file = {
        one["exec_id"]: [by["agrees"] for by in one["witnesses"] if by["witness"] == "file"]
        for one in answer(house, "fills list")
    }
    assert by_file == {
        "f1": [True], "f2": [], "g2": [True], "f3": [], "h3": [], "f4": [], "f5": [], "f6": [True], "f7": [],
    }  # fmt: skip

    again = answer(house, "reconcile file BROKER1", worse, *DAY, code=1)  # says nothing new
    assert (again["already_open"], again["gateway"]["witnesses"], again["gateway"]["opened"]) == (4, 0, 0)
    better = write(house, "late.csv", *lines, *(line(asked, f"f{one}", 40) for one in (4, 5, 7)))
    closed = answer(house, "reconcile file BROKER1", better, *DAY)
    assert (closed["breaks"], closed["gateway"]["witnesses"], closed["gateway"]["closed"]) == ([], 3, 4)
    assert house.rows("SELECT FROM exception_items WHERE state = 'open'") == []
    monkeypatch.setattr("oms.cli.reconcile_file._PART", 500)  # in several parts
    third = answer(house, "reconcile file BROKER1", worse, *DAY, code=1)  # what was closed is raised anew
    assert third["gateway"]["opened"] == 4

    rounds = answer(house, "reconcile list --broker BROKER1")
    rounds = [one for one in rounds if one["source"] == "file"]  # the broker is asked too, once it is on for a while
    assert [(one["source"], one["matched"], one["counts"], one["ended"]) for one in rounds] == [
        ("file", 3, {"differing": 3, "missing_here": 1}, "complete"),
        ("file", 6, {"differing": 0, "missing_here": 0}, "complete"),
        ("file", 3, {"differing": 3, "missing_here": 1}, "complete"),
        ("file", 3, {"differing": 3, "missing_here": 1}, "complete"),
    ]
    assert len(house.rows("SELECT FROM journal WHERE order_id = %s", rounds[0]["round_id"])) > 2
    for one in (rounds[0], rounds[-1]):
        shown = answer(house, "reconcile show", one["round_id"], code=1)
        assert [one["kind"] for one in shown["evidence"]] == [one["kind"] for one in found["breaks"]]
    assert "6 in the ledger, 5 lines in the file, 3 agree" in said(house, "reconcile show", rounds[0]["round_id"])[1]
    assert len(house.rows("SELECT FROM fills")) == 9  # nothing was booked
    check_replay(house)
    house.check_chain()

    house.stop()
    before = house.rows("SELECT max(seq) FROM journal")
    code, text = said(house, "reconcile file BROKER1", better, *DAY)
    assert (code, text.splitlines()[-1]) == (
        0, "No gateway runs: nothing was recorded. Start it with `oms run` and repeat, to keep this.",
    )  # fmt: skip
    assert house.rows("SELECT max(seq) FROM journal") == before


def test_a_bad_file_gets_an_answer_and_changes_nothing(make_house: MakeHouse) -> None:
    house = make_house(brokers={"BROKER1": "4.4", "BROKER2": "4.4"})
    for name in house.brokers:
        house.peer(name)
    house.start()
    client, broker, _ = house.up("CLIENT1", "BROKER1", "BROKER2")
    asked = working(client, broker, "A1")
    told(broker, asked, "f1", 10)
    house.until("SELECT FROM fills")
    before = house.rows("SELECT max(seq) FROM journal")
    good = write(house, "good.csv", line(asked, "f1", 10))
    assert said(house, "reconcile file BROKER2", good, *DAY) == (
        2,
        "oms: good.csv, line 2: no ExecID(17) of it is BROKER2's, and 1 are BROKER1's; if it is the file of BROKER1,"
        " give that name. Nothing was compared.\n",
    )
    assert said(house, "reconcile file BROKER1", good, "--trade-date", "2026-03-03") == (
        2,
        "oms: good.csv, line 2: the trade date is 2026-03-02, not 2026-03-03; to compare that day give --trade-date"
        " 2026-03-02. Nothing was compared.\n",
    )
    code, text = said(house, "reconcile file BROKER9", good, *DAY)
    assert (code, text) == (2, "oms: there is no broker session BROKER9; there are: BROKER1, BROKER2\n")
    code, text = said(house, "reconcile file BROKER1", str(house.directory / "none.csv"), *DAY)
    assert (code, "No such file" in text) == (2, True)
    assert house.rows("SELECT max(seq) FROM journal") == before
    assert house.rows("SELECT FROM exception_items") == house.rows("SELECT FROM witnesses") == []


def test_a_break_blocks_and_positions_are_compared(make_house: MakeHouse) -> None:
    policy = {"[tags]": '[reconcile]\non_break = "block"\n[file.values]\nside = { "BUY" = "1" }\n[tags]'}
    house = make_house(brokers={"BROKER1": "4.4"}, dialect=policy)
    house.peer("BROKER1")
    house.start()
    client, broker = house.up("CLIENT1", "BROKER1")
    asked = working(client, broker, "A1")
    told(broker, asked, "f1", 10)
    house.until("SELECT FROM fills")
    positions = house.directory / "positions.csv"
    positions.write_text("Account,Symbol,LongQty,ShortQty\nFUND1,AAPL,10,0\n")
    today = ("--positions",)
    assert answer(house, "reconcile file BROKER1", str(positions), *today)["breaks"] == []
    positions.write_text("Account,Symbol,LongQty,ShortQty\nFUND1,AAPL,0,5\nFUND1,SAP,7,0\n")
    found = answer(house, "reconcile file BROKER1", str(positions), *today, code=1)
    assert [one["text"] for one in found["breaks"]] == [
        "BROKER1's file of positions: Account(1) FUND1, Symbol(55) AAPL: -5 (line 2), ours 10",
        "BROKER1's file of positions: Account(1) FUND1, Symbol(55) SAP: 7 (line 3), ours 0",
    ]
    kills = answer(house, "kill list")
    assert sorted(one["text"] for one in kills) == ["symbol AAPL, broker BROKER1", "symbol SAP, broker BROKER1"]
    file = write(house, "day.csv", line(asked, "f8", 10).replace(",1,", ",BUY,"))
    found = answer(house, "reconcile file BROKER1", file, *DAY, code=1)
    assert ([one["kind"] for one in found["breaks"]], found["gateway"]["done"]) == (["file_duplicate"], [])
    client.send(new_order("A2"))
    assert "engaged for symbol AAPL, broker BROKER1" in client.expect("8", ClOrdID="A2", ExecType="8")[58]
    assert house.rows("SELECT FROM client_orders WHERE NOT finished") != []  # not canceled
    check_replay(house)


def test_a_break_cancels_the_working_orders_of_the_symbol(make_house: MakeHouse) -> None:
    house = make_house(brokers={"BROKER1": "4.4"}, dialect={"[tags]": '[reconcile]\non_break = "cancel"\n[tags]'})
    house.peer("BROKER1")
    house.start()
    client, broker = house.up("CLIENT1", "BROKER1")
    asked = working(client, broker, "A1")
    file = write(house, "day.csv", line(asked, "f9", 10))
    order_id = house.rows("SELECT order_id FROM client_orders")[0]["order_id"]
    found = answer(house, "reconcile file BROKER1", file, *DAY, code=1)
    assert found["gateway"]["done"] == [f"cancel sent for {order_id}"]
    assert broker.expect("F")[41] == asked[11]
    check_replay(house)
