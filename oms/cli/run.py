"""``oms run``: one gateway in the foreground, from its configuration to an orderly stop.

Exit codes: 0 stopped as asked, 1 halted by a failure, 2 the configuration, the database or a port does not allow it
to start, 3 the ledger is another gateway's by now, 130 ended at once by a second signal. Between the start and the
stop this process belongs to the gateway: it always ends with `os._exit`, because a thread of the FIX engine that
hangs must not keep it alive, and because a gateway that has lost its lease must not say a word more.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import NoReturn

import click
import structlog

from oms.app import Gateway
from oms.cli.output import config_option
from oms.config.load import Config, load
from oms.errors import LeaseLost, OmsError, OperatorError
from oms.ops import log as logs
from oms.standby import stand_by

SIGNALS = (signal.SIGTERM, signal.SIGINT)
STOP_SECONDS = 30  # sessions log out, what was heard is committed; a lost database must not keep us for ever
DONE, HALTED, CANNOT_START, LOST, AT_ONCE = 0, 1, 2, 3, 130

log = structlog.get_logger("oms.run")


@click.command(epilog="\b\nExamples:\n  oms run --config desk/oms.toml\n  oms run --standby --config desk/oms.toml")
@config_option
@click.option(
    "--ready-file",
    type=click.Path(path_type=Path),
    help="Written with the process number when the gateway is open, removed when it stops.",
)
@click.option(
    "--standby",
    is_flag=True,
    help="Wait while another gateway has the ledger, and take over when it dies or stops; start at once if none has.",
)
@click.option(
    "--empty-store",
    "empty_stores",
    multiple=True,
    metavar="SESSION",
    help="Start this session although its message store is gone: a reset was agreed. May be repeated.",
)
@click.option(
    "--new-machine",
    is_flag=True,
    help="Make message stores that are lost again from the ledger: the state directory is gone, or it is an old one.",
)
def run(path: Path, ready_file: Path | None, standby: bool, empty_stores: tuple[str, ...], new_machine: bool) -> None:
    """Run the gateway in the foreground until SIGTERM or SIGINT (Ctrl-C); a second one ends it at once."""
    config = load(path)
    logs.configure(config.log)
    if standby:
        _require_place(ready_file)  # the file itself may be that of the gateway that runs
    else:
        _remove(ready_file)
    for warning in config.warnings:
        log.warning("configuration", text=str(warning))
    with _LastWord() as last_word:
        stopping = _Stopping()
        _stop_on_signals(stopping.stop)
        claim = None
        if standby:
            click.echo(waiting_line(config), err=True)
            claim = stand_by(config, stopping.asked, stores_may_be_lost=new_machine or bool(empty_stores))
            if claim is None:
                return
            config = claim.config
            _remove(ready_file)
        gateway = Gateway(config, frozenset(empty_stores), claim, _lost, new_machine)
        stopping.then(gateway.stop)

        def opened() -> None:
            last_word.opened = True
            off = gateway.trading.off
            why_off = f" ({off.why}; to switch it on: {gateway.trading.remedy})" if off else ""
            click.echo(open_line(config, why_off), err=True)
            _write(ready_file)

        gateway.run(opened)
        _remove_ours(ready_file)


def waiting_line(config: Config) -> str:
    """What a standby waits for, in one line."""
    line = "oms stands by: it takes over when the gateway that has the ledger ends or no longer renews its lease"
    if config.database.url is None:
        line += "; on the embedded Postgres it can follow a process, not a machine: for that name a [database] url"
    return f"{line}; Ctrl-C or SIGTERM stops it"


class _Stopping:
    """What a signal stops: the wait for the ledger, then the gateway."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self._stop: Callable[[], None] = lambda: None

    def stop(self) -> None:
        self.asked.set()
        self._stop()

    def then(self, stop: Callable[[], None]) -> None:
        """From now on this is stopped, at once if that was asked meanwhile."""
        self._stop = stop
        if self.asked.is_set():
            stop()


def _lost(error: LeaseLost) -> NoReturn:
    """Not a Logout(5), not a line into a message store: they are another gateway's by now."""
    _end(LOST, f"oms: {error}; ended at once; start it again as a standby: oms run --standby")


def open_line(config: Config, why_off: str = "") -> str:
    """What is open, in one line. `why_off`: trading is off, why, and what to do about it."""
    clients, brokers = config.role("client"), config.role("broker")
    ports = sorted({spec.port for spec in clients})
    parts = [f"trading off{why_off}" if why_off else "trading on"]
    if clients:
        where = f"port{'s' if len(ports) > 1 else ''} {', '.join(map(str, ports))}"
        parts.append(f"clients {', '.join(spec.name for spec in clients)} on {where}")
    if brokers:
        parts.append(f"brokers {', '.join(spec.name for spec in brokers)}")
    if config.metrics.port:
        parts.append(f"metrics http://{config.metrics.host}:{config.metrics.port}/metrics")
    return f"oms is open: {'; '.join(parts)}; Ctrl-C or SIGTERM stops it"


# -- the ready file ---------------------------------------------------------------------------------------------


def _write(ready_file: Path | None) -> None:
    """The process number, whole or not at all."""
    if ready_file is None:
        return
    try:
        draft = ready_file.with_name(f"{ready_file.name}.{os.getpid()}")
        draft.write_text(f"{os.getpid()}\n", encoding="ascii")
        draft.replace(ready_file)
    except OSError as error:
        raise _unusable(ready_file, error) from error


def _remove(ready_file: Path | None) -> None:
    """That of an earlier run must not pass for ours, nor ours outlive us."""
    if ready_file is None:
        return
    _require_place(ready_file)
    try:
        ready_file.unlink(missing_ok=True)
    except OSError as error:
        raise _unusable(ready_file, error) from error


def _require_place(ready_file: Path | None) -> None:
    if ready_file is not None and not ready_file.parent.is_dir():
        raise _unusable(ready_file, NotADirectoryError(None, "there is no such directory"))


def _remove_ours(ready_file: Path | None) -> None:
    """Unless a standby that has followed us has written its own by now."""
    if ready_file is not None and ready_file.exists() and ready_file.read_text("ascii").strip() == str(os.getpid()):
        _remove(ready_file)


def _unusable(ready_file: Path, error: OSError) -> OperatorError:
    return OperatorError(
        f"--ready-file {ready_file}: {error.strerror}; name a file in a directory this user may write to"
    )


# -- signals ------------------------------------------------------------------------------------------------------


def _stop_on_signals(stop: Callable[[], None]) -> None:
    """The first SIGTERM or SIGINT asks for an orderly stop, the second ends the process.

    A handler in Python would run between any two steps of the main thread, which may hold the very lock that
    `stop` needs. So the interpreter's own handler only writes the signal's number to a socket, at once and
    whatever the main thread is doing, and a thread of its own reads it there.
    """
    reading, writing = socket.socketpair()
    writing.setblocking(False)
    signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    for one in SIGNALS:
        signal.signal(one, lambda number, frame: None)

    def watch() -> None:
        with writing:  # kept open as long as it is read
            log.info("stopping", signal=signal.Signals(reading.recv(1)[0]).name)
            reading.settimeout(STOP_SECONDS)
            stop()
            try:
                reading.recv(1)
            except TimeoutError:
                log.critical("the stop takes too long: ended at once", seconds=STOP_SECONDS, remedy="start it again")
                _end(HALTED, f"oms: did not stop within {STOP_SECONDS} s and was ended; the next start recovers")
            _end(AT_ONCE, "oms: ended at once; the next start recovers")

    threading.Thread(target=watch, name="signals", daemon=True).start()


def _end(code: int, text: str = "") -> NoReturn:
    """Leave without waiting for anybody's thread."""
    if text:
        click.echo(text, err=True)
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class _LastWord:
    """Ends the process with the code that what happened asks for, and says what the operator should do."""

    opened = False

    def __enter__(self) -> _LastWord:
        threading.excepthook = _log_thread_failure
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> NoReturn:
        if error is None:
            _end(DONE)
        said = " ".join(str(error).split())  # one line, whatever a server's words are
        if isinstance(error, OperatorError) and not self.opened:
            _end(CANNOT_START, f"oms: {said}")
        again = "start it again, it recovers from its ledger; if it halts again, run oms verify"
        if isinstance(error, OmsError):
            log.critical("halted", error=str(error))
            _end(HALTED, f"oms: {said}; {again}")
        log.critical("halted by a mistake of the program", exc_info=error)
        _end(HALTED, f"oms: halted by a mistake of the program ({type(error).__name__}: {said}); {again}")


def _log_thread_failure(failure: threading.ExceptHookArgs) -> None:
    """A thread that ends by an exception is told in the log, where the operator looks."""
    name = failure.thread.name if failure.thread else "unknown"
    log.critical("a thread ended", thread=name, exc_info=failure.exc_value)
