"""kill -9 of the gateway while it starts, at each step of its recovery, with orders under way (I1, I2, I3).

`scripts/crash_matrix` does each step by itself; here the starts that die follow one another, each on what the one
before left.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from oms.crashpoints import START_STEPS
from tests.system.house import House
from tests.system.nursery import Nursery
from tests.system.under_way import UnderWay

pytestmark = pytest.mark.system
MakeHouse = Callable[..., House]


def test_kills_at_every_step_of_the_starts_after_a_kill_neither_lose_nor_double_anything(
    make_house: MakeHouse, nursery: Nursery
) -> None:
    house = make_house({"CLIENT1": "4.4"}, {"BROKER1": "4.4"})
    house.peer("BROKER1")
    process = house.fork(nursery)
    client, broker = house.up("CLIENT1", "BROKER1")
    way = UnderWay(house, client, broker, "A")
    way.begin()
    process.crash_at("committed", 2)
    way.act()
    process.wait()
    for step in (*START_STEPS, "taken", "committed", "delivered", "caught_up"):
        started, said = nursery.try_start(house.config_file, f"{step}:1")
        if started is not None:  # it was open before it came there
            started.wait()
        assert said in ("", "it died"), step
    house.fork(nursery)
    house.until_logged_on("CLIENT1", "BROKER1")
    way.finish()
    way.check()
    house.check_chain()
