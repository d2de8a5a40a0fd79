"""What the gateway does with an operator's command: check it, put it in line, answer once it is committed.

A command enters the same inbox as messages do, ahead of them, and is journaled with the operator's name. What
can be checked is checked before: an unknown verb, a missing argument or an item that is not open is refused with
the remedy, and nothing is recorded. An engaged kill switch counts before it is journaled, a released one only
after. Called from the control socket's threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import closing
from typing import Any

from oms import inbox as box
from oms.core.book import number_id
from oms.core.kill import SCOPES, Kill, scope_of
from oms.errors import OperatorError
from oms.fix.fields import clean
from oms.inbox import Heard, Inbox, now_us
from oms.ledger.database import database_errors
from oms.ledger.load import Reader
from oms.ops.barrier import Barrier

_ANSWER_SECONDS = 10.0
_TEXT_LIMIT = 2000
_PATTERN_LIMIT = 64

Args = dict[str, str]


class Commands:
    """The handler of the control socket. `url` is the ledger's, for what is checked before."""

    def __init__(self, inbox: Inbox, url: str, barrier: Barrier) -> None:
        self._inbox = inbox
        self._url = url
        self._barrier = barrier
        self._one_kill_at_a_time = threading.Lock()
        self._last_kill = 0
        self._verbs: dict[str, Callable[[str, str, Args], dict[str, Any]]] = {
            "exceptions.take": self._item,
            "exceptions.note": self._item,
            "exceptions.resolve": self._item,
            "kill.engage": self._engage,
            "kill.release": self._release,
            "kill.list": self._list_kills,
        }

    def __call__(self, operator: str, verb: str, args: Args) -> dict[str, Any]:
        """Check and carry out one command. Raises OperatorError."""
        found = self._verbs.get(verb)
        if found is None:
            raise OperatorError(f"{verb!r} is no command; there are {', '.join(self._verbs)}")
        return found(operator, verb, args)

    # -- exception items -----------------------------------------------------------------------------------

    def _item(self, operator: str, verb: str, args: Args) -> dict[str, Any]:
        item_id = args.get("item_id", "")
        text = "" if verb == "exceptions.take" else _reason(args)
        asked = "SELECT kind, state, order_id, resolution FROM exception_items WHERE item_id = %s"
        with database_errors(self._url), closing(Reader(self._url)) as reader:
            found = reader.rows(asked, item_id)
        if not found:
            raise OperatorError(f"there is no exception item {item_id}; `oms exceptions list --all` shows them")
        item = found[0]
        if item["state"] != "open" and verb != "exceptions.note":
            done = f"{item_id} is resolved already: {item['resolution']}"
            raise OperatorError(f"{done}; `oms exceptions note` adds to it")
        given = {"item_id": item_id, "kind": item["kind"], "order_id": item["order_id"] or "", "text": text}
        return self._submit(operator, verb, {name: value for name, value in given.items() if value})

    # -- kill switches -------------------------------------------------------------------------------------

    def _engage(self, operator: str, verb: str, args: Args) -> dict[str, Any]:
        """In force before anything else is done; the cancels follow through the core."""
        text = _reason(args)
        unknown = sorted(set(args) - {*SCOPES, "text", "cancel"})
        if unknown:
            raise OperatorError(f"{unknown[0]!r} is no part of a scope; there are {', '.join(SCOPES)}")
        if any(len(pattern) > _PATTERN_LIMIT for _, pattern in scope_of(args)):
            raise OperatorError(f"a pattern of the scope is longer than {_PATTERN_LIMIT} characters")
        with self._one_kill_at_a_time:
            self._last_kill = max(now_us() // 1000, self._last_kill + 1)  # unlike all before, without the ledger
            kill = Kill(number_id("K", self._last_kill), scope_of(args), operator, text)
            problem = ""
            try:
                self._barrier.engage(kill)
            except OperatorError as error:
                problem = str(error)
        try:
            answer = self._submit(operator, verb, {**args, "text": text, "kill_id": kill.kill_id})
        except OperatorError as error:
            answer = {"kill_id": kill.kill_id, "orders": None}
            problem = problem or (
                f"new orders are stopped, no cancel has left yet: {error} (`oms kill status {kill.kill_id}`)"
            )
        return answer | {"scope": kill.text, "problem": problem}

    def _release(self, operator: str, verb: str, args: Args) -> dict[str, Any]:
        text, kill_id = _reason(args), args.get("kill_id", "")
        if all(kill.kill_id != kill_id for kill in self._barrier.kills):
            raise OperatorError(f"no kill switch {kill_id} is engaged; `oms kill list` shows those that are")
        answer = self._submit(operator, verb, {"kill_id": kill_id, "text": text})
        self._barrier.release(kill_id)
        return answer

    def recover(self) -> None:
        """At a start: file and journal know of the same kills, and one that was not journaled is carried out now.

        A kill that either of them holds is in force: what is in doubt is stopped.
        """
        asked = "SELECT detail FROM journal WHERE kind = 'operator' AND msg_type IN ('kill.engage', 'kill.release')"
        with database_errors(self._url), closing(Reader(self._url)) as reader:
            found = [row["detail"]["matter"] for row in reader.rows(asked + " ORDER BY seq")]
        engaged = {}
        for operator, verb, pairs in found:
            args = dict(pairs)
            if verb == "kill.engage":
                engaged[args["kill_id"]] = Kill(args["kill_id"], scope_of(args), operator, args["text"])
        released = {dict(pairs)["kill_id"] for _, verb, pairs in found if verb == "kill.release"}
        in_force = {kill.kill_id for kill in self._barrier.kills}
        for kill_id, kill in engaged.items():
            if kill_id not in released | in_force:
                self._barrier.engage(kill)
        for kill in self._barrier.kills:
            if kill.kill_id not in engaged:
                matter = {**dict(kill.scope), "text": kill.reason, "kill_id": kill.kill_id}
                done: Future[dict[str, Any]] = Future()
                entry = (kill.operator, "kill.engage", tuple(matter.items()), done)
                self._inbox.tell(Heard(box.COMMAND, "", "", entry, now_us()))

    def _list_kills(self, operator: str, verb: str, args: Args) -> dict[str, Any]:
        return {"kills": [kill._asdict() | {"text": kill.text} for kill in self._barrier.kills]}

    def _submit(self, operator: str, verb: str, args: Args) -> dict[str, Any]:
        asker: Future[dict[str, Any]] = Future()
        self._inbox.tell(Heard(box.COMMAND, "", "", (operator, verb, tuple(args.items()), asker), now_us()))
        try:
            return asker.result(_ANSWER_SECONDS)
        except TimeoutError:
            raise OperatorError(
                "the command is in line but not committed yet, the ledger is slow or gone; look before you repeat it"
            ) from None


def _reason(args: Args) -> str:
    """Why; refused where it is missing or too long to be read."""
    text = clean(args.get("text", "")).strip()
    if not text:
        raise OperatorError("say why: --reason TEXT")
    if len(text) > _TEXT_LIMIT:
        raise OperatorError(f"the text has {len(text)} characters; shorten it to {_TEXT_LIMIT}")
    return text
