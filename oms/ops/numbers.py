"""Setting a session's sequence numbers in the running gateway: shown first, then done in an order that is safe.

    1 the session is logged out and stays out
    2 the command goes into the session's own queue, behind all that it sent before, and is journaled and committed
    3 the engine is given the numbers (measured: it takes both while a session is logged out)
    4 what the engine has by then is journaled, and the session may log on again

A crash after 2 leaves the engine's numbers as they were: the next start sets the number expected back where it must
be, and nothing is lost; the command is repeated then.
Threads: called from the control socket's; one session at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from oms.config.load import Config
from oms.config.sessions import SessionSpec
from oms.errors import OperatorError
from oms.fix import renumber
from oms.fix.engine import Engine
from oms.fix.renumber import CameIn, Effect, Open
from oms.ledger import renumber as ledger
from oms.ledger.database import Engine as LedgerEngine

LOGOUT_TEXT = "sequence numbers are being set"
_LOGOUT_SECONDS = 5.0
_HIGHEST = 999_999_999
Args = dict[str, str]


def wanted(args: Args) -> tuple[int | None, int | None]:
    """The numbers asked for, next out and next in. Raises OperatorError."""
    found: list[int | None] = []
    for name in ("next_out", "next_in"):
        text = args.get(name)
        if text is None:
            found.append(None)
        elif text.isascii() and text.isdigit() and 1 <= int(text[:12]) <= _HIGHEST:
            found.append(int(text))
        else:
            raise OperatorError(f"{text!r} is no MsgSeqNum(34); write a number from 1 to {_HIGHEST}")
    if found == [None, None]:
        raise OperatorError("say which number is to be set: --next-out N, --next-in N, or both")
    return found[0], found[1]


def look(
    config: Config, engine: LedgerEngine, spec: SessionSpec, now: tuple[int, int], args: Args
) -> tuple[Effect, dict[str, Any]]:
    """What would follow, as it is and as the answer to an operator. `now`: the next numbers out and in."""
    next_out, next_in = wanted(args)
    raws: list[str] = []
    old = 0
    if next_in is not None and next_in < now[1]:
        raws, old = ledger.came_in(engine, spec.name, next_in, config.gateway.trade_date(datetime.now(UTC)))
    effect = renumber.effect(
        spec.name,
        spec.role,
        spec.store_path / spec.store_prefix,
        now,
        next_out,
        next_in,
        CameIn(renumber.tally(raws), old),
        Open(*ledger.alive_at(engine, spec.name)),
        ledger.waiting_for(engine, spec.name),
    )
    return effect, effect._asdict()


class Numbers:
    """Sets the numbers of one gateway's sessions."""

    def __init__(
        self,
        config: Config,
        open_ledger: Callable[[], LedgerEngine],
        engines: Callable[[], Mapping[str, Engine]],
        submit: Callable[[str, str, Args, str], dict[str, Any]],
    ) -> None:
        self._config = config
        self._open_ledger = open_ledger
        self._engines = engines
        self._submit = submit  # operator, verb, args, the session in whose queue the command goes
        self.one_at_a_time = threading.Lock()  # what else logs sessions out takes it too

    def effect(self, args: Args) -> tuple[Effect, dict[str, Any]]:
        """What setting a session's numbers would do now. Raises OperatorError."""
        spec, engine = self._session(args)
        ledger_engine = self._open_ledger()
        try:
            return look(self._config, ledger_engine, spec, engine.numbers(spec.name), args)
        finally:
            ledger_engine.dispose()

    def set(self, operator: str, verb: str, args: Args) -> dict[str, Any]:
        """Do it: steps 1 to 4. Raises OperatorError, with what was not done."""
        spec, engine = self._session(args)
        next_out, next_in = wanted(args)
        name = spec.name
        with self.one_at_a_time:
            may_log_on = engine.enabled(name)
            engine.logout(name, LOGOUT_TEXT)
            try:
                if not engine.wait_logged_out(name, _LOGOUT_SECONDS):
                    engine.disconnect(name)  # a peer that does not answer the Logout(5)
                    if not engine.wait_logged_out(name, _LOGOUT_SECONDS):
                        raise OperatorError(f"{name} did not log out: nothing was changed; try again")
                before = engine.numbers(name)
                answer = self._submit(operator, verb, args, name)
                if next_in is not None:
                    engine.set_next_target(name, next_in)
                if next_out is not None:
                    engine.set_next_sender(name, next_out)
                after = engine.numbers(name)
                told = {
                    "session": name,
                    "before": f"{before[0]} out, {before[1]} in",
                    "now": f"{after[0]} out, {after[1]} in",
                }
                self._submit(operator, "sessions.numbers_set", told, name)
            finally:
                if may_log_on:  # an operator may keep it out
                    engine.logon(name)
        return answer | {"session": name, "before": list(before), "now": list(after)}

    def _session(self, args: Args) -> tuple[SessionSpec, Engine]:
        name = args.get("session", "")
        spec = self._config.sessions.get(name)
        for engine in self._engines().values():
            if name in engine.sessions and spec is not None:
                return spec, engine
        known = ", ".join(self._config.sessions)
        raise OperatorError(f"there is no session {name or '(none)'}; there are {known}")
