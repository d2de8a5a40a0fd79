"""The demo's directory: only its own is made anew, one run at a time, and what a killed run left is ended."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from oms.demo.place import MARKER, PORTS, free_ports, opened
from oms.errors import OperatorError


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that would run for a minute."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        yield process
        process.kill()


def test_a_directory_is_made_with_what_is_above_it_and_written(tmp_path: Path) -> None:
    with opened(tmp_path / "a" / "b") as place:
        place.write()
        names = {path.name for path in place.directory.iterdir()}
    assert names >= {"oms.toml", "sessions.cfg", "instruments.csv", "behaviour.toml", "logs", MARKER}
    assert 'trading = "on"' in place.config.read_text()
    assert len(set(place.ports.values())) == 4


def test_its_own_directory_is_made_anew(tmp_path: Path) -> None:
    with opened(tmp_path / "demo") as place:
        place.write()
        (place.logs / "old.log").write_text("old")
    with opened(tmp_path / "demo") as place:
        assert [path.name for path in place.directory.iterdir()] == [MARKER]


def test_a_directory_with_other_files_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(OperatorError) as refused, opened(tmp_path):
        pass
    assert str(refused.value) == f"{tmp_path} has files that no demo made; name another directory with --dir"
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OperatorError) as refused, opened(tmp_path / "file" / "demo"):
        pass
    assert str(refused.value).endswith("Not a directory; name a directory with --dir in which this user may write")


def test_a_second_demo_in_the_same_directory_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path / "demo") as place:
        place.write()
        with pytest.raises(OperatorError) as refused, opened(tmp_path / "demo"):
            pass
        assert place.config.exists()
    assert str(refused.value) == (
        f"a demo is running in {tmp_path / 'demo'}; stop it, or name another directory with --dir"
    )


def test_a_process_that_a_killed_demo_left_is_ended(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    with opened(tmp_path / "demo") as place:
        place.note_processes({"gateway": (sleeper.pid, psutil.Process(sleeper.pid).create_time())})
    with opened(tmp_path / "demo"):
        assert not psutil.pid_exists(sleeper.pid)


def test_a_stranger_that_was_given_the_number_is_left_alone(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    with opened(tmp_path / "demo") as place:
        started = psutil.Process(sleeper.pid).create_time()
        (place.directory / "processes.json").write_text(json.dumps({"gateway": (sleeper.pid, started - 100)}))
    with opened(tmp_path / "demo"):
        assert sleeper.poll() is None


def test_ports_in_use_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_ports(1)[0]))
        port = taken.getsockname()[1]
        assert port in PORTS
        monkeypatch.setattr("oms.demo.place.random.sample", lambda population, k: [port, port + 1, port + 2])
        assert port not in free_ports(1)
