"""A gateway with its counterparties for one test: configuration, ledger, clients and brokers on loopback.

    house = House(tmp_path, postgres_url, clients={"CLIENT1": "4.4"}, brokers={"BROKER1": "4.2"})
    house.start()                       # the gateway, in a thread of this process
    client, broker = house.client("CLIENT1"), house.broker("BROKER1")
    client.send(new_order("A1"))
    asked = broker.expect("D")
    broker.send(report(broker, asked, "0"))

`close` stops everything, in parallel, because every engine takes its second. The gateway's own CompID is
unique per house, so that houses of one process do not meet. Waiting for the ledger or for a process is the one
place where a test polls, with a deadline (`until`).
"""

from __future__ import annotations

import itertools
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import quickfix as fix
from psycopg.rows import dict_row

from oms.app import Gateway
from oms.config.load import Config, load
from oms.demo.place import free_ports
from oms.ledger.database import connect
from oms.ledger.database import engine as ledger_engine
from oms.ledger.verify import verify_chain
from oms.sim.peer import FixPeer
from oms.sim.session import BEGIN_STRINGS, tls_settings
from stormlib.certificates import Certificates
from tests.system.nursery import Forked, Nursery

SECONDS = 15.0
DIALECT_OF = {"4.2": "standard-fix42", "4.4": "standard-fix44", "5.0SP2": "standard-fix50sp2"}
FIX_SPECS = Path(__file__).parents[2] / "fix_specs"
_numbers = itertools.count(1)
T = TypeVar("T")

INSTRUMENTS = """\
symbol,security_exchange,currency,tick_size,lot_size,reference_price,min_price,max_price,tradable
AAPL,XNAS,USD,0.01,1,150,,,Y
SAP,XETR,EUR,0.01,1,180,,,Y
"""


def until(reached: Callable[[], T], what: str | Callable[[], str], seconds: float = SECONDS) -> T:
    """The first true answer of `reached`; AssertionError naming `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (answer := reached()):
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {seconds} s: {what if isinstance(what, str) else what()}")
        time.sleep(0.01)
    return answer


def in_parallel(actions: Sequence[Callable[[], object]]) -> None:
    """Run all at once; the first failure is raised after all have ended."""
    failures: list[BaseException] = []

    def guarded(action: Callable[[], object]) -> None:
        try:
            action()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


class _ByTarget:
    """Sends as programs in general do: by the session's id, which asks no session whether it is logged on."""

    def __init__(self, session_id: Any) -> None:
        self._session_id = session_id

    def send(self, texts: list[str]) -> tuple[list[str], str]:
        for text in texts:
            assert fix.Session.sendToTarget(fix.Message(text, False), self._session_id)
        return texts, ""


class House:
    """See the module head."""

    def __init__(
        self,
        directory: Path,
        url: str,
        *,
        clients: Mapping[str, str],
        brokers: Mapping[str, str],
        routes: str = "",
        dialect: Mapping[str, str] | None = None,
        session_keys: Mapping[str, str] | None = None,
        dialects: Mapping[str, str] | None = None,
        toml: str = "",
        trading: str = "on",
        after_unclean_stop: str = "trade",
    ) -> None:
        self.directory, self.url = directory, url
        self.clients, self.brokers = dict(clients), dict(brokers)
        self.dialects = dict(dialects or {})  # by session, where it is not the standard one of its version
        self.comp_id = f"OMS{next(_numbers)}"
        ports = free_ports(1 + len(brokers))
        self.client_port = ports[0]
        self.broker_ports = dict(zip(brokers, ports[1:], strict=True))
        self.config_file = directory / "oms.toml"
        self.peers: dict[str, FixPeer] = {}
        self.certificates: Certificates | None = None
        self.gateway: Gateway | None = None
        self.process: Forked | None = None
        self.error: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._ledger: psycopg.Connection[dict[str, Any]] | None = None
        self.after_unclean_stop = after_unclean_stop
        self._write(routes, dialect or {}, session_keys or {}, toml, trading)

    # -- configuration -----------------------------------------------------------------------------------

    def _write(
        self, routes: str, dialect: Mapping[str, str], keys: Mapping[str, str], toml: str, trading: str
    ) -> None:
        shutil.copytree(FIX_SPECS, self.directory / "fix_specs")
        for file in (self.directory / "fix_specs").glob("*.toml"):
            text = file.read_text()
            for old, new in dialect.items():
                text = text.replace(old, new)
            file.write_text(text)
        (self.directory / "instruments.csv").write_text(INSTRUMENTS)
        accounts = "".join(f"{name},*,Y\n" for name in ("FUND1", *(f"TO-{name}" for name in self.brokers)))
        (self.directory / "accounts.csv").write_text("account,clients,active\n" + accounts)
        sessions = "".join(self._session(name, version, keys.get(name, "")) for name, version in self._all())
        head = f"[DEFAULT]\nSenderCompID={self.comp_id}\nReconnectInterval=1\nHeartBtInt=30\n"
        (self.directory / "sessions.cfg").write_text(head + sessions)
        first, *others = self.brokers
        by_account = "".join(
            f'[[routes]]\nname = "to-{name}"\naccount = "TO-{name}"\nbroker = "{name}"\n' for name in self.brokers
        )
        default = f'[[routes]]\nname = "default"\nbroker = "{first}"\n'
        if others:
            default += "fallbacks = [" + ", ".join(f'"{name}"' for name in others) + "]\n"
        self.config_file.write_text(
            f'[gateway]\nstate_dir = "state"\ntrading = "{trading}"\n'
            f'after_unclean_stop = "{self.after_unclean_stop}"\n[database]\nurl = "{self.url}"\n'
            "[limits]\nmax_order_qty = 1000000\nmax_order_notional = 1000000000\n"
            f'[log]\nlevel = "warning"\n{toml}{routes or by_account + default}'
        )
        self.config_file.chmod(0o600)

    def _all(self) -> list[tuple[str, str]]:
        return [*self.clients.items(), *self.brokers.items()]

    def _session(self, name: str, version: str, more: str) -> str:
        lines = [f"[SESSION]\nOmsName={name}\nTargetCompID={name}\nBeginString={BEGIN_STRINGS[version]}"]
        if name in self.clients:
            lines.append(f"ConnectionType=acceptor\nSocketAcceptPort={self.client_port}")
        else:
            port = self.broker_ports[name]
            lines.append(f"ConnectionType=initiator\nSocketConnectHost=127.0.0.1\nSocketConnectPort={port}")
        if version == "5.0SP2":
            lines.append("DefaultApplVerID=FIX.5.0SP2")
        lines.append(f"OmsDialect={self.dialects.get(name, DIALECT_OF[version])}\n{more}")
        return "\n".join(lines) + "\n"

    def secure(self) -> None:
        """Every session over TLS, with certificates on both sides; before anybody is started."""
        self.certificates = Certificates(self.directory / "certificates")
        sessions = self.directory / "sessions.cfg"
        lines = f"[DEFAULT]\n{self.certificates.of_gateway()}"
        sessions.write_text(sessions.read_text().replace("[DEFAULT]\n", lines))

    @property
    def config(self) -> Config:
        return load(self.config_file)

    # -- the gateway in this process ---------------------------------------------------------------------

    def start(self) -> Gateway:
        """Start the gateway in a thread and wait until it is open; raises what it raised."""
        gateway = Gateway(self.config)
        opened = threading.Event()
        self.gateway, self.error = gateway, None

        def run() -> None:
            try:
                gateway.run(opened.set)
            except BaseException as error:
                self.error = error
            finally:
                opened.set()

        self._thread = threading.Thread(target=run, name="gateway")
        self._thread.start()
        assert opened.wait(120), "the gateway did not start"
        if self.error is not None:
            self._thread.join()
            self.gateway = None
            raise self.error
        return gateway

    def stop(self) -> None:
        """An orderly stop; raises what the gateway raised meanwhile."""
        if self.gateway is None or self._thread is None:
            return
        self.gateway.stop()
        self.join()
        if self.error is not None:
            raise self.error

    def join(self, seconds: float = 30) -> None:
        """Wait until the gateway has ended."""
        assert self._thread is not None
        self._thread.join(seconds)
        assert not self._thread.is_alive(), "the gateway did not stop"
        self.gateway = None

    # -- the gateway as a process of its own ---------------------------------------------------------------

    def fork(self, nursery: Nursery, *, new_machine: bool = False) -> Forked:
        """Start the gateway as a process, and wait until its first batch is committed."""
        before = self.rows("SELECT coalesce(max(batch), 0) AS batch FROM batches")[0]["batch"]
        self.process = nursery.start(self.config_file, new_machine=new_machine)
        self.until("SELECT FROM journal WHERE kind = 'config' AND batch > %s", before)
        return self.process

    # -- counterparties ----------------------------------------------------------------------------------

    def peer(self, name: str) -> FixPeer:
        """The counterparty of this name, made and started at the first call."""
        if name not in self.peers:
            client = name in self.clients
            direction = "initiator" if client else "acceptor"
            files = None if self.certificates is None else self.certificates.of_simulator(name)
            self.peers[name] = FixPeer(
                direction,
                (self.clients | self.brokers)[name],
                name,
                self.comp_id,
                self.client_port if client else self.broker_ports[name],
                self.directory / "peers" / name,
                tls=files is not None,
                settings={} if files is None else tls_settings(direction, *files),
            ).start()
        return self.peers[name]

    def up(self, *names: str) -> list[FixPeer]:
        """These counterparties, logged on, and known to be so by the gateway's core."""
        peers = [self.peer(name) for name in names]
        for peer in peers:
            peer.wait_logged_on()
        self.until_logged_on(*names)
        return peers

    def drop(self, name: str) -> None:
        """Take a counterparty off the air; `peer` makes it anew on the same sequence numbers."""
        peer = self.peers.pop(name)
        peer.disconnect()
        peer.stop()
        self.until("SELECT FROM session_positions WHERE session = %s AND NOT logged_on", name)

    def numbers_agree(self, name: str) -> bool:
        """Whether both sides of a session of a gateway in this process expect what the other will send next."""
        assert self.gateway is not None
        role = "client" if name in self.clients else "broker"
        ours = self.gateway._engines[role].numbers(name)
        theirs = self.peer(name).engine.numbers(name)
        return ours == theirs[::-1]

    def send_away(self, name: str, text: str) -> None:
        """A counterparty sends while it is logged out: its engine keeps the message for the next logon.

        Our engine would refuse that; so the message goes the way by which other programs send.
        """
        peer = self.peer(name)
        handle = peer.engine.sessions[name]
        assert not handle.logged_on
        native = handle.engine_session
        handle.logged_on, handle.engine_session = True, _ByTarget(handle.native_id)
        try:
            peer.send(text)
        finally:
            handle.logged_on, handle.engine_session = False, native

    def close(self) -> None:
        """Stop everything, whatever its state."""
        if self.process is not None and self.process.alive:
            self.process.kill()
        if self._ledger is not None:
            self._ledger.close()
        stops: list[Callable[[], object]] = []
        for peer in self.peers.values():
            if peer.logged_on:
                peer.disconnect()  # a cut line needs no Logout(5), which takes an engine a second
            stops.append(peer.stop)
        self.peers = {}
        if self.gateway is not None:
            stops.append(self.stop)
        in_parallel(stops)

    # -- the ledger --------------------------------------------------------------------------------------

    def rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        """Rows of the ledger, as they are committed now."""
        if self._ledger is not None and not self._ledger.closed:
            with suppress(psycopg.OperationalError):  # the server may have been away
                return self._ledger.execute(query.encode(), values).fetchall()
        self._ledger = connect(self.url, autocommit=True, row_factory=dict_row)
        return self._ledger.execute(query.encode(), values).fetchall()

    def until(self, query: str, *values: object, seconds: float = SECONDS) -> list[dict[str, Any]]:
        """The rows as soon as there are any."""
        return until(lambda: self.rows(query, *values), f"{query} {values}", seconds)

    def until_logged_on(self, *names: str) -> None:
        """Wait until the ledger has these sessions as logged on: from then on routing counts on them."""
        for name in names:
            self.until("SELECT FROM session_positions WHERE session = %s AND logged_on", name)

    def items(self) -> list[tuple[str, str, str]]:
        """Kind, severity and session of every exception item, in order."""
        found = self.rows("SELECT kind, severity, session FROM exception_items ORDER BY seq, item_id")
        return [(row["kind"], row["severity"], row["session"]) for row in found]

    def state_of(self) -> str:
        """What the ledger has of each message, one short line each, for a test that failed."""
        found = self.rows(
            "SELECT journal.seq, batch, kind, journal.session, msg_type, journal.msg_seq_num AS number, outcome,"
            " sends.msg_seq_num AS sent, substring(convert_from(raw, 'LATIN1') from '\x01(11=[^\x01]*)') AS id"
            " FROM journal LEFT JOIN sends USING (seq) ORDER BY journal.seq"
        )
        return "\n".join(" ".join(str(value) for value in row.values() if value is not None) for row in found)

    def check_chain(self) -> None:
        """The journal's hash chain holds."""
        made = ledger_engine(self.url, read_only=True)
        try:
            chain = verify_chain(made)
        finally:
            made.dispose()
        assert chain.ok, chain.problem
