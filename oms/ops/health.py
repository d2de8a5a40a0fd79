"""Is the gateway well? Findings about its threads, sessions, ledger, lease and queues, made when they are asked for.

A finding is `ok`, `warn` (look at it: a broker is logged out, trading is off) or `bad` (the gateway is not healthy).
That a thread of the FIX engine hangs is seen within seconds (oms/fix/turning.py). The second watchdog of the sessions
needs no word of the engine: it writes a session's numbers with every message in or out, heartbeats too, and sends one
itself in every HeartBtInt(108). A session that is logged on and has moved nothing for two of them stands still.
Threads: called from the control socket's and from scrapes; reads what other threads own, changes nothing. Asks
neither the ledger nor a counterparty, so that it answers while they do not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from oms.config.load import Config
from oms.config.sessions import SessionSpec
from oms.core.kill import Kill
from oms.fix.engine import Engine
from oms.inbox import Inbox
from oms.ops.barrier import Barrier
from oms.ops.metrics import Metrics, last_message_at
from oms.ops.standing import KeptOut
from oms.ops.trading import Trading

OK, WARN, BAD = "ok", "warn", "bad"
CORE_SECONDS = 5.0  # the core thread turns at least about once a second, also without work
LAG_SECONDS = 2.0
OUTBOX_MANY = 1000
_HEARTBEATS = 2
_DEFAULT_HEARTBEAT = 30


class Finding(NamedTuple):
    """What was looked at, its state, and what was seen with the remedy."""

    about: str
    state: str
    text: str


class Seen(NamedTuple):
    """What can be seen of the gateway from outside its threads at one moment."""

    core_seconds: float  # since the core thread turned last
    threads: Mapping[str, bool]  # name -> alive
    outage: bool
    lag_seconds: float
    lease_held: bool
    lease_seconds_left: float
    inbox: Mapping[str, int]
    outbox: Mapping[str, int]
    trading: bool
    kills: tuple[Kill, ...]
    trading_off: str = ""  # since when, why, and the remedy; '' while it is switched on


def looking(inbox: Inbox, metrics: Metrics, barrier: Barrier, trading: Trading) -> Callable[[], Seen]:
    """How the parts of a gateway are looked at."""

    def look() -> Seen:
        _, committer, senders, _, lease = metrics.sources()
        threads = {committer.thread.name: committer.thread.is_alive()}
        threads |= {one.thread.name: one.thread.is_alive() for one in senders.values()}
        return Seen(
            time.monotonic() - metrics.turned(),
            threads,
            bool(committer.statistics()["outage"]),
            metrics.lag_seconds(),
            lease.held(),
            lease.seconds_left(),
            inbox.statistics(),
            {name: sender.statistics()["waiting"] for name, sender in senders.items()},
            barrier.trading,
            barrier.kills,
            f"{off.text}; {trading.remedy}" if (off := trading.off) else "",
        )

    return look


class Health:
    """Of one gateway."""

    def __init__(
        self,
        config: Config,
        engines: Callable[[], Mapping[str, Engine]],
        kept_out: Mapping[str, KeptOut],
        look: Callable[[], Seen],
        clock: Callable[[], float] = time.time,
        also: Callable[[], Iterable[tuple[str, str, str]]] = tuple,
    ) -> None:
        """`also`: more that was looked at, in the form of findings."""
        self._config = config
        self._engines = engines
        self._kept_out = kept_out
        self._look = look
        self._clock = clock
        self._also = also

    def tell(self, operator: str, verb: str, args: dict[str, str]) -> dict[str, Any]:
        """The answer to `oms health`."""
        found = self.findings()
        healthy = all(one.state != BAD for one in found)
        return {"healthy": healthy, "findings": [one._asdict() for one in found]}

    def findings(self) -> list[Finding]:
        """Everything that was looked at, in a fixed order."""
        seen = self._look()
        found = list(_house(seen, self._config))
        for spec in self._config.sessions.values():
            found += self._of(spec, seen)
        return found + [Finding(*one) for one in self._also()]

    def stalled(self, spec: SessionSpec) -> float | None:
        """Seconds for which a session that is logged on moved nothing, where that is too long; else None."""
        handle = next((found for one in self._engines().values() if (found := one.sessions.get(spec.name))), None)
        at = last_message_at(spec)
        if handle is None or not handle.logged_on or at is None:
            return None
        age = self._clock() - at
        return age if age > _HEARTBEATS * (handle.heartbeat_seconds or _DEFAULT_HEARTBEAT) else None

    def _of(self, spec: SessionSpec, seen: Seen) -> Iterator[Finding]:
        about = f"session {spec.name}"
        handle = next((found for one in self._engines().values() if (found := one.sessions.get(spec.name))), None)
        age, kept_out = self.stalled(spec), self._kept_out.get(spec.name)
        if handle is None:
            yield Finding(about, BAD, "the engine does not have it: start the gateway again")
        elif handle.store_problem:
            yield Finding(about, BAD, f"its store cannot be written: {handle.store_problem}; make room on that disk")
        elif age is not None:
            yield Finding(
                about,
                BAD,
                f"logged on, but no message in or out for {age:.0f} s: it stands still;"
                f" `oms sessions logout {spec.name}` cuts it off, or start the gateway again",
            )
        elif kept_out is not None:
            yield Finding(about, WARN, kept_out.text)
        elif handle.logged_on:
            yield Finding(about, OK, "logged on")
        else:
            yield Finding(about, WARN if spec.role == "broker" else OK, "logged out")
        waiting, limit = seen.inbox.get(spec.name, 0), self._config.inbox.per_session
        if waiting >= limit:
            yield Finding(f"inbox {spec.name}", BAD, f"full with {waiting} messages: the session is held back")
        elif waiting >= limit // 2:
            yield Finding(f"inbox {spec.name}", WARN, f"{waiting} of {limit} messages wait for the core")
        if seen.outbox.get(spec.name, 0) > OUTBOX_MANY:
            yield Finding(f"outbox {spec.name}", WARN, f"{seen.outbox[spec.name]} messages wait to be sent")


def _house(seen: Seen, config: Config) -> Iterator[Finding]:
    """What is about no session."""
    turns = seen.core_seconds < CORE_SECONDS
    text = "turns" if turns else f"has not turned for {seen.core_seconds:.0f} s; see the ledger and the log"
    yield Finding("core thread", OK if turns else BAD, text)
    dead = [name for name, alive in seen.threads.items() if not alive]
    yield Finding(
        "threads", BAD if dead else OK, f"dead: {', '.join(dead)}; start the gateway again" if dead else "all alive"
    )
    if seen.outage:
        yield Finding("ledger", BAD, "gone: what was read waits, nothing leaves; see to the database")
    else:
        state = BAD if seen.lag_seconds > LAG_SECONDS else OK
        yield Finding("ledger", state, f"reachable; the oldest batch waits for {seen.lag_seconds:.1f} s")
    left, whole = seen.lease_seconds_left, config.gateway.lease_seconds
    if not seen.lease_held:
        yield Finding("lease", BAD, "not held: nothing leaves; see to the database")
    else:
        yield Finding("lease", WARN if left < whole / 2 else OK, f"held for another {left:.1f} s")
    off = seen.trading_off or "off: no new order leaves"
    yield Finding("trading", OK if seen.trading else WARN, "on" if seen.trading else off)
    kills = ", ".join(f"{kill.kill_id} for {kill.text}" for kill in seen.kills)
    yield Finding("kill switches", WARN if kills else OK, kills or "none engaged")
