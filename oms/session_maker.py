"""Makes what speaks with counterparties: a sender for each session, an endpoint for all, an engine for each side.

At a start for all that are configured; later for those that are added (`oms.additions`). Nothing runs yet then.
Threads: at a start the main one, then the control socket's; `engines` and `senders` are read by any.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import timedelta

from oms import startup
from oms.config.load import Config
from oms.config.session_keys import Side
from oms.config.sessions import SessionSpec
from oms.core.book import Book
from oms.errors import OperatorError
from oms.fix.endpoint import Endpoint
from oms.fix.engine import Engine
from oms.fix.making import make_engine
from oms.fix.ports import Host
from oms.growing import Growing
from oms.inbox import Inbox
from oms.ops.barrier import Barrier
from oms.outbox import Sender
from oms.senders import make_senders
from oms.startup import Recovered


class SessionMaker:
    """Of one gateway. `held`: whether the lease is; `store_failed` is told of a store that cannot be written."""

    def __init__(
        self,
        config: Config,
        url: str,
        inbox: Inbox,
        book: Book,
        barrier: Barrier,
        held: Callable[[], bool],
        store_failed: Callable[[str, str], None],
    ) -> None:
        self._config = config
        self._url = url
        self._inbox = inbox
        self._barrier = barrier
        self._held = held
        self._store_failed = store_failed
        self.engines: Growing[Engine] = Growing()  # by side; of sessions that were added by side and names
        self.senders: Growing[Sender] = Growing()  # by session
        self._windows: dict[str, timedelta] = {}  # of brokers: how long a request may be resent
        self._endpoint = Endpoint(inbox, book, self.senders, self._windows, self._why_not_again, self._cut)

    def at_start(self, recovered: Recovered, wait: Callable[[float], object]) -> None:
        """For all sessions. `wait` is called over midnight."""
        made, senders = self.make(self._config, recovered, wait)
        self.engines.update({str(side): engine for side, engine in made})
        self.senders.update(senders)

    def open(self, side: str) -> None:
        """Let a side's sessions log on. Raises OperatorError where a port is taken."""
        try:
            self.engines[side].start()
        except OSError as error:
            raise OperatorError(
                f"cannot open the {side} sessions of {self._config.files.sessions}: {error};"
                " free the port or change SocketAcceptPort"
            ) from error

    def make(
        self, config: Config, recovered: Recovered, wait: Callable[[float], object]
    ) -> tuple[list[tuple[Side, Engine]], dict[str, Sender]]:
        """Engines with their sides, brokers first, which have opened their stores, and senders, by session.

        Raises OperatorError where the engine does not take the sessions of this configuration.
        """
        self._windows |= {
            one.name: timedelta(seconds=one.dialect.resend_window_seconds) for one in config.role("broker")
        }
        startup.carry_stores_over(config, wait)
        of = (self._endpoint, self._store_failed, self._held)
        made: list[tuple[Side, Engine]] = []
        try:
            for side, host, specs in self._groups(config):
                alone = dataclasses.replace(config, sessions={spec.name: spec for spec in specs})
                made.append((side, make_engine(alone, side, *of, host=host)))
        except OperatorError:
            for _, engine in made:
                engine.drop()
            raise
        engine_of = {name: engine for _, engine in made for name in engine.sessions}
        return made, make_senders(
            config,
            lambda spec: engine_of[spec.name].send,
            self._inbox,
            self._url,
            recovered,
            self._barrier.why_not,
            self._held,
        )

    def host_of(self, port: int) -> Host | None:
        """The engine that has a port for clients open; None where none has."""
        hosts = (engine for engine in self.engines.values() if isinstance(engine, Host))
        return next((one for one in hosts if port in one.ports), None)

    def _groups(self, config: Config) -> list[tuple[Side, Host | None, list[SessionSpec]]]:
        """Sessions that share an engine, brokers first: of a side all, but clients on open ports by who has them."""
        groups: list[tuple[Side, Host | None, list[SessionSpec]]] = []
        sides: tuple[Side, ...] = ("broker", "client")
        for side in sides:
            for spec in config.side(side):
                host = self.host_of(spec.port) if side == "client" else None
                found = next((specs for one, other, specs in groups if (one, other) == (side, host)), None)
                if found is None:
                    groups.append((side, host, [spec]))
                else:
                    found.append(spec)
        return groups

    def _cut(self, session: str) -> None:
        next(engine for engine in self.engines.values() if session in engine.sessions).cut(session)

    def _why_not_again(self, cl_ord_id: str) -> str:
        """Why an order or replace that the broker asks for again must not leave; '' where it may."""
        return self._barrier.why_not(cl_ord_id) if self._held() else "the lease on the ledger has run out"
