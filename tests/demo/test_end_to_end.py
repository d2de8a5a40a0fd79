"""`oms demo` as a newcomer runs it: real processes, real FIX sessions, a real Postgres, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from oms.ledger.embedded import EmbeddedPostgres
from tests.system.house import until

pytestmark = [pytest.mark.system, pytest.mark.engine, pytest.mark.postgres]
SECONDS = 100.0
OMS = (sys.executable, "-m", "oms")


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory that Postgres may enter as a user of its own: pytest closes its own to others at every start."""
    with tempfile.TemporaryDirectory(prefix="oms-demo-") as name:
        yield Path(name)


class Demo:
    """One run of `oms demo` in a directory of its own."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.directory = directory / "demo"
        self.out, self.err = directory / "out", directory / "err"
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                [*OMS, "demo", "--dir", str(self.directory), *options], stdout=out, stderr=err
            )

    def end(self) -> int:
        """Its exit code, in time."""
        try:
            return self.process.wait(SECONDS)
        finally:
            self.process.terminate()
            self.process.wait(30)

    def interrupt(self) -> int:
        """Its exit code after Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        return self.end()

    def told(self) -> str:
        """Both outputs, for a failed test."""
        return self.err.read_text() + self.out.read_text()

    @property
    def document(self) -> dict[str, Any]:
        """What --json printed."""
        read: dict[str, Any] = json.loads(self.out.read_text())
        return read

    def says_all(self) -> bool:
        """Whether the document is whole."""
        assert self.process.poll() is None, self.told()
        return self.out.read_text().endswith("\n}\n")

    def noted(self) -> dict[str, int]:
        """The numbers of its processes."""
        try:
            noted = json.loads((self.directory / "processes.json").read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return {name: pid for name, (pid, _) in noted.items()}

    def check_nothing_is_left(self) -> None:
        """Every process it started has ended, Postgres too."""
        noted = self.noted()
        assert noted.keys() >= {"gateway", "BROKER1", "BROKER2"}
        assert not [name for name, pid in noted.items() if psutil.pid_exists(pid)]
        assert EmbeddedPostgres(self.directory / "state" / "postgres").postmaster() is None


def check_agreement(document: dict[str, Any], orders: int) -> None:
    """Everything agrees, and nothing was left out."""
    assert (document["ok"], document["comparison"]["differences"], document["problems"]) == (True, [], [])
    assert document["comparison"]["orders"] == orders
    assert sum(client["orders"] for client in document["clients"]) == orders
    assert sum(broker["orders"] for broker in document["brokers"]) == document["comparison"]["at_brokers"] > 0
    assert sum(broker["fills"] for broker in document["brokers"]) == document["comparison"]["fills"] > 0
    shares = [sum(float(one["shares"]) for one in document[side]) for side in ("clients", "brokers")]
    assert shares[0] == shares[1] > 0
    assert document["chain"]["problem"] is None
    assert document["replay"]["ok"]
    assert document["replay"]["compared"]["client_orders"] == orders
    assert all(client["first_report_ms"]["p50"] > 0 for client in document["clients"])
    assert {one["hop"] for one in document["latencies"]} >= {"client order to broker", "broker report to client"}


def test_it_trades_proves_agreement_stays_for_a_look_around_and_ends_with_ctrl_c(directory: Path) -> None:
    demo = Demo(directory, "--orders", "40", "--seed", "1", "--json", "--stay")
    until(demo.says_all, "the report", SECONDS)
    check_agreement(demo.document, 40)
    assert {one["reason"] for one in demo.document["refusals"]} >= {"known_instrument", "tick_size"}
    listed = subprocess.run(
        [*OMS, "orders", "list", "--config", demo.document["config"], "--json"], stdout=subprocess.PIPE, check=True
    )
    assert len(json.loads(listed.stdout)) >= 40
    with urllib.request.urlopen(demo.document["metrics"]) as page:
        assert b"oms_" in page.read()
    assert demo.interrupt() == 0
    assert demo.err.read_text().endswith("oms demo: stopped; everything it started has ended\n")
    demo.check_nothing_is_left()


def test_it_agrees_although_gateway_and_postgres_are_killed_while_it_trades(directory: Path) -> None:
    demo = Demo(directory, "--orders", "30", "--seed", "2", "--chaos", "--json")
    assert demo.end() == 0, demo.told()
    check_agreement(demo.document, 30)
    assert sorted(one["victim"] for one in demo.document["recoveries"]) == ["Postgres"] + ["gateway"] * 3
    assert all(0 < one["open_seconds"] <= one["logged_on_seconds"] for one in demo.document["recoveries"])
    demo.check_nothing_is_left()


def test_interrupted_while_it_starts_it_ends_everything(directory: Path) -> None:
    demo = Demo(directory, "--orders", "40")
    until(lambda: "gateway" in demo.noted(), "the gateway to be started", SECONDS)
    assert demo.interrupt() == 130
    demo.check_nothing_is_left()


def test_what_a_killed_demo_left_is_ended_by_the_next(directory: Path) -> None:
    killed = Demo(directory, "--orders", "40")
    until(lambda: "gateway" in killed.noted(), "the gateway to be started", SECONDS)
    os.kill(killed.process.pid, signal.SIGKILL)
    killed.process.wait(30)
    left = killed.noted()
    following = Demo(directory, "--orders", "40")
    until(lambda: following.noted().get("gateway") not in (None, left["gateway"]), "the next to start", SECONDS)
    assert not [name for name, pid in left.items() if psutil.pid_exists(pid)]
    assert following.interrupt() == 130
    following.check_nothing_is_left()


def test_a_directory_that_is_not_its_own_is_refused_with_exit_code_2(directory: Path) -> None:
    (directory / "mine.txt").write_text("mine")
    refused = subprocess.run([*OMS, "demo", "--dir", str(directory)], capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == f"oms: {directory} has files that no demo made; name another directory with --dir\n"
