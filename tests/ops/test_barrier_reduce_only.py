"""The barrier and a kill that is reduce-only: what was decided before the core judged by it does not leave."""

from __future__ import annotations

import tempfile
from pathlib import Path

from oms.core.kill import Kill
from oms.ops.barrier import Barrier
from tests.core.desk import Desk

KILL = Kill("K1", (), "ann", "why", reduce_only=True)


def test_only_what_was_decided_after_the_core_judged_by_it_leaves_also_after_a_restart() -> None:
    desk = Desk()
    desk.new("A1")
    row = desk.book.take_seq()  # that of the command
    desk.new("A2")
    stopped = "kill switch K1 is engaged for the firm (reduce-only)"
    with tempfile.TemporaryDirectory(prefix="oms-tests-") as made:
        barrier = Barrier(True, desk.book, Path(made) / "kills.json")
        barrier.engage(KILL)
        assert [barrier.why_not(desk.to_broker(one)) for one in ("A1", "A2")] == [stopped, stopped]
        barrier.judged_from("K1", row)
        again = Barrier(True, desk.book, Path(made) / "kills.json")
        assert again.kills == barrier.kills == (KILL._replace(since=row),)
        for one in (barrier, again):
            assert [one.why_not(desk.to_broker(name)) for name in ("A1", "A2")] == [stopped, ""]
        again.release("K1")
        assert again.why_not(desk.to_broker("A1")) == ""
