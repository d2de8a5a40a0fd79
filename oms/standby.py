"""The right to run: the state directory's lock and the ledger's lease, taken (`claim`) or waited for (`stand_by`).

A gateway that is dead here (its lock is free, the ledger's lease is of its run) is followed at once. Any other holder
is followed when it gave the lease back, or when the lease has run out by the database's clock AND no renewal was seen
for the lease's whole time by this process's own clock: a clock that is set, or a database that was away, proves
nothing. A process of this state directory that is alive and does not renew (stopped, hung) is first fenced by the new
token and then ended, because it has the message stores open.

A standby watches its configuration's files and takes over with the last whole one. Runs in the main thread.
"""

from __future__ import annotations

import os
import socket
import uuid
from contextlib import ExitStack, suppress
from threading import Event
from time import monotonic, sleep
from types import TracebackType
from typing import Any

import psutil  # type: ignore[import-untyped]
import structlog

from oms.config.load import Config, load
from oms.errors import ConfigError, OperatorError
from oms.ledger import lease as leases
from oms.ledger.database import (
    SCHEMA_VERSION,
    database_errors,
    engine,
    migrate_configured,
    open_database,
    require_environment,
    revive_database,
    schema_version,
)
from oms.ledger.lease import DatabaseError, Lease, Standing
from oms.state_lock import StateLock

log = structlog.get_logger("oms.standby")

_LOOK_SECONDS = 0.1
_TELL_SECONDS = 1.0  # how often the ledger is told that a standby waits, and the configuration's files are looked at
_END_SECONDS = 5.0  # for a process that was killed to be gone


class Claim:
    """One process's right to run the gateway of a ledger; a context that gives it back at its end."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.run = uuid.uuid4().hex
        self.holder = f"{config.gateway.name} on {socket.gethostname()}, process {os.getpid()}"
        self.url = ""
        self.lease = Lease("", self.run, self.holder, config.gateway.lease_seconds)
        self.stores_current = True  # whether the message stores here are of the gateway that had the ledger last
        self._lock = StateLock(config.gateway.state_dir)
        self._stack = ExitStack()
        self._line: Any = None
        self._watched: tuple[object, ...] = ()
        self._since = 0.0
        self._kept = False

    def __enter__(self) -> Claim:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._kept:
            self._stack.close()

    def keep(self) -> None:
        """Something of ours may still send: nobody may follow before this process has ended."""
        self._kept = True

    # -- steps -----------------------------------------------------------------------------------------------

    def open(self, *, migrate: bool) -> None:
        """The database, up and with its schema. Raises OperatorError."""
        config = self.config
        try:
            config.gateway.state_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OperatorError(
                f"[gateway] state_dir {config.gateway.state_dir}: {error.strerror}; name a directory that can be made"
            ) from error
        self._stack.callback(self._lock.close)
        if migrate:
            self._require_lock()
        self.url = self._stack.enter_context(open_database(config))
        # While a gateway runs, its tables are not touched for nothing.
        if migrate or not _schema_is_current(self.url):
            migrate_configured(config, self.url)
        else:
            require_environment(config, self.url)
        self.lease = Lease(self.url, self.run, self.holder, config.gateway.lease_seconds)
        self._stack.callback(self.drop_line)

    def _require_lock(self) -> None:
        if not self._lock.take():
            owner = self._lock.owner()
            who = f" (process {owner.pid})" if owner is not None else ""
            raise OperatorError(
                f"another gateway or its standby{who} runs with the state directory {self.config.gateway.state_dir};"
                " stop it first, or start this one as a standby: oms run --standby"
            )

    def look(self) -> Standing:
        """The lease as it is now; notes for how long it has not been renewed. Raises what the database raises."""
        if self._line is None:
            self._line = leases.lease_connection(self.url, "oms lease")
        standing = leases.look(self._line)
        if (standing.token, standing.renewed_at) != self._watched:
            self._watched, self._since = (standing.token, standing.renewed_at), monotonic()
        return standing

    def drop_line(self) -> None:
        """Close the line to the database; what was seen through it counts no more."""
        line, self._line, self._watched = self._line, None, ()
        if line is not None:
            with suppress(DatabaseError):
                line.close()

    def is_silent(self, standing: Standing) -> bool:
        """Whether its holder has not renewed it for its whole time, by the database's clock and by ours."""
        return standing.expired and monotonic() - self._since >= standing.seconds

    def is_free(self, standing: Standing) -> bool:
        """Whether it may be taken; asked with the lock in hand."""
        return standing.released or self._lock.was_left_by(standing.run) or self.is_silent(standing)

    def try_lock(self) -> bool:
        """Take the state directory's lock if it is free."""
        return self._lock.take()

    def require_stores(self, standing: Standing, may_be_lost: bool) -> None:
        """Raises OperatorError where the message stores in use are elsewhere and that is not provided for."""
        if standing.token and not may_be_lost and not self._lock.read().is_of(standing.run):
            raise OperatorError(
                f"the ledger's gateway ({standing.who}) keeps its message stores elsewhere than in"
                f" {self.config.gateway.state_dir}, so that a standby here would have none to go on with; let it make"
                " them again from the ledger when it takes over: oms run --standby --new-machine"
            )

    def holder_hangs(self, standing: Standing) -> bool:
        """Whether the lease's holder is a process of this state directory that lives and does not renew."""
        mark = self._lock.read()
        return not standing.released and mark.run == standing.run and self.is_silent(standing)

    def take(self, standing: Standing) -> bool:
        """Take the lease, with the lock in hand; False if another was quicker."""
        mark = self._lock.found
        self.stores_current = standing.token == 0 or mark.is_of(standing.run)
        # Before the lease, so that a kill between the two leaves a mark that fits either holder.
        self._lock.note(self.run, standing.run if mark.is_of(standing.run) else mark.before)
        if not self.lease.take(self._line, standing):
            return False
        self._hand_over()
        return True

    def take_from_hung(self, standing: Standing) -> bool:
        """Fence the holder by a new token, end its process, and take its lock. Raises OperatorError."""
        owner = self._lock.owner()
        if owner is None or not self.lease.take(self._line, standing):
            return False
        self._hand_over()
        log.critical("the gateway before does not renew its lease: its process is ended", process=owner.pid)
        problem = "it does not end"
        try:
            owner.kill()
        except psutil.NoSuchProcess:
            pass
        except psutil.Error as error:
            problem = str(error)
        deadline = monotonic() + _END_SECONDS
        while not self._lock.take():  # the kernel frees it as the process ends
            if monotonic() > deadline:
                raise OperatorError(
                    f"process {owner.pid} has lost the ledger and still has its message stores: {problem};"
                    " end it, then start again"
                )
            sleep(_LOOK_SECONDS / 10)
        self.stores_current = self._lock.found.is_of(standing.run)
        self._lock.note(self.run, standing.run)
        return True

    def _hand_over(self) -> None:
        self._stack.callback(self.lease.give_back)
        with suppress(DatabaseError):
            self.tell(ended=True)  # or we would think that a standby waits: ourselves
        self._line = None  # the lease's own from now on

    def tell(self, *, ended: bool = False) -> None:
        """Tell the holder that a standby waits here, or does not any more."""
        if self._line is None:  # the ledger is away: the note that we wait runs out by itself
            return
        place = f"{socket.gethostname()}:{self.config.gateway.state_dir}"
        leases.note_waiting(self._line, place, self.run, self.holder, self.config.gateway.lease_seconds, ended=ended)


def _schema_is_current(url: str) -> bool:
    made = engine(url)
    try:
        with database_errors(url):
            return schema_version(made) == SCHEMA_VERSION
    finally:
        made.dispose()


def claim(config: Config, stopped: Event) -> Claim | None:
    """Take lock and lease for a gateway that starts now; None if told to stop meanwhile.

    Waits for a lease whose holder may be dead, and raises OperatorError as soon as it is seen to be renewed.
    """
    made = Claim(config)
    with ExitStack() as unless_ours:
        unless_ours.enter_context(made)
        made.open(migrate=True)
        with database_errors(made.url):
            first = standing = made.look()
            while not made.is_free(standing) or not made.take(standing):
                if (standing.token, standing.renewed_at) != (first.token, first.renewed_at):
                    raise OperatorError(
                        f"another gateway is running on this ledger: {standing.who}; stop it first, or start this one"
                        " as its standby: oms run --standby"
                    )
                if standing is first:
                    log.info("waiting for a lease to run out or to be renewed", holder=standing.who)
                if stopped.wait(_LOOK_SECONDS):
                    return None
                standing = made.look()
        unless_ours.pop_all()
    return made


def stand_by(config: Config, stopped: Event, *, stores_may_be_lost: bool = False) -> Claim | None:
    """Wait until the gateway that has the ledger is gone, and take over; None if told to stop meanwhile.

    Raises OperatorError where it could never take over: the message stores here are not those that are in use, and
    nobody has said what to do about that (`stores_may_be_lost`).
    """
    made = Claim(config)
    files = _Files(config)
    with ExitStack() as unless_ours:
        unless_ours.enter_context(made)
        made.open(migrate=False)
        with database_errors(made.url):
            made.require_stores(made.look(), stores_may_be_lost)
        said, told_at, away = 0, -_TELL_SECONDS, False
        while not stopped.is_set():
            try:
                standing = made.look()
                if _take(made, standing):
                    made.config = files.config
                    unless_ours.pop_all()
                    return made
                if monotonic() - told_at >= _TELL_SECONDS:
                    made.tell()
                    files.look()
                    told_at = monotonic()
                if standing.token != said or away:
                    log.info("standing by", holder=standing.who)
                    said, away = standing.token, False
            except DatabaseError as error:
                if not away:
                    log.warning("the standby does not reach the ledger", error=str(error).strip())
                away = True
                made.drop_line()
                with suppress(OperatorError):
                    revive_database(config)
                stopped.wait(_TELL_SECONDS)
            stopped.wait(_LOOK_SECONDS)
        with suppress(DatabaseError):
            made.tell(ended=True)
    return None


def _take(made: Claim, standing: Standing) -> bool:
    if made.try_lock():
        return made.is_free(standing) and made.take(standing)
    return made.holder_hangs(standing) and made.take_from_hung(standing)


class _Files:
    """The configuration's files; a change is read when it is seen, so that the take-over need not."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._seen = self._marks()

    def _marks(self) -> list[tuple[str, int, int]]:
        files = self.config.files
        paths = [self.config.path, files.sessions, files.instruments, files.accounts]
        paths += sorted(files.fix_specs.glob("*"))
        found = []
        for path in paths:
            with suppress(OSError):
                state = path.stat()
                found.append((str(path), state.st_mtime_ns, state.st_size))
        return found

    def look(self) -> None:
        """Read it again if it has changed; one that is not whole is told and not used."""
        marks = self._marks()
        if marks == self._seen:
            return
        self._seen = marks
        try:
            new = load(self.config.path)
        except ConfigError as error:
            log.error("the configuration is broken: the standby keeps the last whole one", problems=error.report())
            return
        if (new.database, new.gateway.state_dir) != (self.config.database, self.config.gateway.state_dir):
            log.error("database and state_dir cannot change while a standby waits: start it again")
            return
        self.config = new
        log.info("the configuration has changed: the standby will use it")
