"""Running programs for the set-up: output to a log, elapsed time to the terminal, a clear text on failure.

Also the lock that keeps two runs apart. No thread is started; one program runs at a time.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

LOG_TAIL_LINES = 25
QUIET_PROGRESS_SECONDS = 30
REDIRECTS_PIP = frozenset({"PYTHONHOME", "PYTHONPATH", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_CONSTRAINT"})


class SetupFailed(Exception):
    """Set-up cannot go on; the text is for the person at the terminal and names the remedy."""


def say(text: str) -> None:
    """Print one line to the terminal at once."""
    print(f"oms setup: {text}", flush=True)


def quiet_environment() -> dict[str, str]:
    """This environment without what would make pip install elsewhere or ask questions."""
    kept = {name: value for name, value in os.environ.items() if name not in REDIRECTS_PIP}
    return kept | {"PIP_USER": "0", "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


@contextlib.contextmanager
def alone_in(directory: Path, waiting: str) -> Iterator[None]:
    """Hold the lock on a directory; say `waiting` if another run has it. The kernel frees it in any case."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(waiting)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def run(what: str, command: list[str], *, log: Path, remedy: str, variables: dict[str, str] | None = None) -> None:
    """Run one command, its output into the log and its elapsed time to the terminal.

    `variables` go into its environment. Raises SetupFailed with the end of the log and the remedy.
    """
    started = time.monotonic()
    with log.open("a") as output:
        output.write(f"\n$ {' '.join(command)}\n")
        output.flush()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=quiet_environment() | (variables or {}),
            start_new_session=True,
        )
        try:
            code = wait_with_progress(what, process, started)
        except BaseException:  # Ctrl-C or SIGTERM: leave no compiler behind
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, 15)
            process.wait()
            raise
    if code:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])
        raise SetupFailed(
            f"{what} failed (exit code {code}). The end of its log:\n\n{tail}\n\n"
            f"oms setup: {what} failed; the whole log is {log}\noms setup: remedy: {remedy}"
        )
    say(f"{what}: done in {clock(time.monotonic() - started)}")


def wait_with_progress(what: str, process: subprocess.Popen[bytes], started: float) -> int:
    """Return the exit code of the process when it ends; show the elapsed time meanwhile."""
    live = sys.stdout.isatty()
    step = 1 if live else QUIET_PROGRESS_SECONDS
    while True:
        try:
            code = process.wait(timeout=step)
        except subprocess.TimeoutExpired:
            elapsed = clock(time.monotonic() - started)
            if live:
                print(f"\roms setup: {what} ... {elapsed} ", end="", flush=True)
            else:
                say(f"{what} ... {elapsed}")
        else:
            if live:
                print("\r\033[K", end="", flush=True)
            return code


def clock(seconds: float) -> str:
    """Minutes and seconds: 4:05."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
