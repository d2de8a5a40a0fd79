"""What befalls Postgres and the lines: each does its harm while orders are under way, and mends it.

Statements run as the server's superuser on a connection of their own; SIGKILL goes to processes of this run alone.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

from matrixlib.pgproxy import PgProxy
from matrixlib.place import fill
from oms.demo.chaos import Moment
from oms.demo.plan import CLIENTS
from oms.demo.processes import DemoFailure
from oms.ledger.embedded import EmbeddedPostgres
from stormlib.storm import RECOVERY_SECONDS, Storm

BROKEN_SECONDS = 2.5  # how long a breakage lasts that does not end by itself
HALF_OPEN_SECONDS = 25.0  # more than 2.4 heartbeats
_READ_ONLY = "EXECUTE format('ALTER DATABASE %I {}', current_database())"
_OURS = "application_name IN ('oms writer', 'oms reader') AND datname = current_database()"


class Breakages(Storm):
    """The storm's stage, with more ways to break."""

    has_small_disk = False

    # -- Postgres ------------------------------------------------------------------------------------------

    @contextmanager
    def statements(self, *texts: str) -> Iterator[psycopg.Connection]:
        """A connection on which these were run."""
        with psycopg.connect(self._url, autocommit=True) as connection:
            for one in texts:
                connection.execute(one.encode())
            yield connection

    def last(self, seconds: float = BROKEN_SECONDS) -> None:
        """Let the breakage last."""
        with suppress(DemoFailure):
            self._processes.wait_until(lambda: False, seconds, "")

    def _back(self, moment: Moment) -> float:
        self._until(self._gateway_has_its_ledger, RECOVERY_SECONDS, "the gateway to have its ledger again")
        return moment.seconds

    def kill_server(self, _: str) -> str:
        """SIGKILL to the server, which the gateway starts again."""
        return f"Postgres killed, running again after {self._kill_postgres(Moment.now()):.1f} s"

    def kill_server_idle(self, _: str) -> str:
        """SIGKILL to the server when nothing is under way: the gateway finds out by itself."""
        self._until(self._finished, RECOVERY_SECONDS, "the orders to end")
        self._wait_for_quiet()
        return f"killed while all was quiet, running again after {self._kill_postgres(Moment.now()):.1f} s"

    def kill_backends(self, _: str) -> str:
        """SIGKILL to its connections, so that the server recovers."""
        return self._kill_backends()

    def restart_server(self, _: str) -> str:
        """The server is stopped as an administrator would, and the gateway starts it again."""
        moment, running = Moment.now(), EmbeddedPostgres(self.place.postgres).postmaster()
        assert running is not None
        os.kill(running.pid, signal.SIGINT)

        def other() -> bool:
            now = EmbeddedPostgres(self.place.postgres).postmaster()
            return now is not None and now.pid != running.pid

        self._until(other, RECOVERY_SECONDS, "Postgres to run again")
        return f"stopped in an orderly way, the ledger is back after {self._back(moment):.1f} s"

    def end_connections(self, _: str) -> str:
        """Every connection of the gateway is ended by the server."""
        moment = Moment.now()
        ended = self._end_ours()
        return f"{ended} connections ended, back after {self._back(moment):.1f} s"

    def _end_ours(self) -> int:
        """How many connections of the gateway were ended."""
        with self.statements() as here:
            ended = here.execute(
                f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE {_OURS}".encode()
            ).fetchone()
        return int(ended[0]) if ended else 0

    def raise_disk_full(self, _: str) -> str:
        """The server refuses every batch with its own code for a full disk."""
        raised = "RAISE EXCEPTION 'No space left on device' USING ERRCODE = 'disk_full'"
        with self.statements(
            f"CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {raised}; END $$",
            "CREATE TRIGGER full_disk BEFORE INSERT ON journal EXECUTE FUNCTION full_disk()",
        ) as here:
            self.last()
            here.execute("DROP FUNCTION full_disk CASCADE")
        return f"error 53100 for {BROKEN_SECONDS} s"

    def make_read_only(self, _: str) -> str:
        """The database takes no writes for a while."""
        with self.statements(
            f"DO $$ BEGIN {_READ_ONLY.format('SET default_transaction_read_only = on')}; END $$",
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {_OURS}",
        ) as here:
            self.last()
            here.execute(b"SET default_transaction_read_only = off")
            here.execute(f"DO $$ BEGIN {_READ_ONLY.format('RESET default_transaction_read_only')}; END $$".encode())
        return f"read-only for {BROKEN_SECONDS} s"

    def make_slow(self, _: str) -> str:
        """Every commit takes half a second longer for a while."""
        body = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.5);"
        with self.statements(
            f"{body} RETURN NULL; END $$", "CREATE TRIGGER slow BEFORE INSERT ON journal EXECUTE FUNCTION slow()"
        ) as here:
            self.last()
            here.execute("DROP FUNCTION slow CASCADE")
        return f"0.5 s more for each commit, for {BROKEN_SECONDS} s"

    def lock_out(self, _: str) -> str:
        """Another session holds a lock that every commit needs."""
        with self.statements("BEGIN", "LOCK TABLE batches IN ACCESS EXCLUSIVE MODE") as here:
            self.last()
            here.execute("COMMIT")
        return f"a lock held for {BROKEN_SECONDS} s"

    def fill_disk(self, _: str) -> str:
        """The file system of Postgres has no room left for a while."""
        ballast = fill(self.place.directory / "state")
        try:
            self.last()
            server = EmbeddedPostgres(self.place.postgres).postmaster()
        finally:
            ballast.unlink()
        moment = Moment.now()
        self._until(lambda: "the ledger is back" in self._gateway_log(), RECOVERY_SECONDS, "the ledger to be back")
        said = "the gateway said so" if "No space left" in self._gateway_log() else "the gateway DID NOT SAY SO"
        lived = said if server is not None else "the server died of it"
        return f"no room for {BROKEN_SECONDS} s, {lived}, back {moment.seconds:.1f} s after there was some"

    # -- lines ---------------------------------------------------------------------------------------------

    def cut_all(self, _: str) -> str:
        """Every connection is reset."""
        for link in self._links.values():
            link.cut()
        return "every connection cut"

    def cut_within(self, _: str) -> str:
        """Every connection is reset in the middle of a message, or of its TLS record, that is on its way."""
        for link in self._links.values():
            link.cut_within()
        doomed = sum(link.doomed for link in self._links.values())
        self._until(
            lambda: not any(link.doomed for link in self._links.values()), HALF_OPEN_SECONDS, "lines to be cut"
        )
        return f"{doomed} connections cut, each after half of what came next"

    def lose_packets(self, name: str) -> str:
        """The other side is gone without a word; for a broker until the gateway's heartbeats find out."""
        link, moment = self._links[name], Moment.now()
        link.hold()
        try:
            if name == "clients":  # theirs is the heartbeat interval, and a minute is long
                self.last()
            else:
                self._until(lambda: not self._is_on(name), HALF_OPEN_SECONDS, f"{name} to be found out")
        finally:
            seconds = moment.seconds
            link.cut()
            link.release()
        return f"nothing carried for {seconds:.1f} s, then reset with what was on its way"

    def stop_reading(self, name: str) -> str:
        """The other side keeps its line and reads nothing, until the gateway cuts it."""
        link, moment = self._links[name], Moment.now()
        link.hold("caller" if name == "clients" else "target")
        names = [client.name for client in CLIENTS] if name == "clients" else [name]

        def found_out() -> bool:
            return self._was_cut() or not all(self._is_on(one) for one in names)

        try:
            self._until(found_out, RECOVERY_SECONDS, "the gateway to cut the line")
        finally:
            seconds = moment.seconds
            link.release()
        how = "then cut by the gateway" if self._was_cut() else "found out by heartbeats: THE BUFFERS WERE NOT FULL"
        return f"nothing read for {seconds:.1f} s, {how}"

    def _was_cut(self) -> bool:
        return "the line is cut" in self._gateway_log()

    def _is_on(self, name: str) -> bool:
        return any(one.position.session == name and one.position.logged_on for one in self._sessions())

    def _gateway_log(self) -> str:
        log: Path = self._processes.children["gateway"].log
        return log.read_text(errors="replace")[self.log_from :]

    log_from = 0
    proxy: PgProxy
