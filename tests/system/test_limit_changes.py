"""Limits changed while orders come: through sessions, commands, two people, crashes and starts."""

from __future__ import annotations

import getpass
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy.engine import make_url

from oms.errors import OperatorError
from oms.ops.control import call
from oms.ops.limit_set import as_parts, read_new, set_of
from tests.system.commands import answer, replays, said
from tests.system.house import House, until
from tests.system.nursery import Nursery
from tests.system.people import ANN, BOB, OPERATORS, Terminal
from tests.system.test_trading_switch import works
from tests.system.words import new_order, report

MakeHouse = Callable[..., House]
TOML = '[files]\nlimits = "limits.csv"\n'
UNSETTLED = "SELECT FROM journal AS j WHERE kind = 'out' AND NOT EXISTS (SELECT FROM sends AS s WHERE s.seq = j.seq)"
OLD = "control,client,account,symbol,value\nmax_open_orders,CLIENT1,,,2\n"
# Another projection: the totals it looks at are not kept before it is applied.
NEW = f"{OLD}max_position,,FUND1,AAPL,250\n"


def house_with(make_house: MakeHouse, toml: str = TOML) -> House:
    house = make_house(toml=toml)
    (house.directory / "limits.csv").write_text(OLD)
    return house


def file_of(house: House, text: str, name: str = "new.csv") -> str:
    file = house.directory.parent / name
    file.write_text(text)
    return str(file)


def filled(house: House, cl_ord_id: str) -> None:
    """100 shares bought."""
    client, broker = house.peer("CLIENT1"), house.peer("BROKER1")
    client.send(new_order(cl_ord_id))
    asked = broker.expect("D")
    broker.send(report(broker, asked, "F", f"F-{cl_ord_id}", cum=100, last=(100, "150.00"), avg="150"))
    client.expect("8", ClOrdID=cl_ord_id, ExecType="F")


def refused(house: House, cl_ord_id: str) -> str:
    client = house.peer("CLIENT1")
    client.send(new_order(cl_ord_id))
    return str(client.expect("8", ClOrdID=cl_ord_id, ExecType="8")[58])


def in_force(house: House) -> dict[str, Any]:
    found: dict[str, Any] = answer(house, "limits show")
    return {one["control"]: one["value"] for one in found["limits"]} | {"row": found["row"]}


OVER = "max_position: 300 shares long exceeds 250 (account FUND1, symbol AAPL, new.csv line 3)"


def test_a_new_projection_counts_what_was_before_it_and_holds_over_a_start_that_finds_other_files(
    make_house: MakeHouse,
) -> None:
    house = house_with(make_house)
    house.start()
    house.up("CLIENT1", "BROKER1")
    filled(house, "A1")
    works(house, "A2")
    new = file_of(house, NEW)
    compared = answer(house, f"limits diff {new} --rehearse", code=1)
    assert compared["summary"] == "1 added"
    assert compared["changes"][0] == {
        "kind": "added", "control": "max_position", "scope": "account FUND1, symbol AAPL", "before": "",
        "after": "250", "raises": False, "row": "new.csv line 3",
    }  # fmt: skip
    assert (compared["rehearsal"]["judged"], compared["rehearsal"]["differing"]) == (2, [])
    done = answer(house, f"limits apply {new}", "--reason", "too long in AAPL")
    assert done["summary"] == "1 added"
    assert refused(house, "A3") == OVER
    asked = "risk explain --client CLIENT1 --account FUND1 --symbol AAPL --qty 100 --price 150"
    assert OVER.removeprefix("max_position: ") in answer(house, asked, code=1)["verdict"]
    (row,) = house.rows("SELECT seq, detail -> 'matter' AS matter FROM journal WHERE msg_type = 'limits.apply'")
    args = dict(row["matter"][2])
    assert (row["matter"][0], args["text"], args["sha256"]) == (getpass.getuser(), "too long in AAPL", done["sha256"])
    assert args["changes"] == "added max_position for account FUND1, symbol AAPL: 250"
    assert in_force(house) == {
        "max_order_qty": "1000000", "max_order_notional": "1000000000", "max_open_orders": "2",
        "max_position": "250", "row": row["seq"],
    }  # fmt: skip
    code, text = said(house, f"limits apply {new}", "--reason", "again")
    assert (code, "these limits are in force already" in text) == (2, True)
    house.stop()

    house.start()
    house.up("CLIENT1", "BROKER1")
    assert refused(house, "A4") == OVER
    findings = answer(house, "health")["findings"]
    (note,) = [one["text"] for one in findings if one["about"] == "limits"]
    assert f"(journal row {row['seq']}) are in force; the files say otherwise (1 removed)" in note
    assert "the files say otherwise" in said(house, "start-report")[1]
    changes = answer(house, "limits history")
    assert (changes[0]["row"], changes[0]["summary"]) == (row["seq"], "1 added")
    # The files say the same now, and from then on they count.
    (house.directory / "limits.csv").write_text(NEW)
    house.stop()
    house.start()
    assert in_force(house)["row"] == 0
    house.stop()
    replays(house)


def test_a_raise_needs_a_second_person_and_a_lower_limit_none(
    make_house: MakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal(monkeypatch)
    house = house_with(make_house, TOML + OPERATORS + 'two_people = ["limits.apply"]\n')
    house.start()
    higher = file_of(house, OLD.replace(",2\n", ",5\n"))
    lower = file_of(house, OLD.replace(",2\n", ",1\n"), "low.csv")
    with terminal.of(ANN):
        proposed = answer(house, f"limits apply {higher}", "--reason", "large order")
        assert in_force(house)["max_open_orders"] == "2"
        code, text = said(house, f"approvals approve {proposed['proposal_id']} --hash {proposed['hash']}")
        assert (code, "proposed" in text and "cannot approve it" in text) == (2, True)
        shown = answer(house, f"approvals show {proposed['proposal_id']}")["contents"]
        assert shown["changes"] == "raised max_open_orders for client CLIENT1: 2 to 5"
    with terminal.of(BOB):
        said(house, f"approvals approve {proposed['proposal_id']} --hash {proposed['hash']}")
    now = in_force(house)
    assert now["max_open_orders"] == "5"
    (row,) = house.rows("SELECT detail -> 'matter' AS matter FROM journal WHERE seq = %s", now["row"])
    assert (row["matter"][0], dict(row["matter"][2])["proposer"]) == ("bob", "ann")
    with terminal.of(ANN):
        again = answer(house, f"limits apply {file_of(house, OLD.replace(',2', ',9'))}", "--reason", "more")
        answer(house, f"limits apply {lower}", "--reason", "less")  # at once, by one
        assert in_force(house)["max_open_orders"] == "1"
    with terminal.of(BOB):
        code, text = said(house, f"approvals approve {again['proposal_id']} --hash {again['hash']}")
    assert (code, "other limits are in force by now" in text) == (2, True)
    assert in_force(house)["max_open_orders"] == "1"
    house.stop()
    replays(house)


@pytest.mark.parametrize("step", ["taken", "committed"])
def test_after_kill_9_in_the_middle_either_the_old_or_the_new_limits_count_as_a_whole(
    make_house: MakeHouse, nursery: Nursery, step: str
) -> None:
    house = house_with(make_house)
    process = house.fork(nursery)
    house.up("CLIENT1", "BROKER1")
    works(house, "A1")
    house.until(f"SELECT WHERE NOT EXISTS ({UNSETTLED})")
    new = read_new(Path(file_of(house, NEW.replace(",2", ",1"))), set_of(house.config))
    sha256, (part,) = as_parts(new.packed())
    call(house.directory / "state", "limits.part", {"sha256": sha256, "number": "0", "text": part})
    process.crash_at(step, 2)  # the first is the row that brings the set
    with pytest.raises(OperatorError, match=r"without an answer|did not answer"):
        call(house.directory / "state", "limits.apply", {"sha256": sha256, "text": "less"})
    process.wait()
    rows = house.rows("SELECT msg_type FROM journal WHERE msg_type LIKE 'limits.%%' ORDER BY seq")
    committed = step == "committed"
    assert [row["msg_type"] for row in rows] == ["limits.stage", *(["limits.apply"] if committed else [])]
    house.start()
    found = in_force(house)
    assert (found["max_open_orders"], "max_position" in found) == (("1", True) if committed else ("2", False))
    house.stop()
    replays(house)


def test_hostile_files_are_refused_with_line_and_remedy_and_change_nothing(make_house: MakeHouse) -> None:
    house = house_with(make_house)
    house.start()
    hostile: dict[str, tuple[str | bytes, str]] = {
        "huge": (b"x" * 4_100_000, "is larger than 4,000,000 bytes"),
        "number": (OLD.replace(",2\n", ",1e999\n"), 'line 2 value: "1e999" is no value of max_open_orders; write a'),
        "below": (OLD.replace(",2\n", ",-5\n"), "line 2: '-5' begins as a formula does; write the value"),
        "nul": (OLD.replace("CLIENT1", "CLI\x00ENT1"), "line 2: a NUL byte; save it as plain text"),
        "twice": (OLD + OLD.splitlines()[1] + "\n", "line 3: for the same orders and days as line 2; keep one"),
        "formula": (OLD.replace("CLIENT1", "\"=cmd|' /C calc'!A0\""), "line 2: "),
        "long": (OLD.replace("CLIENT1", "C" * 5_000), "line 2: a value of 5000 characters; shorten it to 200"),
        "unknown": (OLD.replace("max_open_orders", "max_open_order"), "did you mean max_open_orders?"),
        "bytes": (b"\xff\xfe\x00", "is not UTF-8 text (byte 0); save it as UTF-8 text"),
        "empty": ("", "empty; begin with the header line"),
        "rows": (OLD + "max_open_orders,C,,,1\n" * 60_000, "more than 50000 lines; use patterns"),
    }
    for name, (content, words) in hostile.items():
        file = house.directory.parent / f"{name}.csv"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        code, text = said(house, f"limits apply {file}", "--reason", "x")
        assert (code, words in text, len(text) < 5_000) == (2, True, True), (name, text)
    for name, target in (("device", "/dev/zero"), ("folder", "/proc/self/fd"), ("loop", "loop")):
        link = Path(file_of(house, "", name))
        link.unlink()
        link.symlink_to(target)
        assert said(house, f"limits apply {link}", "--reason", "x")[0] == 2
    pipe = house.directory.parent / "pipe"
    os.mkfifo(pipe)
    assert "is no plain file" in said(house, f"limits apply {pipe}", "--reason", "x")[1]
    state = house.directory / "state"
    for args in (
        {"sha256": "0" * 64, "text": "x"},
        {"sha256": "", "text": "x"},
        {"text": "x"},
    ):
        with pytest.raises(Exception, match="did not come whole"):
            call(state, "limits.apply", args)
    assert in_force(house)["max_open_orders"] == "2"
    assert house.rows("SELECT FROM journal WHERE msg_type LIKE 'limits.%%' AND kind = 'operator'") == []
    assert json.loads(said(house, "limits history --json")[1])[0]["summary"] == "a start"
    house.stop()


FULL = """CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
IF NEW.msg_type = 'limits.apply' THEN RAISE EXCEPTION 'No space left on device' USING ERRCODE = 'disk_full'; END IF;
RETURN NEW; END $$; CREATE TRIGGER full_disk BEFORE INSERT ON journal FOR EACH ROW EXECUTE FUNCTION full_disk()"""


def test_a_full_disk_and_a_ledger_that_is_gone_leave_the_old_limits_or_give_the_new_ones_whole(
    make_house: MakeHouse,
) -> None:
    house = house_with(make_house)
    gateway = house.start()
    client, broker = house.up("CLIENT1", "BROKER1")
    filled(house, "A1")
    new = file_of(house, NEW.replace(",250", ",150"))
    url = make_url(house.url)
    other = url.set(database="postgres").render_as_string(hide_password=False)
    with psycopg.connect(house.url, autocommit=True) as ledger, psycopg.connect(other, autocommit=True) as server:
        # No totals can be read for the new projection.
        server.execute(f"ALTER DATABASE {url.database} ALLOW_CONNECTIONS false".encode())
        code, text = said(house, f"limits apply {new}", "--reason", "less")
        server.execute(f"ALTER DATABASE {url.database} ALLOW_CONNECTIONS true".encode())
        assert (code, "oms: nothing was changed: database" in text) == (2, True)
        assert (in_force(house)["row"], "max_position" in in_force(house)) == (0, False)
        # Its row finds no room: what came after it waits as well, and nothing is answered.
        ledger.execute(FULL.encode())
        found: list[Any] = []
        asker = threading.Thread(
            target=lambda: found.append(answer(house, f"limits apply {new}", "--reason", "less"))
        )
        asker.start()
        until(lambda: gateway._committer.outage, "the disk is full")
        client.send(new_order("A2"))
        assert (found, house.rows("SELECT FROM journal WHERE msg_type = 'limits.apply'")) == ([], [])
        ledger.execute(b"DROP FUNCTION full_disk CASCADE")
    asker.join(20)
    assert found[0]["summary"] == "1 added"
    told = client.expect("8", ClOrdID="A2", ExecType="8")[58]
    assert told == "max_position: 200 shares long exceeds 150 (account FUND1, symbol AAPL, new.csv line 3)"
    assert [one for one in broker.received if one.type == "D"][1:] == []
    house.stop()
    replays(house)
