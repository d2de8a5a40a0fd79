"""Every start reports what it found, set and opened, also one that is refused; the same ledger, the same report."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner
from sqlalchemy import make_url

from oms.app import Gateway
from oms.cli.main import oms
from oms.config.load import load
from oms.errors import JournalFailure, OperatorError
from tests.system.commands import answer, said
from tests.system.house import House
from tests.system.nursery import Nursery
from tests.system.test_new_machine import ALL_NOTED
from tests.system.words import new_order, report

MakeHouse = Callable[..., House]
TIMES = ("at", "opened_at", "stopped_at", "seconds", "steps")


def told(house: House, *arguments: str) -> dict[str, Any]:
    """The report of a start that came to its end."""
    return dict(answer(house, "start-report", *arguments))


def refusal(house: House) -> dict[str, Any]:
    """The report of the start that was refused last."""
    found = dict(answer(house, "start-report", code=1))
    assert found["outcome"] == "refused"
    return found


def trade(house: House) -> None:
    """One order that works at the broker, and one that is filled."""
    client, broker = house.up("CLIENT1", "BROKER1")
    for cl_ord_id, exec_type in (("A1", "0"), ("A2", "0"), ("A2", "F")):
        if exec_type == "0":
            client.send(new_order(cl_ord_id))
            asked = broker.expect("D")
            broker.send(report(broker, asked, "0", f"N-{cl_ord_id}"))
        else:
            broker.send(report(broker, asked, "F", "F-1", cum=100, last=(100, "150"), avg="150"))
        client.expect("8", ClOrdID=cl_ord_id)


def test_a_start_tells_how_the_run_before_ended_and_what_it_took_up(make_house: MakeHouse, nursery: Nursery) -> None:
    house = make_house()
    house.start()
    first = told(house)
    assert (first["number"], first["outcome"], first["facts"]["stop_before"]) == (1, "open", "first start")
    assert first["facts"]["tail"] == {"batch": 0, "seq": 0, "batches": 0, "rows": 0, "hash": ""}
    assert [one["step"] for one in first["steps"]] == [
        "claim", "connect", "tail", "stores", "ids", "orders", "messages", "totals", "engines", "flow", "align",
        "begin", "kills", "open brokers", "open clients", "tune",
    ]  # fmt: skip
    trade(house)
    house.stop()
    head = house.rows("SELECT batch, last_seq, encode(hash, 'hex') AS hash FROM batches ORDER BY batch DESC LIMIT 1")
    house.fork(nursery).kill()
    second = answer(house, "start-report", code=0)
    facts = second["facts"]
    assert (second["number"], facts["stop_before"], facts["live_orders"]) == (2, "clean", {"working": 1})
    assert (facts["tail"]["batch"], facts["tail"]["seq"], facts["tail"]["hash"]) == tuple(head[0].values())
    assert facts["ids"] == {"client_ids": 2, "fill_ids": 1, "asked_each_time": []}
    client = house.rows("SELECT * FROM session_positions WHERE session = 'CLIENT1'")[0]
    in_store = {"next_in": client["in_msg_seq_num"] + 2, "next_out": client["out_msg_seq_num"] + 2}  # a Logout each
    assert facts["sessions"]["CLIENT1"] == {
        "role": "client",
        "ledger": {"in": client["in_msg_seq_num"], "out": client["out_msg_seq_num"], "resets": 0},
        "messages": {}, "lost": "", "store": in_store, "set_back_to": client["in_msg_seq_num"] + 1,
    }  # fmt: skip
    house.start()
    assert told(house)["facts"]["stop_before"] == "unclean"
    assert told(house, "--number", "1")["stopped_at"] is not None
    _, text = said(house, "start-report")
    assert text.startswith("Start 3 on ")
    assert "stop before     cut off: it wrote no stop" in text
    assert "live orders     1: 1 working" in text
    assert "QuickFIX: dictionaries read, message stores opened" in text
    listed = answer(house, "start-report", "--list")
    assert [(one["number"], one["outcome"]) for one in listed][::2] == [(3, "open"), (1, "open")]
    for nothing in (("--number", "9"), ("--at", "2020-01-01")):
        assert said(house, "start-report", *nothing)[0] == 3


def test_a_start_that_is_refused_is_reported_with_its_reason(make_house: MakeHouse) -> None:
    house = make_house()
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", house.client_port))
        taken.listen()
        with pytest.raises(OperatorError) as caught:
            house.start()
    port = refusal(house)
    assert (port["number"], port["refused"], port["facts"]["refused_in"]) == (1, str(caught.value), "open clients")
    house.start()
    assert told(house)["facts"]["stop_before"] == "refused"
    trade(house)
    house.stop()
    shutil.move(house.directory / "state" / "fix_store", house.directory / "elsewhere")
    with pytest.raises(OperatorError) as caught:
        house.start()
    store = refusal(house)
    assert (store["number"], store["refused"], store["facts"]["refused_in"]) == (3, str(caught.value), "stores")
    assert store["in_journal"]
    house.check_chain()
    shutil.move(house.directory / "elsewhere", house.directory / "state" / "fix_store")
    house.start()
    assert told(house)["facts"]["stop_before"] == "clean"  # what was refused changed nothing


def test_what_cannot_be_journaled_is_reported_from_the_state_directory(make_house: MakeHouse) -> None:
    first, second = make_house(), make_house()
    first.start()
    with pytest.raises(OperatorError) as caught:
        second.start()
    other = refusal(second)
    assert (other["in_journal"], other["facts"]["refused_in"]) == (False, "claim")
    assert other["refused"] == str(caught.value)
    assert "could not write into the ledger" in said(second, "start-report")[1]
    first.stop()
    before = first.rows("SELECT max(seq) AS seq FROM journal")
    database = make_url(first.url).database
    with psycopg.connect(first.url, autocommit=True) as connection:
        connection.execute("ALTER TABLE batches DISABLE TRIGGER ALL")
        connection.execute("UPDATE batches SET hash = '\\x00' WHERE batch = (SELECT max(batch) FROM batches)")
    with pytest.raises(JournalFailure):
        first.start()
    changed = refusal(first)
    assert (changed["in_journal"], changed["facts"]["refused_in"]) == (False, "tail")
    assert "does not match its hash" in changed["refused"]
    assert first.rows("SELECT max(seq) AS seq FROM journal") == before
    first.config_file.write_text(first.config_file.read_text().replace(f"/{database}", "/nowhere"))
    with pytest.raises(OperatorError):
        first.start()
    code, text = said(first, "start-report")
    assert (code, "Refused in the step `right to write the ledger taken" in text) == (1, True)
    assert "the ledger cannot be asked" in text


def test_the_same_ledger_and_stores_are_recovered_in_the_same_way(
    make_house: MakeHouse, nursery: Nursery, tmp_path: Path
) -> None:
    house = make_house()
    house.peer("CLIENT1"), house.peer("BROKER1")
    forked = house.fork(nursery)
    trade(house)
    house.until(ALL_NOTED)  # or it dies of what was sent before
    forked.crash_at("after_send")  # the last message is in the store, and the ledger does not know it
    client, broker = house.peer("CLIENT1"), house.peer("BROKER1")
    client.send(new_order("A3"))
    broker.expect("D")
    forked.wait()
    url = make_url(house.url)
    assert house._ledger is not None
    house._ledger.close()
    reports = []
    for number in (1, 2):
        name = f"{url.database}_{number}"
        copy = tmp_path / f"copy{number}"
        shutil.copytree(house.directory, copy, ignore=shutil.ignore_patterns("arm*", "peers", "*.sock"))
        with psycopg.connect(house.url.replace(f"/{url.database}", "/postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {url.database} STRATEGY FILE_COPY".encode())
        config = copy / "oms.toml"
        config.write_text(config.read_text().replace(f"/{url.database}", f"/{name}"))
        gateway = Gateway(load(config))
        gateway.run(gateway.stop)
        result = CliRunner().invoke(oms, ["start-report", "--json", "--config", str(config)])
        reports.append(json.loads(result.stdout))
    steps = [[step["step"] for step in one["steps"]] for one in reports]
    assert steps[0] == steps[1]
    for one in reports:
        assert one["facts"]["sessions"]["BROKER1"]["messages"] == {"stored": 1}
        for name in TIMES:
            del one[name]
        assert one["facts"]["ledger"].pop("database") != url.database
    assert reports[0] == reports[1]


def test_a_start_on_another_day_goes_on_with_the_numbers_of_before(make_house: MakeHouse) -> None:
    house = make_house()
    house.start()
    trade(house)
    house.stop()
    stores = list((house.directory / "state" / "fix_store").glob("*.session"))
    assert len(stores) == 2
    for store in stores:
        store.write_text("20250303-09:00:00")
    house.start()
    for one in told(house)["facts"]["sessions"].values():
        assert one["store"]["next_out"] > one["ledger"]["out"] > 0
    client, broker = house.up("CLIENT1", "BROKER1")
    assert house.numbers_agree("CLIENT1")
    client.send(new_order("A3"))
    broker.expect("D")
