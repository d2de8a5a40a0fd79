"""Commands of operators about orders that no message settles, and about what a broker says of its orders.

`orders.settle` ends or moves what is in doubt: by two people where shares may trade of which nobody here would know
(`oms.core.settle.AT_RISK`). `reconcile.run` asks a broker now. What can be told without the order is told here,
before anything is recorded; the rest the core tells. Called from the control socket's threads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from oms.config.load import Config
from oms.core import settle
from oms.core.reconcile import RUN
from oms.errors import OperatorError
from oms.ops.people import People
from oms.ops.two_people import TwoPeople, done

Args = dict[str, str]
Submit = Callable[[str, str, Args], dict[str, Any]]


class Settling:
    """Its verbs, for the table of commands. `reason` is the command's text, checked."""

    def __init__(
        self, config: Config, people: People, two_people: TwoPeople, submit: Submit, reason: Callable[[Args], str]
    ) -> None:
        self._config = config
        self._people = people
        self._two_people = two_people
        self._submit = submit
        self._reason = reason
        self.verbs: dict[str, Callable[[str, str, Args], dict[str, Any]]] = {
            settle.VERB: self._settle,
            RUN: self._run,
        }

    def _settle(self, operator: str, verb: str, args: Args) -> dict[str, Any]:
        word = args.get("as", "")
        if word not in settle.WORDS:
            raise OperatorError(f"--as {word or '(nothing)'}: choose one of {', '.join(settle.WORDS)}")
        given = {"order_id": args.get("order_id", ""), "as": word, "text": self._reason(args)}
        if word in settle.AT_RISK and self._people.needs_two(verb):
            return self._two_people.propose(operator, verb, given)
        return done(self._submit(operator, verb, given))

    def _run(self, operator: str, verb: str, args: Args) -> dict[str, Any]:
        broker = args.get("broker", "")
        brokers = {spec.name: spec.dialect for spec in self._config.role("broker")}
        dialect = brokers.get(broker)
        if dialect is None:
            names = ", ".join(brokers) or "none"
            raise OperatorError(f"there is no broker session {broker or '(none)'}; there are: {names}")
        if not dialect.mass_status and not (dialect.status_requests and dialect.status_requests_per_second):
            raise OperatorError(
                f"{broker} cannot be asked: its dialect {dialect.name} has neither mass_status nor status_requests"
                " with status_requests_per_second above 0; correct it if the broker answers such questions"
            )
        return done(self._submit(operator, verb, {"broker": broker}))
