"""The message stores' disk is full: nothing leaves unstored, nothing is lost, and it is said what is wrong (I2).

A limit on the size of the gateway's files stands for the full disk: the engine's write fails in the same place, after
a part of it was taken, and the limit needs no file system of its own. It is set and lifted from outside.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import psutil
import pytest

from oms.fix.store import mend_torn
from tests.system.house import House
from tests.system.nursery import Nursery
from tests.system.test_crash import MakeHouse, agree, orders
from tests.system.words import new_order, report

pytestmark = pytest.mark.system
LONG = "a" * 4000  # makes a store larger than the gateway's log, for which the limit holds too


def no_room(house: House) -> None:
    """From now on the gateway cannot write one more message into the store of any session."""
    assert house.process is not None
    specs = house.config.sessions.values()
    sizes = [(spec.store_path / f"{spec.store_prefix}.body").stat().st_size for spec in specs]
    psutil.Process(house.process.pid).rlimit(psutil.RLIMIT_FSIZE, (min(sizes) + 10, psutil.RLIM_INFINITY))


def test_a_full_disk_halts_the_gateway_which_says_so_and_the_next_start_sends_what_was_not_sent(
    make_house: MakeHouse, nursery: Nursery
) -> None:
    house = make_house({"CLIENT1": "4.4"}, {"BROKER1": "4.4"})
    house.peer("BROKER1")
    process = house.fork(nursery)
    client, broker = house.up("CLIENT1", "BROKER1")
    client.send(new_order("A1", more=f"58={LONG}"))
    asked = broker.expect("D")
    broker.send(report(broker, asked, "0", "X1", more=f"58={LONG}"))
    assert client.expect("8")[150] == "0"

    no_room(house)
    client.send(new_order("A2"))
    broker.send(report(broker, asked, "F", "X2", cum=40, last=(40, "150"), avg="150"))
    process.wait()
    said = (house.directory / "gateway.log").read_text()
    assert "cannot be written" in said
    assert "make room on that disk" in said
    broker.expect_nothing()
    client.expect_nothing()
    assert house.rows("SELECT FROM sends WHERE outcome = 'refused'") == []

    house.fork(nursery)
    house.until_logged_on("CLIENT1", "BROKER1")
    assert client.expect("8", 20)[14] == "40"
    second = broker.expect("D", 20)
    broker.send(report(broker, second, "F", "X3", cum=100, last=(100, "150"), avg="150"))
    assert client.expect("8")[39] == "2"
    assert orders(broker) == [asked[11], second[11]]
    agree(house, client, broker, [("X2", Decimal(40)), ("X3", Decimal(100))])


def test_a_start_without_room_for_the_stores_is_refused_with_the_remedy(
    make_house: MakeHouse, nursery: Nursery
) -> None:
    house = make_house({"CLIENT1": "4.4"}, {"BROKER1": "4.4"})
    with nursery.no_file_larger_than(20_000):
        started, error = nursery.try_start(house.config_file)
    assert started is None
    assert error.startswith("the message stores in ")
    assert error.endswith(
        " cannot be written: File too large; make room on that disk, or let this user write there, and start again"
    )


def test_an_entry_that_a_full_disk_tore_is_cut_off_so_that_what_follows_can_be_read(tmp_path: Path) -> None:
    """The engine would write the next entry into the torn one, and at its next start read neither."""
    prefix = tmp_path / "FIX.4.4-OMS-CLIENT1"
    header = tmp_path / "FIX.4.4-OMS-CLIENT1.header"
    assert not mend_torn(prefix)
    header.write_text("1,0,81 2,81,200 ")
    assert not mend_torn(prefix)
    header.write_text("1,0,81 2,81,200 3,281,2")
    assert mend_torn(prefix)
    assert header.read_text() == "1,0,81 2,81,200 "
