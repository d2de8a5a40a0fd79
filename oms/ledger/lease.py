"""The lease: who may write the ledger, for a bounded time, under a number that only goes up.

The row `gateway` of the table `leases` has the holder, its token and until when it holds by the database's clock.
Whoever takes it adds one to the token. Every commit names its token and locks the row against a change of it, in
its own transaction (`writer`): a gateway that was paused and comes back can never commit. Between commits the
holder goes by its own clock, which is counted from before it asked for the renewal and runs out a tenth early:
`held` is false before anybody else can hold the lease, however long the process was stopped.

Limits: a message may be between the question and the wire when the process is stopped (docs/decisions/one_writer.md).
Threads: `held`, `seconds_left` and `lose` from any; renewing and watching have a thread each; who asked by
`when_lost` is told once, by whichever thread finds out.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple

import psycopg
import structlog

from oms.errors import LeaseLost
from oms.ledger.database import connect, gateway_connection

log = structlog.get_logger("oms.lease")

DatabaseError = psycopg.Error  # what every function here may raise

GATEWAY = "gateway"  # the row's name; those of standbys begin with STANDBY
STANDBY = "standby "
_EARLY = 0.1  # part of the lease's time that is not used: clocks do not run alike
_RENEWALS = 5  # within the lease's time
_LOOK_AGAIN = 0.05  # seconds
# A line to the server that is dead is noticed on both sides within seconds, not by the systems' hours.
PATIENCE: dict[str, Any] = {
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 5000,
}
_COLUMNS = (
    "token, run, holder, seconds, renewed_at, released, extract(epoch FROM clock_timestamp() - renewed_at)::float,"
    " expires_at <= clock_timestamp()"
)
_LOOK = f"SELECT {_COLUMNS} FROM leases WHERE name = '{GATEWAY}'"
_TAKE = (
    "UPDATE leases SET token = token + 1, run = %(run)s, holder = %(holder)s, seconds = %(seconds)s,"
    " renewed_at = clock_timestamp(), expires_at = clock_timestamp() + make_interval(secs => %(seconds)s),"
    f" released = false WHERE name = '{GATEWAY}' AND token = %(token)s"
)
_RENEW = (
    "UPDATE leases SET renewed_at = clock_timestamp(), released = false,"
    " expires_at = clock_timestamp() + make_interval(secs => seconds)"
    f" WHERE name = '{GATEWAY}' AND token = %s"
    f" RETURNING (SELECT count(*) FROM leases WHERE starts_with(name, '{STANDBY}')"
    " AND NOT released AND expires_at > clock_timestamp())"
)
_RELEASE = (
    f"UPDATE leases SET released = true, expires_at = clock_timestamp() WHERE name = '{GATEWAY}' AND token = %s"
)
_WAIT = (
    "INSERT INTO leases (name, token, run, holder, seconds, renewed_at, expires_at, released) VALUES (%(name)s, 0,"
    " %(run)s, %(holder)s, %(seconds)s, clock_timestamp(), clock_timestamp() + make_interval(secs => %(seconds)s),"
    " %(released)s) ON CONFLICT (name) DO UPDATE SET run = excluded.run, holder = excluded.holder,"
    " seconds = excluded.seconds, renewed_at = excluded.renewed_at, expires_at = excluded.expires_at,"
    " released = excluded.released"
)


if sys.platform == "linux":

    def _since_boot() -> float:
        """Seconds by a clock that nobody sets; it counts the time that the machine sleeps, too."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

else:
    _since_boot = time.monotonic


class Standing(NamedTuple):
    """The lease as the ledger has it. `age`: seconds since the last renewal, by the database's clock."""

    token: int
    run: str
    holder: str
    seconds: int
    renewed_at: datetime
    released: bool
    age: float
    expired: bool

    @property
    def who(self) -> str:
        """For people: who holds or held it, and when that was last renewed."""
        return f"{self.holder or 'nobody'}, lease {self.token}, renewed {max(self.age, 0.0):.1f} s ago"


def lease_connection(url: str, application_name: str) -> psycopg.Connection[Any]:
    """A connection for leases; a dead server is noticed within seconds. Raises psycopg.Error."""
    made = gateway_connection(url, autocommit=True, application_name=application_name, connect_timeout=2, **PATIENCE)
    made.execute("SET synchronous_commit = on")  # a renewal that a crash of the server forgets would be a lie
    return made


def look(connection: psycopg.Connection[Any]) -> Standing:
    """Who holds the ledger."""
    row = connection.execute(_LOOK.encode()).fetchone()
    if row is None:
        raise LeaseLost("the table leases has no row 'gateway': the ledger was changed by other hands")
    return Standing(*row)


def waiting(connection: psycopg.Connection[Any]) -> list[str]:
    """The standbys that wait, for people."""
    rows = connection.execute(
        "SELECT holder FROM leases WHERE starts_with(name, %s) AND NOT released"
        " AND expires_at > clock_timestamp() ORDER BY name",
        (STANDBY,),
    )
    return [row[0] for row in rows]


def lease_status(url: str) -> dict[str, Any] | None:
    """Who has the ledger, for people and programs; None where the schema has no leases yet. Raises psycopg.Error."""
    with connect(url, autocommit=True) as connection:
        try:
            found = look(connection)
        except psycopg.errors.UndefinedTable:
            return None
        state = "given back" if found.released else "run out" if found.expired else "held"
        return {
            "state": state if found.token else "never held",
            "token": found.token,
            "holder": found.holder,
            "renewed_at": found.renewed_at,
            "seconds": found.seconds,
            "standbys": waiting(connection),
        }


def note_waiting(
    connection: psycopg.Connection[Any], place: str, run: str, holder: str, seconds: int, *, ended: bool = False
) -> None:
    """Tell the holder that a standby waits at a place (or does not any more)."""
    values = {"name": STANDBY + place, "run": run, "holder": holder, "seconds": seconds, "released": ended}
    connection.execute(_WAIT.encode(), values)


def end_writers(url: str, lock: int, token: int) -> None:
    """End the connections that still hold the writer's advisory lock, if the lease is still ours.

    They are of the gateway before, or our own before a cut: the server may not notice for long that nobody is
    at the other end. Not as the gateway's role, which may not end what its own user began.
    """
    with connect(url, autocommit=True, **PATIENCE) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            " AND classid = 0 AND objid = %s AND pid <> pg_backend_pid()"
            f" AND EXISTS (SELECT FROM leases WHERE name = '{GATEWAY}' AND token = %s)".encode(),
            (lock, token),
        )


class Lease:
    """The lease of one run of a gateway; taken once, renewed until it is given back or lost."""

    def __init__(self, url: str, run: str, holder: str, seconds: int) -> None:
        self._url = url
        self.run = run
        self.holder = holder
        self.seconds = seconds
        self.token = 0
        self.standbys = 0  # as of the last renewal
        self._until = 0.0
        self._over = False
        self._guard = threading.Lock()
        self._ended = threading.Event()
        self._on_lost: Callable[[LeaseLost], None] = lambda error: None
        self._error: LeaseLost | None = None
        self._connection: psycopg.Connection[Any] | None = None
        self._threads: list[threading.Thread] = []

    # -- any thread ------------------------------------------------------------------------------------------

    def held(self) -> bool:
        """Whether it is ours for certain, now. Asked before every message; costs a fraction of a microsecond."""
        return _since_boot() < self._until

    def seconds_left(self) -> float:
        """Seconds for which it is ours without another renewal; 0.0 where it is not."""
        return max(self._until - _since_boot(), 0.0)

    def when_lost(self, tell: Callable[[LeaseLost], None]) -> None:
        """Whom to tell of its loss; at once, if it is lost by now."""
        with self._guard:
            self._on_lost = tell
            error = self._error
        if error is not None:
            tell(error)

    def lose(self, error: LeaseLost) -> None:
        """It is not ours any more, whoever found out. Nothing leaves from now on."""
        with self._guard:
            self._until = 0.0
            if self._over:
                return
            self._over, self._error = True, error
            tell = self._on_lost
        self._ended.set()
        tell(error)

    # -- taking and giving back --------------------------------------------------------------------------------

    def take(self, connection: psycopg.Connection[Any], seen: Standing) -> bool:
        """Take it from whom it was seen with; False if another was quicker. Then begins to renew it."""
        asked = _since_boot()
        values = {"run": self.run, "holder": self.holder, "seconds": self.seconds, "token": seen.token}
        if connection.execute(_TAKE.encode(), values).rowcount != 1:
            return False
        self.token = seen.token + 1
        self._hold(asked)
        self._connection = connection
        for name, work in (("lease", self._renew), ("lease-watch", self._watch)):
            thread = threading.Thread(target=work, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()
        return True

    def give_back(self) -> None:
        """Nothing of ours runs any more: the next one need not wait."""
        with self._guard:
            self._over, self._until = True, 0.0
        self._ended.set()
        for thread in self._threads:
            thread.join(2.0)
        with suppress(psycopg.Error):
            if not self._threads[0].is_alive() and self._error is None:
                self._line().execute(_RELEASE.encode(), (self.token,))
        self._drop_line()

    # -- the lease's threads -----------------------------------------------------------------------------------

    def _hold(self, asked: float) -> None:
        with self._guard:
            if not self._over:
                self._until = asked + self.seconds * (1 - _EARLY)

    def _line(self) -> psycopg.Connection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = lease_connection(self._url, "oms lease")
        return self._connection

    def _renew(self) -> None:
        """Renew it until it ends; what the database refuses or does not answer is tried again."""
        told = False
        while not self._ended.wait(self.seconds / _RENEWALS):
            asked = _since_boot()
            try:
                row = self._line().execute(_RENEW.encode(), (self.token,)).fetchone()
                if row is None:
                    self.lose(LeaseLost(f"another gateway has taken the ledger over: {look(self._line()).who}"))
                    return
            except psycopg.Error as error:
                if not told:
                    log.warning("the lease could not be renewed", error=str(error).strip(), left=self.seconds_left())
                told = True
                self._drop_line()
                continue
            self.standbys = row[0]
            self._hold(asked)
            if told:
                log.info("the lease is renewed again", token=self.token)
                told = False

    def _drop_line(self) -> None:
        with suppress(psycopg.Error):
            if self._connection is not None:
                self._connection.close()

    def _watch(self) -> None:
        """When it runs out: nothing leaves, and where a standby may have it by now, this gateway ends.

        A thread of its own, because the one that renews may wait for a server that does not answer.
        """
        told = False
        while not self._ended.wait(max(self.seconds_left(), _LOOK_AGAIN)):
            if self.held():
                told = False
                continue
            if self.standbys:
                self.lose(
                    LeaseLost(
                        f"the lease on the ledger (token {self.token}) could not be renewed for"
                        f" {self.seconds * (1 - _EARLY):.1f} s, and a standby waits that may have it by now"
                    )
                )
                return
            if not told:
                log.error("the lease has run out: nothing leaves until it is renewed", token=self.token)
                told = True
