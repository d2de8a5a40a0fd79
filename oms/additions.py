"""Sessions that are added while others trade: what a start makes for each is made for them as it runs.

    1 checked, with nothing changed: the ports are open or free, and the message stores such as a start would take
    2 made, in the caller's thread: engine (which opens the stores), sender, encoder; what left before is looked for
    3 put in place by the core thread between two batches: every table by session has them from there on; the command
      is journaled in a batch by itself, with the facts that a replay needs
    4 once that is committed brokers are connected to, and ports opened; where a port is open already, its clients are
      let in there (`oms.fix.ports`), and those that it had go on

With a new broker the routes are those of oms.toml now: without one that names it, it would get no order.
A crash before 3 leaves nothing but empty stores, one after it is a start that finds them in sessions.cfg.
Invariant: nothing of a session is heard before 4, so that no other thread can meet one that is half there.
Threads: `add` from the control socket's, one call at a time; `_place` in the core thread, `_open` in its own.
"""

from __future__ import annotations

import dataclasses
import json
import socket
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import structlog

from oms import inbox as box
from oms import startup
from oms.config.load import Config
from oms.config.session_keys import Side, find
from oms.config.sessions import SessionSpec
from oms.core.core import Core
from oms.core.judge import LiveJudge
from oms.core.operators import RELOAD
from oms.errors import OperatorError
from oms.fix.encode import Encoder, incoming_rules
from oms.fix.engine import Engine
from oms.fix.store import mend_torn, require_room
from oms.flow import Flow
from oms.inbox import Heard, Inbox, now_us
from oms.ledger.load import Reader
from oms.ledger.remedies import database_errors
from oms.new_machine import lost_stores, note_run, require_said
from oms.ops.standing import LASTING, Standing, standing
from oms.ops.tally import Tally
from oms.outbox import Sender
from oms.senders import too_fast_watches
from oms.session_maker import SessionMaker
from oms.startup import Recovered
from oms.startup_report import StartReport
from oms.terms import brokers_of, graces_of, routes_of
from oms.throttle import Throttle

log = structlog.get_logger("oms.sessions")

_ANSWER_SECONDS = 15.0
Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Running:
    """What sessions are added to. `config.sessions` may grow (`oms.growing`).

    `throttles` makes those of sessions; `stand` is told who is disabled or drained, `opened` who can log on.
    """

    config: Config
    url: str
    run: str
    inbox: Inbox
    core: Core
    judge: LiveJudge
    flow: Flow
    maker: SessionMaker
    tally: Tally
    throttles: Callable[[Mapping[str, SessionSpec]], dict[str, Throttle]]
    stand: Callable[[Standing], object]
    opened: Callable[[Sequence[SessionSpec]], object]
    stopping: threading.Event


@dataclass(frozen=True, slots=True)
class _Made:
    """What step 2 has made."""

    config: Config  # with these sessions alone
    engines: list[tuple[Side, Engine]]
    senders: dict[str, Sender]
    recovered: Recovered
    standing: Standing
    encoders: dict[str, Encoder]


def why_not(spec: SessionSpec, running: Mapping[str, SessionSpec]) -> str:
    """Why a session that is new in the file must wait for a restart; '' where it need not.

    `running`: the sessions that the process has, those too that were retired since its start.
    """
    if spec.role == "drop_copy":
        return "a new drop copy"
    same = next((one.name for one in running.values() if one.session_id == spec.session_id), "")
    if same:
        return f"a new session with the BeginString and CompIDs of {same}"
    clients = (one for one in running.values() if one.side == spec.side == "client")
    beside = next((one for one in clients if one.port == spec.port), None)
    if beside is not None and (differing := _of_port(beside, spec)):
        return f"a new client on port {spec.port}, which is open with another {', '.join(differing)}"
    return ""


def _of_port(one: SessionSpec, other: SessionSpec) -> list[str]:
    """The keys in which two sessions differ although a port has them once, TLS for one."""
    keys = one.settings.keys() | other.settings.keys()
    wide = {key for key in keys if (known := find(key)) is not None and known.engine_wide}
    differing = sorted(key for key in wide if one.settings.get(key) != other.settings.get(key))
    return ["OmsTls", *differing] if one.tls != other.tls else differing


class Additions:
    """Adds clients and brokers to one gateway."""

    def __init__(self, running: Running) -> None:
        self._running = running

    @property
    def sessions(self) -> Mapping[str, SessionSpec]:
        """The sessions that the process has, those too that were retired since its start."""
        return self._running.config.sessions

    def rerouted(self, new: Config, added: Iterable[str]) -> list[str]:
        """The route rules that would change, by name: those of oms.toml are taken where a broker is added."""
        if not any(new.sessions[name].role == "broker" for name in added):
            return []
        before = {rule.name: rule for rule in self._running.judge.routes}
        after = {rule.name: rule for rule in routes_of(new)}
        moved = [name for name in before if name in after] != [name for name in after if name in before]
        return [name for name in {**before, **after} if moved or before.get(name) != after.get(name)]

    def add(
        self,
        operator: str,
        text: str,
        new: Config,
        specs: Mapping[str, SessionSpec],
        placed: Callable[[], object] = lambda: None,
    ) -> Answer:
        """Add these sessions of a new configuration, of which `why_not` says nothing.

        `placed` is called when nothing is refused any more. The answer has the `journal_seq`, and under `kept_out`
        those that are disabled. Raises OperatorError, where nothing was changed unless it says otherwise.
        """
        for port in sorted({spec.port for spec in specs.values() if spec.side == "client"}):
            if self._running.maker.host_of(port) is None:
                _require_free(port)
        try:
            made = self._make(dataclasses.replace(new, sessions=dict(specs)))
        except OperatorError as error:
            raise OperatorError(f"nothing was changed: {error}") from error
        except OSError as error:
            raise OperatorError(
                f"nothing was changed: {error.filename}: {error.strerror}; the message stores must be writable"
            ) from error
        facts = {name: startup.session_facts(spec) for name, spec in specs.items()}
        args = {"text": text, "added": ", ".join(specs), "facts": json.dumps(facts, separators=(",", ":"))}
        if any(spec.role == "broker" for spec in specs.values()):
            args["routes"] = json.dumps([rule.model_dump(mode="json") for rule in new.routes], separators=(",", ":"))
        asker: Future[Answer] = Future()
        opened: Future[Answer] = Future()
        running = self._running
        placed()
        running.flow.between.append(lambda: self._place(operator, made, args, asker))
        running.inbox.wake()
        threading.Thread(target=self._open, args=(made, asker, opened), name="add-sessions", daemon=True).start()
        try:
            return opened.result(_ANSWER_SECONDS)
        except TimeoutError:
            raise OperatorError(
                "the sessions are in line, not committed yet, the ledger is slow or gone; they open when it is back"
            ) from None

    def _make(self, alone: Config) -> _Made:
        """Steps 1 and 2. What it leaves behind where it is refused: stores as they were, or empty ones."""
        running, specs = self._running, alone.sessions
        book = running.core.book
        together = dataclasses.replace(running.config, sessions={**running.config.sessions, **specs})
        with database_errors(running.url), closing(Reader(running.url)) as reader:
            require_said(lost_stores(alone, reader, book.sessions), book.sessions, frozenset(), False)
            require_room({spec.store_path for spec in specs.values()})
            note_run(together, reader, {}, running.run)
            for spec in specs.values():
                mend_torn(spec.store_path / spec.store_prefix)
            found = reader.rows("SELECT * FROM session_positions WHERE session = ANY(%s)", list(specs))
            positions = {row["session"]: row for row in found}
            report = StartReport(running.config.gateway.state_dir)
            settled, never_left, cursors = startup.settle(alone, reader, positions, {}, {}, report)
            asked = (
                "SELECT received_at, detail FROM journal WHERE kind = 'operator' AND msg_type = ANY(%s) ORDER BY seq"
            )
            stands = standing(reader.rows(asked, list(LASTING)))
        recovered = Recovered(0, 0, 0, settled, never_left, cursors, frozenset(), {})
        stands = Standing(*({name: why for name, why in part.items() if name in specs} for part in stands))
        encoders = {name: Encoder(spec) for name, spec in specs.items()}
        engines, senders = running.maker.make(alone, recovered, running.stopping.wait)
        return _Made(alone, engines, senders, recovered, stands, encoders)

    def _place(self, operator: str, made: _Made, args: dict[str, str], asker: Future[Answer]) -> None:
        """Step 3, in the core thread."""
        running, alone, core = self._running, made.config, self._running.core
        throttles = running.throttles(alone.sessions)
        for name, spec in alone.sessions.items():
            running.inbox.add(name, throttles.get(name), broker=spec.role == "broker")
            startup.place_in_book(spec, core.book)
            running.flow.set_out_position(name, *made.recovered.out_positions[name])
            settled = [one for one in made.recovered.settled if one.session == name]
            fix42, rules = spec.appl_ver_id == "FIX.4.2", incoming_rules(spec)
            running.flow.add_session(name, made.encoders[name], rules, fix42, settled)
        running.flow.too_fast.update(too_fast_watches(made.senders))
        core.graces.update(graces_of(alone))
        if brokers := brokers_of(alone):
            core.brokers.update(brokers)
            running.judge.take_brokers(brokers, routes_of(alone))
            running.tally.add_brokers(brokers)
        running.maker.senders.update(made.senders)
        running.maker.engines.update({f"{side} {', '.join(one.sessions)}": one for side, one in made.engines})
        running.config.sessions.update(alone.sessions)
        for _, engine in made.engines:
            startup.align_sessions(engine, core.book)
        running.stand(made.standing)
        for sender in made.senders.values():
            sender.thread.start()
        command = Heard(box.COMMAND, "", "", (operator, RELOAD, tuple(args.items()), asker), now_us())
        running.flow.process([command, *made.recovered.never_left])

    def _open(self, made: _Made, asker: Future[Answer], opened: Future[Answer]) -> None:
        """Step 4, however long the commit takes."""
        running, names = self._running, ", ".join(made.config.sessions)
        answer = asker.result()
        if running.stopping.is_set():
            return
        shut: list[str] = []
        for _, engine in made.engines:  # brokers first, so that clients find routes
            try:
                engine.start()
            except OSError as error:
                shut.append(f"{', '.join(engine.sessions)}: added, but the port cannot be opened: {error}")
                log.error("a port for clients cannot be opened", sessions=list(engine.sessions), error=str(error))
        running.opened(list(made.config.sessions.values()))
        if shut:
            opened.set_exception(OperatorError(f"{'; '.join(shut)}; free it and start again"))
            return
        log.info("sessions added", sessions=names)
        opened.set_result(answer | {"kept_out": {name: why.text for name, why in made.standing.disabled.items()}})


def _require_free(port: int) -> None:
    """OperatorError where something listens on a port already."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))  # as the engine does
            probe.listen(1)
        except OSError as error:
            raise OperatorError(
                f"nothing was changed: port {port} cannot be opened: {error.strerror}; free it, or change"
                " SocketAcceptPort"
            ) from error
