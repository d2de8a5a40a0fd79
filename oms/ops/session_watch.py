"""What can be seen of the sessions beside the engine's numbers: ports, lines, threads, certificates, who is drained.

For `oms health` and for the metrics. Certificates are as the engines read them, once.
Threads: called from the control socket's and from scrapes; reads only. The three watches have one each.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from time import monotonic

from oms.config.certificates import SOON_DAYS, Ends, ends_of
from oms.config.load import Config
from oms.config.sessions import SessionSpec
from oms.fix.engine import Engine
from oms.fix.lines import LineWatch
from oms.fix.listening import ListenWatch
from oms.fix.turning import REMEDY, TurnWatch
from oms.ops.standing import KeptOut

Samples = Mapping[tuple[str, ...], float]
Said = tuple[str, str, str]  # about, state, text: a finding


class SessionWatch:
    """Of one gateway. `prices`: the engines of market data sessions, whose threads are watched too."""

    def __init__(
        self,
        config: Config,
        engines: Callable[[], Mapping[str, Engine]],
        drained: Mapping[str, KeptOut],
        held_back: Callable[[], Container[str]] = frozenset,
        stopping: Callable[[], bool] = lambda: False,
        prices: Callable[[], Iterable[Engine]] = tuple,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._engines = engines
        self._drained = drained
        self._clock = clock
        clients, brokers = ([spec.port for spec in config.side(side)] for side in ("client", "broker"))
        self.listening = ListenWatch(clients, self._accepted, stopping=stopping)
        everywhere = lambda: (*self._engines().values(), *prices())  # noqa: E731
        self.turning = TurnWatch(everywhere, held_back, stopping=stopping)
        self._lines = LineWatch(clients, brokers, config.gateway.stalled_line_seconds)
        found = {one for spec in config.sessions.values() if spec.tls for one in ends_of(spec.settings)}
        self.certificates: tuple[Ends, ...] = tuple(sorted(found))

    def _accepted(self) -> Mapping[int, float]:
        return {port: at for engine in self._engines().values() for port, at in engine.accepted.copy().items()}

    def start(self) -> None:
        """Begin to look."""
        for watch in (self._lines, self.listening, self.turning):
            watch.start()

    def stop(self) -> None:
        """Look no more."""
        for watch in (self._lines, self.listening, self.turning):
            watch.stop()

    def added(self, specs: Iterable[SessionSpec]) -> None:
        """Sessions that are here from now on, the ports of clients open."""
        clients, brokers = ([spec.port for spec in specs if spec.side == side] for side in ("client", "broker"))
        self.listening.add(clients)
        self._lines.add(clients, brokers)
        found = {one for spec in specs if spec.tls for one in ends_of(spec.settings)}
        self.certificates = tuple(sorted({*self.certificates, *found}))

    def findings(self) -> Iterator[Said]:
        """What is to be told, most of it only where there is something."""
        for port in self.listening.ports:
            since = self.listening.silent.get(port)
            if since is None:
                yield f"port {port}", "ok", "takes connections"
            else:
                text = (
                    f"nobody has taken connections for {monotonic() - since:.0f} s: the engine's listening thread"
                    " does not turn; sessions that are logged on go on, others cannot log on until the next start"
                )
                yield f"port {port}", "bad", text
        for name, seconds in sorted(self.turning.still.items()):
            text = f"no thread of the engine has looked after it for {seconds:.0f} s; {REMEDY}"
            yield f"thread of {name}", "bad", text
        now = self._clock()
        for one in self.certificates:
            if (one.at - now).days < SOON_DAYS:
                state = "bad" if one.at <= now else "warn"
                remedy = "put a new one there and start the gateway again"
                yield one.key, state, f"{one.file} {one.says(now)}; {remedy}"
        for name, why in sorted(self._drained.items()):
            yield f"session {name}", "warn", f"{why.text}; `oms sessions drain {name} --undo` takes new orders again"

    def samples(self) -> dict[str, Samples]:
        """For the metrics."""
        now = self._clock()
        handles = [one for engine in self._engines().values() for one in engine.sessions.values()]
        silent = self.listening.silent
        return {
            "oms_listening": {(str(port),): int(port not in silent) for port in self.listening.ports},
            "oms_session_turning": {(name,): int(turns) for name, turns in self.turning.turning.items()},
            "oms_certificate_expiry_seconds": {
                (one.key, one.file): (one.at - now).total_seconds() for one in self.certificates
            },
            "oms_logons_refused_total": {(one.name,): one.door.refused for one in handles if one.door is not None},
            "oms_session_drained": {(one.name,): int(one.name in self._drained) for one in handles},
        }
