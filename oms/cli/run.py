"""``oms run``: one gateway in the foreground, from its configuration to an orderly stop.

Exit codes: 0 stopped as asked, 1 halted by a failure, 2 the configuration, the database or a port does not allow it
to start, 130 ended at once by a second signal. Between the start and the stop this process belongs to the gateway: it
always ends with `os._exit`, because a thread of the FIX engine that hangs must not keep it alive.
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
from oms.errors import OmsError, OperatorError
from oms.ops import log as logs

SIGNALS = (signal.SIGTERM, signal.SIGINT)
STOP_SECONDS = 30  # sessions log out, what was heard is committed; a lost database must not keep us for ever
DONE, HALTED, CANNOT_START, AT_ONCE = 0, 1, 2, 130

log = structlog.get_logger("oms.run")


@click.command(epilog="Example: oms run --config desk/oms.toml")
@config_option
@click.option(
    "--ready-file",
    type=click.Path(path_type=Path),
    help="Written with the process number when the gateway is open, removed when it stops.",
)
@click.option(
    "--empty-store",
    "empty_stores",
    multiple=True,
    metavar="SESSION",
    help="Start this session although its message store is gone: a reset was agreed. May be repeated.",
)
def run(path: Path, ready_file: Path | None, empty_stores: tuple[str, ...]) -> None:
    """Run the gateway in the foreground until SIGTERM or SIGINT (Ctrl-C); a second one ends it at once."""
    config = load(path)
    logs.configure(config.log)
    _remove(ready_file)
    for warning in config.warnings:
        log.warning("configuration", text=str(warning))
    with _LastWord() as last_word:
        gateway = Gateway(config, frozenset(empty_stores))
        _stop_on_signals(gateway.stop)

        def opened() -> None:
            last_word.opened = True
            click.echo(open_line(config), err=True)
            _write(ready_file)

        gateway.run(opened)
        _remove(ready_file)


def open_line(config: Config) -> str:
    """What is open, in one line."""
    clients, brokers = config.role("client"), config.role("broker")
    ports = sorted({spec.port for spec in clients})
    parts = [f"trading {config.gateway.trading}"]
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
    try:
        if not ready_file.parent.is_dir():
            raise NotADirectoryError(None, "there is no such directory")
        ready_file.unlink(missing_ok=True)
    except OSError as error:
        raise _unusable(ready_file, error) from error


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
