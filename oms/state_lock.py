"""The state directory's lock: one process at a time uses its message stores, and a dead one is known to be dead.

The file `gateway.lock` is locked by the running gateway (or by the standby that waits for a gateway elsewhere); the
kernel drops the lock when the process dies, however it dies. In the file stands who has it, and of which runs of a
gateway the message stores beside it are: a run is a name made up by each process, which the ledger's lease has too.

Who gets the lock and finds the lease's run in a mark of this very file (not a copy: its inode; not of before the
machine's last start) knows that the holder of the lease is dead, and need not wait for the lease to run out.
Used by one thread at a time.
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import NamedTuple

import psutil  # type: ignore[import-untyped]

from oms.errors import OperatorError

FILE = "gateway.lock"
_LENGTH = 512  # always the same, written in one go: a kill leaves the old mark or the new one
_START_TOLERANCE = 2.0  # seconds; the system derives a process's start from a clock that may be corrected


class Mark(NamedTuple):
    """What stands in the file: the process, its run, and the last run before it that had the ledger from here."""

    pid: int = 0
    started: float = 0.0
    boot: str = ""
    inode: int = 0
    run: str = ""
    before: str = ""

    def is_of(self, run: str) -> bool:
        """Whether that run of a gateway used this state directory last."""
        return bool(run) and run in (self.run, self.before)


class StateLock:
    """The lock of one state directory."""

    def __init__(self, state_dir: Path) -> None:
        self.path = state_dir / FILE
        self._descriptor = -1
        self.found = Mark()  # what the file said when the lock was taken

    @property
    def taken(self) -> bool:
        """Whether this process has it."""
        return self._descriptor >= 0

    def take(self) -> bool:
        """Take it if it is free. Raises OperatorError where the file cannot be used."""
        if self.taken:
            return True
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return False
        except OSError as error:
            raise OperatorError(
                f"{self.path}: {error.strerror}; let this user write there, or name another [gateway] state_dir"
            ) from error
        self._descriptor = descriptor
        self.found = self.read()
        return True

    def note(self, run: str, before: str) -> None:
        """Write down that this process has it, with its run and the last run that had the ledger from here."""
        inode = os.fstat(self._descriptor).st_ino
        mark = Mark(os.getpid(), psutil.Process().create_time(), _boot(), inode, run, before)
        os.pwrite(self._descriptor, json.dumps(mark._asdict()).ljust(_LENGTH - 1).encode() + b"\n", 0)
        os.fsync(self._descriptor)

    def read(self) -> Mark:
        """What the file says now; an empty mark where it says nothing."""
        try:
            return Mark(**json.loads(self.path.read_bytes()))
        except (OSError, ValueError, TypeError):
            return Mark()

    def was_left_by(self, run: str) -> bool:
        """Whether that run was of a process of this machine which is dead now; asked while the lock is ours."""
        found = self.found
        here = (found.boot, found.inode) == (_boot(), os.fstat(self._descriptor).st_ino)
        return self.taken and here and found.is_of(run)

    def owner(self) -> psutil.Process | None:
        """The process that has the lock, as the file names it; None if there is none such (any more)."""
        mark = self.read()
        try:
            process = psutil.Process(mark.pid)
            same = abs(process.create_time() - mark.started) <= _START_TOLERANCE
        except (psutil.Error, ValueError):
            return None
        return process if mark.pid and same else None

    def close(self) -> None:
        """Let go of it."""
        if self.taken:
            os.close(self._descriptor)
            self._descriptor = -1


def _boot() -> str:
    """A name of the time since this machine's last start; '' where the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return str(int(psutil.boot_time()))
