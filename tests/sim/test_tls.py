"""Simulators over TLS: they trade, and log on to nobody whose certificate another authority has signed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from oms.sim.broker import BrokerSim
from oms.sim.peer import FixPeer
from oms.sim.record import broker_view
from oms.sim.session import SessionSpec, tls_settings
from stormlib.certificates import Certificates
from stormlib.links import Link, close_all
from tests.system.house import free_ports

pytestmark = pytest.mark.engine


@pytest.fixture
def ours(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path / "ours")


@pytest.fixture
def link(port: int) -> Iterator[Link]:
    """A relay before the broker's port, which says what was spoken on it."""
    (here,) = free_ports(1)
    made = Link(here, port)
    yield made
    close_all([made])


@pytest.fixture
def broker(port: int, tmp_path: Path, ours: Certificates) -> Iterator[BrokerSim]:
    settings = tls_settings("acceptor", *ours.of_simulator("B1"))
    spec = SessionSpec("B1", "acceptor", "4.4", "B1", "C1", port, tmp_path / "b", settings=settings, tls=True)
    made = BrokerSim(spec, None, seed=2)
    made.start()
    yield made
    made.stop()


def test_a_client_as_a_command_trades_over_tls_with_a_broker(
    broker: BrokerSim, link: Link, tmp_path: Path, ours: Certificates
) -> None:
    command = ["-m", "oms", "sim", "client", "--name", "C1", "--target", "B1", "--port", str(link.port)]
    command += ["--dir", f"{tmp_path}/c", "--generate", "20", "--rate", "100", "--idle-timeout", "0.5", "--json"]
    command += ["--tls", *map(str, ours.of_simulator("C1"))]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (0, 1), done.stderr  # 1: this broker refuses none of the orders that a gateway would
    assert len(broker_view(tmp_path / "b" / "record.jsonl").by_trace) == 20
    assert link.carried == {"TLS": 1}


@pytest.mark.parametrize("shows", ["a stranger's certificate", "no TLS at all"])
def test_a_broker_over_tls_logs_nobody_on_who_does_not_show_a_certificate_of_the_authority(
    broker: BrokerSim, link: Link, tmp_path: Path, ours: Certificates, shows: str
) -> None:
    tls = shows != "no TLS at all"
    settings = tls_settings("initiator", *Certificates(tmp_path / "theirs").of_simulator("C1")) if tls else None
    peer = FixPeer("initiator", "4.4", "C1", "B1", link.port, tmp_path / "c", settings=settings, tls=tls).start()
    try:
        with pytest.raises(AssertionError, match="no logon within"):
            peer.wait_logged_on(2)
    finally:
        peer.stop()
    assert {*link.carried} <= {"TLS" if tls else "plain"}
    assert broker.logons == 0


def test_a_file_that_is_not_there_is_told(tmp_path: Path, ours: Certificates) -> None:
    command = ["-m", "oms", "sim", "broker", "--name", "B1", "--port", "9", "--dir", f"{tmp_path}/b"]
    certificate, _, authority = ours.of_simulator("B1")
    command += ["--tls", str(certificate), f"{tmp_path}/absent.key", str(authority)]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr == (
        f"oms sim broker: {tmp_path}/absent.key: no such file; TLS needs a certificate, its key and"
        " the authority's certificate\n"
    )
