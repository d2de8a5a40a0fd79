"""All order state scenarios of the FIX standard, every branch, through the pure core; the ids are the runs'."""

from __future__ import annotations

import pytest

from oms.certify.scenario import Run, load_all, runs
from tests.core.scenario_play import Play

RUNS = [run for scenario in load_all() for run in runs(scenario)]


@pytest.mark.parametrize("run", RUNS, ids=[run.name for run in RUNS])
def test_scenario(run: Run) -> None:
    play = Play(run)
    play.play()
    assert set(play.driver.open_items()) == ({"unknown_order"} if run.name == "E.1.a" else set())


@pytest.mark.parametrize("run", RUNS, ids=[run.name for run in RUNS])
def test_scenario_in_which_the_broker_repeats_everything(run: Run) -> None:
    Play(run, twice=True).play()
