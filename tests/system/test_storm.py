"""The crash storm, a short one: it keeps its promises, says so, and leaves no process behind (I1, I2, I3, I6, I7)."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from rich.console import Console

from oms.config.load import load
from oms.crashpoints import STEPS
from oms.demo.comparison import Compared, Difference, Views
from oms.demo.interrupts import Interrupts
from oms.demo.place import opened
from oms.demo.plan import BROKERS, CLIENTS
from oms.demo.progress import Progress
from oms.demo.stage import Options
from oms.ledger.replay import TablesReport
from oms.ledger.snapshot import Snapshot
from oms.ledger.verify import ChainReport
from oms.sim.session import tls_settings
from stormlib.rounds import GATEWAY_DIES, rounds
from stormlib.storm import Storm
from stormlib.verdict import IN_LEDGER, QUANTITIES, TOLD, judge

PARTIES = [one.name for one in (*CLIENTS, *BROKERS)]
ROOT = Path(__file__).parents[2]
SECONDS = 180.0  # some 40 on a quiet machine


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory that Postgres may enter as a user of its own."""
    with tempfile.TemporaryDirectory(prefix="oms-storm-") as name:
        yield Path(name)


def processes_of(directory: Path) -> list[str]:
    """Command lines that name the directory."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = " ".join(process.info["cmdline"] or [])
        if str(directory) in words:
            found.append(words)
    return found


@pytest.mark.system
@pytest.mark.engine
@pytest.mark.postgres
@pytest.mark.timeout(int(SECONDS) + 30)
def test_a_gateway_killed_four_times_under_load_loses_and_doubles_nothing(directory: Path) -> None:
    command = [
        sys.executable,
        str(ROOT / "scripts" / "crash_storm"),
        "--orders",
        "240",
        "--kills",
        "4",
        "--seed",
        "1",
    ]
    command += ["--dir", str(directory / "storm"), "--json", str(directory / "storm.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told: dict[str, Any] = json.loads((directory / "storm.json").read_text())
    assert (told["ok"], told["kills"], told["unknown"]) == (True, 4, [])
    assert [row["text"] for row in told["promises"] if row["broken"]] == []
    assert min(row["checked"] for row in told["promises"]) > 100
    assert {one["kind"] for one in told["rounds"]} == {"cut", "kill", "step"}
    assert told["recovery_seconds"]["starts"] >= 2
    assert processes_of(directory) == []


def test_with_tls_every_session_and_every_simulator_has_it_and_a_line_without_it_breaks_a_promise(
    directory: Path,
) -> None:
    with (
        Interrupts() as interrupts,
        opened(directory / "storm") as place,
        Storm(place, Options(directory / "storm", 20, 1), Progress(Console(quiet=True)), interrupts) as storm,
    ):
        storm.tls = True
        place.write()
        storm._write_orders(0)
        sessions = load(place.config).sessions
        assert {name: one.tls for name, one in sessions.items()} == dict.fromkeys(PARTIES, True)
        tls, *files = storm._simulator("BROKER1", "4.2", 1)[-4:]
        assert tls == "--tls"
        assert set(tls_settings("acceptor", *map(Path, files))) >= {"ServerCertificateFile", "CertificateVerifyLevel"}
        storm._links["BROKER1"].carried.update(TLS=2)
        assert (storm.lines(), storm.other_lines()) == ({"TLS": 2}, [])
        storm._links["clients"].carried.update(TLS=1, plain=1)
        assert storm.lines() == {"TLS": 3, "plain": 1}
        assert storm.other_lines() == ["the lines should have been TLS, but {'plain': 1} were carried"]


def test_the_rounds_of_a_seed_are_the_same_again_and_kill_as_often_as_asked() -> None:
    for seed in range(50):
        plan = rounds(20, seed)
        assert plan == rounds(20, seed)
        assert sum(one.kills for one in plan) == 20
        assert [one.share for one in plan] == sorted(one.share for one in plan)
    assert rounds(20, 1) != rounds(20, 2)


def test_a_gateway_that_shall_die_at_a_step_is_started_just_before() -> None:
    for seed in range(50):
        plan = rounds(12, seed)
        for before, one in zip([None, *plan], plan, strict=False):
            if one.crash_at:
                assert before is not None
                assert before.kind in GATEWAY_DIES
                assert one.crash_at.partition(":")[0] in STEPS


FINE = (
    Views({}, {}, Snapshot()),
    Compared(10, 8, 12, 0, []),
    ChainReport(3, 30, "", None),
    TablesReport(20, {}, 0, []),
)


def broken(*differences: Difference) -> dict[str, list[str]]:
    """The promises that such differences break, with the words for each."""
    views, compared, chain, replay = FINE
    verdict = judge(views, compared._replace(differences=list(differences)), chain, replay, [])
    assert verdict.ok == (not differences)
    return {one.text: one.broken for one in verdict.promises if one.broken}


def test_a_run_without_a_difference_breaks_no_promise() -> None:
    assert broken() == {}


def test_a_difference_breaks_the_promise_that_it_is_about() -> None:
    assert broken(
        Difference("CLIENT1 ClOrdID(11) A, ExecID(17) E1 to the client", "fill", "absent", "5 at 10"),
        Difference("BROKER1 ExecID(17) X1", "fill", ledger="absent", broker="5 at 10"),
        Difference("CLIENT1 ClOrdID(11) A", "CumQty(14)", "5", "10", "10"),
    ) == {
        IN_LEDGER: ["BROKER1 ExecID(17) X1: fill (ledger: absent, broker: 5 at 10)"],
        TOLD: ["CLIENT1 ClOrdID(11) A, ExecID(17) E1 to the client: fill (client: absent, ledger: 5 at 10)"],
        QUANTITIES: ["CLIENT1 ClOrdID(11) A: CumQty(14) (client: 5, ledger: 10, broker: 10)"],
    }


def test_what_went_wrong_in_the_run_and_a_replay_that_was_not_possible_count_against_it() -> None:
    views, compared, chain, _ = FINE
    verdict = judge(views, compared, chain, None, ["BROKER1: port taken"])
    assert [one.broken for one in verdict.promises if one.broken] == [
        ["not replayed, because the chain is broken"],
        ["BROKER1: port taken"],
    ]
