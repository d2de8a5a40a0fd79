"""`oms sessions reload`: sessions.cfg read again while others trade.

What is done at once: passwords (OmsUsername, OmsPassword) and the time-outs and checks of `_SETTERS` change for the
next logon or message; a session that is gone from the file is retired: drained, logged out and disabled, which is
refused while it has live orders unless it is forced; one that was retired since the start and is there again stays
disabled until it is enabled. A new broker or client is added (`oms.additions`), with a broker the routes of oms.toml.
Everything else is named as needing a restart.
Invariants: all is checked before anything is changed; a file with any problem changes nothing; names of keys are
journaled, values never. Threads: called from the control socket's, one at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, NamedTuple

from oms.additions import Additions, why_not
from oms.config.load import Config, load
from oms.config.sessions import SessionSpec
from oms.core.book import Book
from oms.errors import ConfigError, OperatorError
from oms.fix.engine import Engine
from oms.fix.logon import Credentials, credentials_of

Args = dict[str, str]
Answer = dict[str, Any]
_OF_LOGON = ("username", "password", "password_in_raw_data")
_SETTERS = ("LogonTimeout", "LogoutTimeout", "CheckLatency", "MaxLatency")
_LIVE = frozenset({"OmsUsername", "OmsPassword", *_SETTERS})


class Plan(NamedTuple):
    """What a file asks for: keys that change now by session, sessions to add and to retire, what needs a restart.

    `back`: sessions that were retired since the start, and are there again as they were.
    """

    changes: dict[str, list[str]]
    added: list[str]
    back: list[str]
    retired: list[str]
    restart: list[str]


def plan_of(
    old: Mapping[str, SessionSpec], new: Mapping[str, SessionSpec], running: Mapping[str, SessionSpec]
) -> Plan:
    """Compare two readings of sessions.cfg. `running`: `old`, and what was retired since the start."""
    plan = Plan({}, [], [], [name for name in old if name not in new], [])
    for name, spec in new.items():
        if name not in old:
            if name not in running:
                why = why_not(spec, running)
                plan.restart.append(f"{name}: {why}") if why else plan.added.append(name)
            elif differing := _differing(running[name], spec):
                plan.restart.append(f"{name}: retired, and now with another {', '.join(sorted(differing))}")
            else:
                plan.back.append(name)
            continue
        differing = _differing(old[name], spec)
        live = sorted(key for key in differing if key in _LIVE)
        if live:
            plan.changes[name] = live
        plan.restart.extend(f"{name}: {key}" for key in sorted(differing - _LIVE))
    return plan


def _differing(one: SessionSpec, other: SessionSpec) -> set[str]:
    """The keys, or parts of a session, in which two readings of it differ."""
    keys = {
        key for key in one.settings.keys() | other.settings.keys() if one.settings.get(key) != other.settings.get(key)
    }
    for part in fields(SessionSpec):
        if part.name != "settings" and getattr(one, part.name) != getattr(other, part.name):
            if part.name in _OF_LOGON:
                keys.add("OmsUsername" if part.name == "username" else "OmsPassword")
            elif not keys:
                keys.add(part.name)  # of a key of ours
    return keys


class Reload:
    """Of one gateway. `retire` takes operator, session and reason; `submit` journals."""

    def __init__(
        self,
        config: Config,
        engines: Callable[[], Mapping[str, Engine]],
        book: Book,
        submit: Callable[[str, str, Args], Answer],
        retire: Callable[[str, str, str], object],
        additions: Additions,
    ) -> None:
        self._config = config
        self._engines = engines
        self._book = book
        self._submit = submit
        self._retire = retire
        self._additions = additions
        self._one_at_a_time = threading.Lock()
        self._in_force: dict[str, SessionSpec] = dict(config.sessions)

    def __call__(self, operator: str, verb: str, args: Args) -> Answer:
        """`args`: text (why), force=Y to retire sessions with live orders, preview=Y to tell and do nothing."""
        with self._one_at_a_time:
            return self._reload(operator, verb, args)

    def _reload(self, operator: str, verb: str, args: Args) -> Answer:
        try:
            new = load(self._config.path)
        except ConfigError as error:
            raise OperatorError(f"nothing was changed: {error}") from error
        plan = plan_of(self._in_force, new.sessions, self._additions.sessions)
        live = {name: number for name in plan.retired if (number := self._live_orders(name))}
        answer: Answer = {
            "changed": plan.changes,
            "added": plan.added,
            "back": plan.back,
            "retired": plan.retired,
            "restart": plan.restart,
            "live_orders": live,
            "routes": self._additions.rerouted(new, plan.added),
        }
        if args.get("preview") == "Y":
            return answer
        if live and args.get("force") != "Y":
            told = ", ".join(f"{name} has {number}" for name, number in live.items())
            raise OperatorError(
                f"sessions that are gone from the file have live orders ({told}): nothing was changed; cancel them,"
                " or retire the sessions all the same with --force"
            )
        found = credentials_of([new.sessions[name] for name in plan.changes], new.directory)
        self._in_force |= {name: new.sessions[name] for name in plan.back}
        if plan.added:
            specs = {name: new.sessions[name] for name in plan.added}
            answer |= self._additions.add(operator, args["text"], new, specs, lambda: self._in_force.update(specs))
        if not plan.changes and not plan.retired:
            return answer
        given = {"text": args["text"]} | {f"changed {name}": ", ".join(keys) for name, keys in plan.changes.items()}
        given |= {"retired": ", ".join(plan.retired)} if plan.retired else {}
        answer |= self._submit(operator, verb, given)
        for name, keys in plan.changes.items():
            self._change(new.sessions[name], keys, found.get(name))
            self._in_force[name] = new.sessions[name]
        for name in plan.retired:
            self._retire(operator, name, args["text"])
            del self._in_force[name]
        return answer

    def _live_orders(self, name: str) -> int:
        orders = list(self._book.orders.values())  # of the core thread; one reading of it
        of = (one for one in orders if not one.finished)
        return sum(1 for one in of if one.client == name or (one.child is not None and one.child.broker == name))

    def _change(self, spec: SessionSpec, keys: list[str], credentials: Credentials | None) -> None:
        engine = next(engine for engine in self._engines().values() if spec.name in engine.sessions)
        if _LIVE.difference(_SETTERS).intersection(keys):
            engine.set_logon(spec.name, credentials, asks=spec.side == "client")
        for key in keys:
            if key in _SETTERS:
                engine.set_timing(spec.name, key, spec.settings[key])
