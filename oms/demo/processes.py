"""The demo's parts as processes of their own: started, watched, and ended with the demo, however it ends.

Each runs in a process group of its own, so that Ctrl-C reaches the demo alone, which ends the others in order.
Simulators print a JSON status line a second, whose last one is `Child.status`; everything else goes into a log file.
Threads: one per child reads its lines; `Processes.changed` guards what they write and tells of every change.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import psutil  # type: ignore[import-untyped]

from oms.demo.interrupts import Interrupts
from oms.demo.place import Place
from oms.errors import OmsError

STOP_SECONDS = 10.0
LOOK_SECONDS = 0.1  # how often what nobody tells of is looked at
LAST_WORDS = 5  # lines of a log that a message quotes
T = TypeVar("T")


class DemoFailure(OmsError):
    """The demo cannot go on: one of its parts ended, or did not do what it must in time."""


class Child:
    """One process. `status` is its last status line, `seen` the monotonic time of it."""

    def __init__(self, name: str, arguments: Sequence[str], log: Path, changed: threading.Condition) -> None:
        self.name = name
        self.log = log
        self.status: dict[str, Any] = {}
        self.seen = 0.0
        self._changed = changed
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "oms", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                process_group=0,
                text=True,
            )
        self._reader = threading.Thread(target=self._read, name=f"read-{name}", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self._take(line)
        self.process.wait()
        with self._changed:
            self._changed.notify_all()

    def _take(self, line: str) -> None:
        try:
            status = json.loads(line)
        except ValueError:  # not a status line
            return
        if isinstance(status, dict):
            with self._changed:
                self.status, self.seen = status, time.monotonic()
                self._changed.notify_all()

    @property
    def ended(self) -> int | None:
        """Its exit code, None while it runs; negative for the signal that ended it."""
        return self.process.poll()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        if self.ended is None:
            self.process.send_signal(number)

    def wait(self, seconds: float) -> bool:
        """Wait until it has ended and its last line is read; False after `seconds`."""
        try:
            self.process.wait(max(seconds, 0.0))
        except subprocess.TimeoutExpired:
            return False
        self._reader.join(1.0)
        return True

    def last_words(self) -> str:
        """The end of its log, for a message."""
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            lines = []
        return "\n".join(f"    {line}" for line in lines[-LAST_WORDS:]) or "    (its log is empty)"


class Processes:
    """All processes of a demo; as a context manager it ends them when the block ends."""

    def __init__(self, place: Place, interrupts: Interrupts) -> None:
        self._place = place
        self._interrupts = interrupts
        self.changed = threading.Condition()
        self.children: dict[str, Child] = {}

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end(*reversed(self.children))

    def start(self, name: str, *arguments: str) -> Child:
        """Start `oms` with some arguments under a name."""
        with self._interrupts.held():
            child = Child(name, arguments, self._place.logs / f"{name}.log", self.changed)
            self.children[name] = child
            self._note()
        return child

    def _note(self) -> None:
        running = {}
        for child in self.children.values():
            try:
                running[child.name] = (child.process.pid, psutil.Process(child.process.pid).create_time())
            except psutil.NoSuchProcess:  # ended just now
                continue
        self._place.note_processes(running)

    def end(self, *names: str) -> None:
        """Stop some of them, together; what has not ended in time, or when interrupted, is killed."""
        wanted = [self.children[name] for name in names]
        try:
            for child in wanted:
                child.signal(signal.SIGTERM)
            deadline = time.monotonic() + STOP_SECONDS
            for child in wanted:
                child.wait(deadline - time.monotonic())
        finally:
            for child in wanted:
                child.signal(signal.SIGKILL)
                child.wait(STOP_SECONDS)

    def kill(self, name: str) -> None:
        """End one with SIGKILL, and wait until it is gone."""
        self.children[name].signal(signal.SIGKILL)
        self.children[name].wait(STOP_SECONDS)

    def check(self) -> None:
        """Raise DemoFailure where one ended that should not have."""
        for child in self.children.values():
            if child.ended is not None:
                how = f"{child.name} ended by itself ({_how(child.ended)})"
                raise DemoFailure(f"{how}; the end of {child.log}:\n{child.last_words()}")

    def wait_until(
        self,
        reached: Callable[[], T],
        seconds: float,
        what: str,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> T:
        """The first true answer of `reached`, asked after every change and every LOOK_SECONDS.

        Raises DemoFailure naming `what` after `seconds`, or where a process has ended.
        """
        deadline = time.monotonic() + seconds
        while not (answer := reached()):
            self.check()
            if time.monotonic() > deadline:
                raise DemoFailure(f"waited {seconds:.0f} s in vain: {what}; see the logs in {self._place.logs}")
            meanwhile()
            with self.changed:
                self.changed.wait(LOOK_SECONDS)
        return answer


def _how(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"


def program() -> str:
    """How a person calls `oms` here, for texts that say what to try."""
    command = Path(sys.argv[0])
    if command.name != "oms":
        beside = Path(sys.executable).with_name("oms")
        if not beside.exists():
            return f"{_short(Path(sys.executable))} -m oms"
        command = beside
    return _short(command)


def _short(path: Path) -> str:
    """The path as seen from here, where that is not longer."""
    return min(str(path), os.path.relpath(path), key=len)
