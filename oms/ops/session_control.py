"""What operators do with a running FIX session: look at it, log it out or on, take it out of use and back into it.

Every change is journaled with who and why, and committed before the engine is told of it. `logout` holds until
`logon` or the next start; `disable` holds over starts until `enable`, because a start reads it from the journal
(`recover`), whose operators' rows stay in the ledger when days go into an archive. The core decides nothing here: a
session that is out is logged out for it, so that routing takes the fallbacks. One that is drained stays logged on;
the judge takes no new risk from it or for it (`drained`), from before the command is journaled until it is undone.
Threads: called from the control socket's; one change at a time, together with `oms.ops.numbers`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from oms.config.load import Config
from oms.config.sessions import SessionSpec
from oms.errors import OperatorError
from oms.fix.engine import Engine
from oms.fix.fields import clean
from oms.inbox import Inbox
from oms.ops.metrics import last_message_at
from oms.ops.standing import DISABLE, DRAIN, ENABLE, LOGON, LOGOUT, UNDRAIN, KeptOut, Standing, standing

_LOGOUT_SECONDS = 5.0
_TEXT_LIMIT = 200  # characters of Text(58) that any counterparty takes
Args = dict[str, str]
Answer = dict[str, Any]


class SessionControl:
    """Controls one gateway's sessions. `submit` takes operator, verb, args and the session in whose queue it goes."""

    def __init__(
        self,
        config: Config,
        inbox: Inbox,
        engines: Callable[[], Mapping[str, Engine]],
        submit: Callable[[str, str, Args, str], Answer],
        one_at_a_time: threading.Lock,
    ) -> None:
        self._config = config
        self._inbox = inbox
        self.engines = engines
        self._submit = submit
        self._one_at_a_time = one_at_a_time
        self.kept_out: dict[str, KeptOut] = {}  # read by other threads, entry by entry
        self.drained: dict[str, KeptOut] = {}  # likewise
        self.outbound: Callable[[str], Answer | None] = lambda name: None  # how fast it is sent to; set by the maker
        self.verbs: dict[str, Callable[[str, str, Args], Answer]] = {
            "sessions.show": self._show,
            LOGON: self._let_in,
            LOGOUT: self._keep_out,
            DISABLE: self._keep_out,
            ENABLE: self._let_in,
            DRAIN: self._drain,
            UNDRAIN: self._undrain,
        }

    def recover(self, rows: Iterable[Mapping[str, Any]]) -> list[str]:
        """At a start, before the engines run: what is disabled or drained, by the journal's rows of `LASTING`.

        Returns the names of the sessions that are disabled.
        """
        self.stand(standing(rows))
        return sorted(self.kept_out)

    def stand(self, found: Standing) -> None:
        """Sessions whose engines do not run yet are disabled and drained as they were; others are passed over."""
        known = self._config.sessions
        self.drained |= {name: why for name, why in found.drained.items() if name in known}
        for name, why in found.disabled.items():
            if name in known:
                self.kept_out[name] = why
                self._find({"session": name})[1].logout(name, why.reason)

    # -- commands ------------------------------------------------------------------------------------------

    def _show(self, operator: str, verb: str, args: Args) -> Answer:
        """A session as the running engine has it."""
        spec, engine = self._find(args)
        handle = engine.sessions[spec.name]
        next_out, next_in = engine.numbers(spec.name)
        why, at = self.kept_out.get(spec.name), last_message_at(spec)
        return {
            "session": spec.name,
            "logged_on": handle.logged_on,
            "may_log_on": engine.enabled(spec.name),
            "kept_out": why.text if why is not None else "",
            "drained": self.drained[spec.name].text if spec.name in self.drained else "",
            "logons_refused": handle.door.refused if handle.door is not None else None,
            "next_out": next_out,
            "next_in": next_in,
            "heartbeat_seconds": handle.heartbeat_seconds or None,
            "last_message_at": None if at is None else datetime.fromtimestamp(at, UTC).isoformat(),
            "inbox_waiting": self._inbox.statistics()[spec.name],
            "outbound": self.outbound(spec.name),
            "store_problem": handle.store_problem,
        }

    def _keep_out(self, operator: str, verb: str, args: Args) -> Answer:
        """Log a session out; it stays out."""
        spec, engine = self._find(args)
        text, name = _reason(args), spec.name
        with self._one_at_a_time:
            why = self.kept_out.get(name)
            if why is not None and (why.verb == verb or why.verb == DISABLE):
                raise OperatorError(f"{name} is out already, {why.text}; nothing was changed")
            answer = self._submit(operator, verb, {"session": name, "text": text}, "")
            self.kept_out[name] = KeptOut(verb, operator, datetime.now(UTC), text)
            engine.logout(name, text)
            out = engine.wait_logged_out(name, _LOGOUT_SECONDS)
            if not out:
                engine.disconnect(name)  # a peer that does not answer the Logout(5)
                out = engine.wait_logged_out(name, _LOGOUT_SECONDS)
        return answer | {"session": name, "logged_on": not out, "kept_out": self.kept_out[name].text}

    def _let_in(self, operator: str, verb: str, args: Args) -> Answer:
        """Let a session log on again."""
        spec, engine = self._find(args)
        text, name = _reason(args), spec.name
        with self._one_at_a_time:
            why = self.kept_out.get(name)
            if why is None:
                raise OperatorError(f"nobody keeps {name} out; `oms sessions show {name}` shows what it does")
            if verb == LOGON and why.verb == DISABLE:
                raise OperatorError(f"{name} is {why.text}; `oms sessions enable {name}` takes it back into use")
            if verb == ENABLE and why.verb == LOGOUT:
                raise OperatorError(f"{name} is {why.text}; `oms sessions logon {name}` lets it log on")
            answer = self._submit(operator, verb, {"session": name, "text": text}, "")
            del self.kept_out[name]
            engine.logon(name)
        return answer | {"session": name, "logged_on": engine.sessions[name].logged_on, "kept_out": ""}

    def _drain(self, operator: str, verb: str, args: Args) -> Answer:
        """No new risk from a client or for a broker; what lives is served."""
        spec, _ = self._find(args)
        text, name = _reason(args), spec.name
        with self._one_at_a_time:
            if name in self.drained:
                raise OperatorError(f"{name} is {self.drained[name].text} already; nothing was changed")
            self.drained[name] = KeptOut(verb, operator, datetime.now(UTC), text)  # also where the ledger is slow
            answer = self._submit(operator, verb, {"session": name, "text": text}, "")
        return answer | {"session": name, "drained": self.drained[name].text}

    def _undrain(self, operator: str, verb: str, args: Args) -> Answer:
        """New orders again."""
        spec, _ = self._find(args)
        text, name = _reason(args), spec.name
        with self._one_at_a_time:
            if name not in self.drained:
                raise OperatorError(f"{name} is not drained; nothing was changed")
            answer = self._submit(operator, verb, {"session": name, "text": text}, "")
            del self.drained[name]
        return answer | {"session": name, "drained": ""}

    def retire(self, operator: str, name: str, reason: str) -> None:
        """Drain a session and keep it out for good, as far as it is not so already; one command each, journaled."""
        given = {"session": name, "text": f"retired: {reason}"[:_TEXT_LIMIT]}
        if name not in self.drained:
            self._drain(operator, DRAIN, given)
        if name not in self.kept_out or self.kept_out[name].verb != DISABLE:
            self._keep_out(operator, DISABLE, given)

    def _find(self, args: Args) -> tuple[SessionSpec, Engine]:
        name = args.get("session", "")
        spec = self._config.sessions.get(name)
        for engine in self.engines().values():
            if name in engine.sessions and spec is not None:
                return spec, engine
        known = ", ".join(self._config.sessions)
        raise OperatorError(f"there is no session {name or '(none)'}; there are {known}")


def _reason(args: Args) -> str:
    text = clean(args.get("text", "")).strip()
    if not text:
        raise OperatorError("say why: --reason TEXT")
    if len(text) > _TEXT_LIMIT:
        raise OperatorError(
            f"the reason has {len(text)} characters; shorten it to {_TEXT_LIMIT}, it is sent as Text(58)"
        )
    return text
