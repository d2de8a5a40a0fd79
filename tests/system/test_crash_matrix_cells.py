"""What the crash matrix plays: each cell has a name of its own and somebody who plays it, and `--only` finds it."""

from __future__ import annotations

from matrixlib.cells import cells, chosen
from matrixlib.matrix import Matrix
from oms.crashpoints import COMMITTER_STEPS, START_STEPS, STEPS


def names(*patterns: str) -> list[str]:
    return [cell.name for cell in chosen(patterns)]


def test_every_cell_has_a_name_of_its_own_and_a_way_to_be_played() -> None:
    found = [cell.name for cell in cells()]
    assert len(set(found)) == len(found) > 40
    assert [cell.name for cell in cells() if not callable(getattr(Matrix, cell.act, None))] == []


def test_every_step_of_the_flow_the_committer_and_the_start_has_a_cell() -> None:
    assert {cell.step for cell in cells() if cell.place == "flow"} >= {*STEPS, *COMMITTER_STEPS}
    assert {cell.step for cell in cells() if cell.place == "start"} >= set(START_STEPS)


def test_cells_are_chosen_by_step_by_place_and_step_and_by_pattern() -> None:
    assert names("committed") == ["flow/committed", "start/committed"]
    assert names("postgres/disk_full", "aligned") == ["start/aligned", "postgres/disk_full"]
    assert names("line/*_stalled") == ["line/client_stalled", "line/broker_stalled"]
    assert names("nothing") == []
