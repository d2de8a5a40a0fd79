"""Gateways as processes of their own, to be killed: forked from one that has everything imported already.

The nursery itself is `python -m tests.system.nursery`, started once per test run. It reads one JSON object per
line, `{"config": PATH, "arm": PATH}`, forks a gateway, and answers `{"pid": N, "error": TEXT}` when that is
open or has failed. A gateway dies by `kill`, by `stop` (SIGTERM), or by itself at a crash point: one line
`step:n` written to its arm file (a FIFO) sets what OMS_CRASH_AT would have set at its start, but counts from
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
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[2]
SECONDS = 30.0


class Nursery:
    """The test's side: starts gateways, one after another."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def start(self, config: Path) -> Forked:
        """A gateway of this configuration, open. AssertionError with its words where it could not start."""
        arm = config.parent / "arm"
        if not arm.exists():
            os.mkfifo(arm)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"config": str(config), "arm": str(arm)}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert not answer["error"], answer["error"]
        return Forked(answer["pid"], arm)

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
            _gateway(Path(request["config"]), Path(request["arm"]), writing)
        os.close(writing)
        with os.fdopen(reading) as answer:
            error = answer.readline().strip()
        sys.stdout.write(json.dumps({"pid": pid, "error": "" if error == "open" else error or "it died"}) + "\n")
        sys.stdout.flush()


def _gateway(config: Path, arm: Path, answer: int) -> None:
    from oms.app import Gateway
    from oms.config.load import load
    from oms.errors import OmsError

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.dup2(os.open(config.parent / "gateway.log", os.O_CREAT | os.O_APPEND | os.O_WRONLY), 1)
    os.dup2(1, 2)
    threading.Thread(target=_armed_by, args=(arm,), daemon=True).start()
    try:
        gateway = Gateway(load(config))
        signal.signal(signal.SIGTERM, lambda *_: gateway.stop())
        gateway.run(lambda: os.write(answer, b"open\n"))
    except OmsError as error:
        os.write(answer, f"{error}\n".encode())
        os._exit(1)
    os._exit(0)


def _armed_by(arm: Path) -> None:
    from oms import crashpoints

    while True:
        step, _, count = arm.read_text().strip().partition(":")
        assert step in crashpoints.STEPS, step
        crashpoints._step, crashpoints._left = step, int(count)
        arm.with_name("armed").write_text("")


if __name__ == "__main__":
    _serve(sys.stdin)
