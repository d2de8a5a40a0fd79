"""Makes what speaks with counterparties: a sender for each session, an endpoint for all, an engine for each side.

At a start for all that are configured; later for those that are added (`oms.additions`). Nothing runs yet then.
Threads: at a start the main one, then the control socket's; `engines` and `senders` are read by any.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from oms import startup
from oms.config.load import Config
from oms.config.session_keys import Side
from oms.core.book import Book
from oms.errors import OperatorError
from oms.fix.endpoint import Endpoint
from oms.fix.engine import Engine
from oms.fix.making import make_engine
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
        engines, senders = self.make(self._config, recovered, wait)
        self.engines.update({str(side): engine for side, engine in engines.items()})
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
    ) -> tuple[dict[Side, Engine], dict[str, Sender]]:
        """Engines by side, which have opened their stores, and senders, for the sessions of a configuration.

        Raises OperatorError where the engine does not take them.
        """
        self._windows |= {
            one.name: timedelta(seconds=one.dialect.resend_window_seconds) for one in config.role("broker")
        }
        startup.carry_stores_over(config, wait)
        sides: tuple[Side, ...] = ("broker", "client")
        of = (self._endpoint, self._store_failed, self._held)
        engines = {side: make_engine(config, side, *of) for side in sides if config.side(side)}
        return engines, make_senders(
            config,
            lambda spec: lambda session, texts: engines[spec.side].send(session, texts),
            self._inbox,
            self._url,
            recovered,
            self._barrier.why_not,
            self._held,
        )

    def _cut(self, session: str) -> None:
        next(engine for engine in self.engines.values() if session in engine.sessions).cut(session)

    def _why_not_again(self, cl_ord_id: str) -> str:
        """Why an order or replace that the broker asks for again must not leave; '' where it may."""
        return self._barrier.why_not(cl_ord_id) if self._held() else "the lease on the ledger has run out"
