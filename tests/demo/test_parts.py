"""Interrupts that are put off, processes that are always ended, and kills that are seeded."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from oms.demo.chaos import GATEWAY_KILLS, kills
from oms.demo.interrupts import Interrupts
from oms.demo.place import Place, opened
from oms.demo.processes import Child, DemoFailure, Processes

STATUS = "import json, sys, time; print(json.dumps({'orders': 3}), flush=True); "
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + STATUS + "time.sleep(60)"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with opened(tmp_path / "demo") as place:
        place.write()
        yield place


@pytest.fixture
def processes(place: Place, monkeypatch: pytest.MonkeyPatch) -> Processes:
    """Processes that run a line of Python in place of `oms`."""
    real = sys.executable
    fake = place.directory / "python"
    fake.write_text(f'#!/bin/sh\nshift 2\nexec "{real}" -c "$1"\n')
    fake.chmod(0o755)
    monkeypatch.setattr("oms.demo.processes.sys.executable", str(fake))
    return Processes(place, Interrupts())


def has_said(child: Child) -> bool:
    return child.status == {"orders": 3}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_every_way_to_end_the_demo_is_an_interrupt(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), Interrupts():
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


def test_an_interrupt_is_put_off_until_a_process_is_known() -> None:
    done: list[str] = []

    def start(interrupts: Interrupts) -> None:
        with interrupts.held():
            os.kill(os.getpid(), signal.SIGTERM)
            done.append("started")
        done.append("never reached")

    with Interrupts() as interrupts, pytest.raises(KeyboardInterrupt):
        start(interrupts)
    assert done == ["started"]


def test_the_last_status_line_of_a_process_is_kept(processes: Processes) -> None:
    with processes:
        child = processes.start("broker", STATUS + "time.sleep(60)")
        processes.wait_until(lambda: has_said(child), 10, "its status")
    assert child.ended == -signal.SIGTERM


def test_a_process_that_does_not_stop_is_killed(processes: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oms.demo.processes.STOP_SECONDS", 0.3)
    with processes:
        child = processes.start("broker", STUBBORN)
        processes.wait_until(lambda: has_said(child), 10, "its status")
    assert child.ended == -signal.SIGKILL


def test_a_process_is_killed_where_ending_it_is_interrupted(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(child: Child, seconds: float) -> bool:
        monkeypatch.undo()
        raise KeyboardInterrupt

    child = processes.start("broker", STUBBORN)
    processes.wait_until(lambda: has_said(child), 10, "its status")
    monkeypatch.setattr(Child, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        processes.end("broker")
    assert child.ended == -signal.SIGKILL


def test_a_process_that_ends_by_itself_is_told_with_the_end_of_its_log(processes: Processes) -> None:
    with processes:
        child = processes.start("gateway", "import sys; sys.exit('oms: port 5201 is taken')")
        with pytest.raises(DemoFailure) as failure:
            processes.wait_until(lambda: False, 10, "never")
    assert str(failure.value) == (
        f"gateway ended by itself (exit code 1); the end of {child.log}:\n    oms: port 5201 is taken"
    )


def test_what_does_not_come_in_time_is_told(processes: Processes) -> None:
    with processes:
        processes.start("gateway", "import time; time.sleep(60)")
        with pytest.raises(DemoFailure) as failure:
            processes.wait_until(lambda: False, 0.1, "the gateway to open")
    assert str(failure.value).startswith("waited 0 s in vain: the gateway to open; see the logs in ")


def test_kills_are_seeded_in_order_and_leave_orders_before_and_after() -> None:
    assert kills(5) == kills(5) != kills(6)
    for seed in range(200):
        made = kills(seed)
        shares = [kill.share for kill in made]
        assert shares == sorted(shares)
        assert 0.1 < shares[0] < shares[-1] < 0.9
        assert sorted(kill.victim for kill in made) == ["Postgres"] + ["gateway"] * GATEWAY_KILLS
