"""Gateways as processes of their own, to be killed: forked from one that has everything imported already.

The nursery itself is `python -m tests.system.nursery`, started once per test run. It reads one JSON object per
line, `{"config": PATH, "arm": PATH, "crash_at": STEP}`, forks a gateway, and answers `{"pid": N, "error": TEXT}`
when that is open or has failed. A gateway dies by `kill`, by `stop` (SIGTERM), or by itself at a crash point: one
line `step:n` written to its arm file (a FIFO) sets what OMS_CRASH_AT would have set at its start, but counts from
then on, so that a test says exactly where in an order's life the process dies.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import psutil

ROOT = Path(__file__).parents[2]
SECONDS = 30.0


class Nursery:
    """The test's side: starts gateways, one after another."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def start(self, config: Path, *, new_machine: bool = False) -> Forked:
        """A gateway of this configuration, open. AssertionError with its words where it could not start."""
        forked, error = self.try_start(config, new_machine=new_machine)
        assert forked is not None, error
        return forked

    def try_start(self, config: Path, crash_at: str = "", *, new_machine: bool = False) -> tuple[Forked | None, str]:
        """A gateway that is open, or None and its words; `crash_at` (`step:n`) may kill it before that."""
        arm = config.parent / "arm"
        if not arm.exists():
            os.mkfifo(arm)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = {"config": str(config), "arm": str(arm), "crash_at": crash_at, "new_machine": new_machine}
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return None if answer["error"] else Forked(answer["pid"], arm), answer["error"]

    @contextmanager
    def no_file_larger_than(self, size: int) -> Iterator[None]:
        """Gateways started meanwhile cannot write beyond so many bytes of a file, as if the disk were full there."""
        process = psutil.Process(self._process.pid)
        process.rlimit(psutil.RLIMIT_FSIZE, (size, psutil.RLIM_INFINITY))
        try:
            yield
        finally:
            process.rlimit(psutil.RLIMIT_FSIZE, (psutil.RLIM_INFINITY, psutil.RLIM_INFINITY))

    def close(self) -> None:
        """End the nursery."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(SECONDS)


class Forked:
    """One gateway process."""

    def __init__(self, pid: int, arm: Path) -> None:
        self.pid = pid
        self._arm = arm
        self._end = os.pidfd_open(pid)

    def crash_at(self, step: str, count: int = 1) -> None:
        """Die at the `count`-th time from now on that this step is reached; returns when that is set."""
        done = self._arm.with_name("armed")
        done.unlink(missing_ok=True)
        os.mkfifo(done)
        self._arm.write_text(f"{step}:{count}\n")
        done.read_text()  # ends when the gateway has opened and closed it

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        signal.pidfd_send_signal(self._end, signal.SIGKILL)
        self.wait()

    def stop(self) -> None:
        """SIGTERM, and wait until it is gone."""
        signal.pidfd_send_signal(self._end, signal.SIGTERM)
        self.wait()

    @property
    def alive(self) -> bool:
        """Whether it has not ended yet."""
        return not select.select([self._end], [], [], 0)[0]

    def wait(self, seconds: float = SECONDS) -> None:
        """Wait for its end."""
        assert select.select([self._end], [], [], seconds)[0], f"process {self.pid} did not end in {seconds} s"


# -- the nursery's side --------------------------------------------------------------------------------------


def _serve(requests: IO[str]) -> None:
    from oms.app import Gateway  # here, so that the tests' own process need not import it for this module

    assert Gateway
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children: they leave no zombies
    for line in requests:
        request = json.loads(line)
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            asked = Path(request["config"]), Path(request["arm"]), request["crash_at"], request["new_machine"]
            _gateway(*asked, writing)
        os.close(writing)
        with os.fdopen(reading) as answer:
            error = answer.readline().strip()
        sys.stdout.write(json.dumps({"pid": pid, "error": "" if error == "open" else error or "it died"}) + "\n")
        sys.stdout.flush()


def _gateway(config: Path, arm: Path, crash_at: str, new_machine: bool, answer: int) -> None:
    from oms import crashpoints
    from oms.app import Gateway
    from oms.config.load import load
    from oms.errors import OmsError
    from oms.ops import log as logs

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.dup2(os.open(config.parent / "gateway.log", os.O_CREAT | os.O_APPEND | os.O_WRONLY), 1)
    os.dup2(1, 2)
    if crash_at:
        crashpoints.arm(crash_at)
    threading.Thread(target=_armed_by, args=(arm,), daemon=True).start()
    try:
        loaded = load(config)
        logs.configure(loaded.log)
        gateway = Gateway(loaded, new_machine=new_machine)
        signal.signal(signal.SIGTERM, lambda *_: gateway.stop())
        gateway.run(lambda: os.write(answer, b"open\n"))
    except OmsError as error:
        with suppress(BrokenPipeError):  # nobody waits for it any more, once it was open
            os.write(answer, f"{error}\n".encode())
        os._exit(1)
    os._exit(0)


def _armed_by(arm: Path) -> None:
    from oms import crashpoints

    while True:
        crashpoints.arm(arm.read_text())
        arm.with_name("armed").write_text("")


if __name__ == "__main__":
    _serve(sys.stdin)
