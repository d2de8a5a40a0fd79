"""What a restart makes of the ledger's rows is what the core had: after every scenario, for every child order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from oms.certify.scenario import Run, load_all, runs
from oms.core.executions import Told
from oms.core.order import Child
from oms.ledger.rebuild import take_reports
from tests.core.driver import BROKER
from tests.core.scenario_play import Play

RUNS = [run for scenario in load_all() for run in runs(scenario)]


@pytest.mark.parametrize("run", RUNS, ids=[run.name for run in RUNS])
def test_what_has_traded_is_the_same_after_a_restart(run: Run) -> None:
    play = Play(run)
    play.play()
    for order in play.driver.book.orders.values():
        for child in order.children:
            empty = replace(child, executions={}, exec_ids=set(), booked={}, kept={}, told=Told(), life_cum_qty=None)
            take_reports([empty], fills_of(play, child), reports_of(play, order.order_id))
            assert empty == child


def fills_of(play: Play, child: Child) -> list[dict[str, Any]]:
    """Rows of the fill ledger, as a query gives them."""
    return [one._asdict() for one in play.driver.fills if one.child_id == child.child_id]


def reports_of(play: Play, order_id: str) -> list[dict[str, Any]]:
    """The journal's rows of a broker's reports on an order, as a query gives them."""
    return [
        {"seq": seq, "order_id": order_id, "session": session, "raw": raw.encode(), "detail": detail}
        for (session, msg_type, raw, about), (seq, _, detail) in zip(play.raws, play.driver.events, strict=True)
        if session == BROKER and msg_type == "8" and about == order_id
    ]
