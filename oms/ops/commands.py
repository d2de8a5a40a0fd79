"""What the gateway does with an operator's command: check it, put it in line, answer once it is committed.

A command enters the same inbox as messages do, ahead of them, and is journaled with the operator's name. What
can be checked is checked before: an unknown verb, a missing argument or an item that is not open is refused with
the remedy, and only the refusal is recorded. An engaged kill switch counts before it is journaled, a released one
only after. Called from the control socket's threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

from oms import inbox as box
from oms.additions import Additions
from oms.committer import Committer
from oms.config.load import Config
from oms.core.book import Book, number_id
from oms.core.breaker_live import RESET, LiveBreakers
from oms.core.breaker_rules import PREFIX
from oms.core.judge import LiveJudge
from oms.core.kill import SCOPES, Kill, scope_of
from oms.core.limit_diff import APPLY
from oms.core.operators import KILL_VERBS, RELOAD
from oms.core.prices import HELD, SOURCE
from oms.core.trading import ON
from oms.errors import OperatorError
from oms.fix.engine import Engine
from oms.fix.fields import clean
from oms.fix.renumber import Effect
from oms.flow import Flow
from oms.inbox import Heard, Inbox, now_us
from oms.ledger.database import engine as ledger_engine
from oms.ledger.load import Reader
from oms.ledger.remedies import database_errors
from oms.ops import fill_commands
from oms.ops.access import Access
from oms.ops.barrier import Barrier
from oms.ops.break_policy import BreakPolicy
from oms.ops.breakers import BreakerCommands
from oms.ops.file_commands import FileCommands
from oms.ops.limit_changes import LimitChanges, Running
from oms.ops.looks import LOOK
from oms.ops.numbers import Numbers
from oms.ops.people import People
from oms.ops.prices import PriceCommands
from oms.ops.reload import Reload
from oms.ops.session_control import SessionControl
from oms.ops.settling import Settling
from oms.ops.standing import LASTING
from oms.ops.trading import Trading
from oms.ops.two_people import TwoPeople, done
from oms.price_watch import PriceWatch

_ANSWER_SECONDS = 10.0
_TEXT_LIMIT = 2000
_PATTERN_LIMIT = 64

Args = dict[str, str]

# Items that say how something is now: resolved by hand they would say what is not so.
_CLOSES_BY_ITSELF = {
    PREFIX: "with its circuit breaker: `oms breakers list`, then reset it",
    HELD: "by prices that are taken: `oms prices list`; right after all: `oms prices load FILE.csv --accept-moves`",
    SOURCE: "when its source works again, or its prices are loaded: `oms prices list`, `oms prices load FILE.csv`",
}


class Commands:
    """Carries commands out, for who may give them (`access`). `url` is the ledger's, for what is checked before."""

    def __init__(
        self,
        inbox: Inbox,
        url: str,
        barrier: Barrier,
        book: Book,
        config: Config,
        engines: Callable[[], Mapping[str, Engine]],
        trading: Trading | None = None,
    ) -> None:
        self._inbox = inbox
        self._url = url
        self._barrier = barrier
        self._config = config
        self.people = People(config.operators, config.control)
        self._numbers = Numbers(config, lambda: ledger_engine(url, read_only=True), engines, self._submit)
        lock = self._numbers.one_at_a_time
        self.sessions = SessionControl(config, inbox, engines, self._submit, lock)
        trading = trading or Trading(config)
        self._afterwards = afterwards = {
            "kill.release": self._release_now,
            "sessions.set_seq": self._numbers.set,
            ON: trading.approved(self._submit),
        }
        self.two_people = TwoPeople(book, url, self.people, self._submit, afterwards, self._why_not_any_more)
        engaged = lambda: {kill.scope for kill in barrier.kills}  # noqa: E731
        self.breaks = BreakPolicy(config, url, self._submit, self._engage, engaged)
        self._files = FileCommands(config, self._submit, self.breaks)
        self._one_kill_at_a_time = threading.Lock()
        self._last_kill = 0
        self._verbs: dict[str, Callable[[str, str, Args], dict[str, Any]]] = {
            LOOK: lambda operator, verb, args: {},  # that it was asked for is all
            "exceptions.take": self._item,
            "exceptions.note": self._item,
            "exceptions.resolve": self._item,
            "orders.cancel": self._cancel,
            "kill.engage": self._engage,
            "kill.release": self._release,
            "kill.list": self._list_kills,
            "fills.add": self._fill,
            "fills.correct": self._fill,
            "fills.bust": self._fill,
            "fills.link": self._fill,
            "approvals.list": self.two_people.list,
            "approvals.show": self.two_people.show,
            "approvals.approve": self.two_people.approve,
            "approvals.reject": self.two_people.reject,
            "sessions.preview_seq": self._preview_seq,
            "sessions.set_seq": self._set_seq,
            **self.sessions.verbs,
            "reconcile.file": self._file,
            **Settling(config, self.people, self.two_people, self._submit, _reason).verbs,
            **trading.commands(self.people, self.two_people, self._submit, _reason),
        }

    def breakers(self, live: LiveBreakers) -> None:
        """The commands about circuit breakers."""
        made = BreakerCommands(live, self.people, self.two_people, self._submit, _reason)
        self._verbs |= made.verbs
        self._afterwards[RESET] = made.reset_now

    def limits(
        self, changes: LimitChanges, judge: LiveJudge, flow: Flow, committer: Committer, rollover: timedelta
    ) -> None:
        """The commands about limits."""
        self._limits, book = changes, self.two_people.book
        running = Running(judge, book, flow, committer, self._inbox.wake, self._url, rollover)
        self._verbs |= changes.commands(self.people, self.two_people, self._submit, _reason, running)
        self._afterwards[APPLY] = changes.approved

    def additions(self, additions: Additions) -> None:
        """The command that reads sessions.cfg again."""
        book, control = self.two_people.book, self.sessions
        self._verbs[RELOAD] = Reload(self._config, control.engines, book, self._submit, control.retire, additions)

    def prices(self, watch: PriceWatch) -> None:
        """The commands about reference prices."""
        self._verbs |= PriceCommands(watch, self._submit).verbs

    def access(self) -> Access:
        """The handler of the control socket: who may give a command, and then this."""
        return Access(
            self, self.people, self._inbox, self._url, self.two_people.book, self._config, lambda: self._barrier.kills
        )

    def also(self, verb: str, found: Callable[[str, str, Args], dict[str, Any]]) -> None:
        """A command that is made elsewhere."""
        self._verbs[verb] = found

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
        if verb == "exceptions.resolve" and (way := _CLOSES_BY_ITSELF.get(item["kind"])):
            raise OperatorError(f"{item_id} is closed {way}")
        given = {"item_id": item_id, "kind": item["kind"], "order_id": item["order_id"] or "", "text": text}
        return self._submit(operator, verb, {name: value for name, value in given.items() if value})

    # -- orders --------------------------------------------------------------------------------------------

    def _cancel(self, operator: str, verb: str, args: Args) -> dict[str, Any]:
        """Cancel one order at its broker, a client's or an adopted one."""
        text, order_id = _reason(args), args.get("order_id", "")
        with database_errors(self._url), closing(Reader(self._url)) as reader:
            found = reader.rows("SELECT life, finished FROM client_orders WHERE order_id = %s", order_id)
        if not found:
            raise OperatorError(f"there is no order with OrderID(37) {order_id}; `oms orders list --live` shows them")
        if found[0]["finished"]:
            raise OperatorError(f"{order_id} is not alive any more, it is {found[0]['life']}; nothing was sent")
        answer = self._submit(operator, verb, {"order_id": order_id, "text": text})
        if problem := answer.get("problem"):
            raise OperatorError(f"{problem}; nothing was sent (journal row {answer['journal_seq']})")
        return answer

    # -- kill switches -------------------------------------------------------------------------------------

    def _engage(self, operator: str, verb: str, args: Args) -> dict[str, Any]:
        """In force before anything else is done; the cancels follow through the core."""
        text = _reason(args)
        unknown = sorted(set(args) - {*SCOPES, "text", "cancel", "reduce_only"})
        if unknown:
            raise OperatorError(f"{unknown[0]!r} is no part of a scope; there are {', '.join(SCOPES)}")
        if args.get("reduce_only") == "Y" and not self._config.gateway.keep_positions:
            raise OperatorError(
                "positions are not kept, so that no order could be let through: set [gateway] keep_positions = true"
                " and start again, or engage without --reduce-only"
            )
        if any(len(pattern) > _PATTERN_LIMIT for _, pattern in scope_of(args)):
            raise OperatorError(f"a pattern of the scope is longer than {_PATTERN_LIMIT} characters")
        with self._one_kill_at_a_time:
            self._last_kill = max(now_us() // 1000, self._last_kill + 1)  # unlike all before, without the ledger
            reduce_only = args.get("reduce_only") == "Y"
            kill = Kill(number_id("K", self._last_kill), scope_of(args), operator, text, reduce_only)
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
        else:
            problem = self._judged_from(kill.kill_id, answer["journal_seq"]) or problem
        return answer | {"scope": kill.text, "problem": problem}

    def _judged_from(self, kill_id: str, seq: int) -> str:
        """The core judges by a kill now; what is wrong with its file, '' if nothing is."""
        try:
            self._barrier.judged_from(kill_id, seq)
        except OperatorError as error:
            return str(error)
        return ""

    def _release(self, operator: str, verb: str, args: Args) -> dict[str, Any]:
        text, kill_id = _reason(args), args.get("kill_id", "")
        if all(kill.kill_id != kill_id for kill in self._barrier.kills):
            raise OperatorError(f"no kill switch {kill_id} is engaged; `oms kill list` shows those that are")
        if self.people.needs_two(verb):
            return self.two_people.propose(operator, verb, {"kill_id": kill_id, "text": text})
        return self._release_now(operator, verb, {"kill_id": kill_id, "text": text})

    def _release_now(self, operator: str, verb: str, args: Args) -> dict[str, Any]:
        answer = self._submit(operator, verb, args)
        self._barrier.release(args["kill_id"])
        return answer

    def recover(self) -> None:
        """At a start: file and journal know of the same kills, and one that was not journaled is carried out now.

        A kill that either of them holds is in force: what is in doubt is stopped.
        """
        asked = "SELECT seq, detail FROM journal WHERE kind = 'operator' AND msg_type = ANY(%s) ORDER BY seq"
        with database_errors(self._url), closing(Reader(self._url)) as reader:
            rows = reader.rows(asked, list(KILL_VERBS))
        found = [row["detail"]["matter"] for row in rows]
        engaged = {}
        for row, (operator, verb, pairs) in zip(rows, found, strict=True):
            args = dict(pairs)
            if verb == "kill.engage":
                reduce_only = args.get("reduce_only") == "Y"
                kill = Kill(args["kill_id"], scope_of(args), operator, args["text"], reduce_only, row["seq"])
                engaged[kill.kill_id] = kill
        released = {dict(pairs)["kill_id"] for _, verb, pairs in found if verb == "kill.release"}
        in_force = {kill.kill_id for kill in self._barrier.kills}
        for kill_id, kill in engaged.items():
            if kill_id not in released | in_force:
                self._barrier.engage(kill)
            elif kill.reduce_only and kill_id in in_force:
                self._barrier.judged_from(kill_id, kill.since)
        for kill in self._barrier.kills:
            if kill.kill_id not in engaged:
                matter = {**dict(kill.scope), "text": kill.reason, "kill_id": kill.kill_id}
                matter |= {"reduce_only": "Y"} if kill.reduce_only else {}
                done: Future[dict[str, Any]] = Future()
                entry = (kill.operator, "kill.engage", tuple(matter.items()), done)
                self._inbox.tell(Heard(box.COMMAND, "", "", entry, now_us()))

    def keep_out(self) -> list[str]:
        """At a start, before the engines run: the sessions that are disabled stay out. Returns their names."""
        asked = "SELECT received_at, detail FROM journal WHERE kind = 'operator' AND msg_type = ANY(%s) ORDER BY seq"
        with database_errors(self._url), closing(Reader(self._url)) as reader:
            return self.sessions.recover(reader.rows(asked, list(LASTING)))

    def _list_kills(self, operator: str, verb: str, args: Args) -> dict[str, Any]:
        shown = ("kill_id", "scope", "operator", "reason")
        return {
            "kills": [
                {name: getattr(kill, name) for name in shown}
                | ({"reduce_only": True} if kill.reduce_only else {})
                | {"text": kill.text}
                for kill in self._barrier.kills
            ]
        }

    # -- fills ---------------------------------------------------------------------------------------------

    def _fill(self, operator: str, verb: str, args: Args) -> dict[str, Any]:
        """A fill, correction or bust that people enter; mostly by two of them."""
        today = self._config.gateway.trade_date(datetime.now(UTC))
        with database_errors(self._url), closing(Reader(self._url)) as reader:
            given = fill_commands.checked(verb, args, _reason(args), today, reader.rows)
        if self.people.needs_two(verb):
            return self.two_people.propose(operator, verb, given)
        return done(self._submit(operator, verb, given))

    # -- files of brokers ----------------------------------------------------------------------------------

    def _file(self, operator: str, verb: str, args: Args) -> dict[str, Any]:
        """A part of what a broker's end-of-day file says."""
        with database_errors(self._url), closing(Reader(self._url)) as reader:
            return self._files.part(operator, args, reader.rows)

    # -- sequence numbers ----------------------------------------------------------------------------------

    def _preview_seq(self, operator: str, verb: str, args: Args) -> dict[str, Any]:
        with database_errors(self._url):
            effect, answer = self._numbers.effect(args)
        two = bool(effect.risks) and self.people.needs_two("sessions.set_seq")
        return answer | {"needs_two": two}

    def _set_seq(self, operator: str, verb: str, args: Args) -> dict[str, Any]:
        """Done at once where nothing is at risk, else proposed, with what it would do as a part of the proposal."""
        text = _reason(args)
        with database_errors(self._url):
            effect, _ = self._numbers.effect(args)
        given = {name: args[name] for name in ("session", "next_out", "next_in") if name in args} | {"text": text}
        if args.get("at_risk", _risk(effect)) != _risk(effect):
            raise OperatorError("it would do something else by now than was shown; look again")
        if effect.risks and self.people.needs_two(verb):
            shown = {"effect": "; ".join(effect.lines)[:_TEXT_LIMIT], "at_risk": _risk(effect)}
            return self.two_people.propose(operator, verb, given | shown)
        return self._numbers.set(operator, verb, given)

    def _why_not_any_more(self, verb: str, contents: Args) -> str:
        """Why a proposal must not be done as it stands: more is at risk than its approver was shown."""
        if verb == APPLY:
            return self._limits.why_not(contents)
        if verb != "sessions.set_seq":
            return ""
        with database_errors(self._url):
            effect, _ = self._numbers.effect(contents)
        if not _worse(_risk(effect), contents.get("at_risk", "")):
            return ""
        return f"by now more is at risk than was proposed: {'; '.join(effect.risks)}; reject it and propose it again"

    # -- what all share ------------------------------------------------------------------------------------

    def _submit(self, operator: str, verb: str, args: Args, session: str = "") -> dict[str, Any]:
        """Put a command in line, behind what a session sent before where one is given; its answer, once committed."""
        asker: Future[dict[str, Any]] = Future()
        heard = Heard(box.COMMAND, session, "", (operator, verb, tuple(args.items()), asker), now_us())
        (self._inbox.follow if session else self._inbox.tell)(heard)
        try:
            return asker.result(_ANSWER_SECONDS)
        except TimeoutError:
            raise OperatorError(
                "the command is in line but not committed yet, the ledger is slow or gone; look before you repeat it"
            ) from None


def _risk(effect: Effect) -> str:
    return ",".join(map(str, effect.at_risk))


def _worse(now: str, proposed: str) -> bool:
    """Whether more is at risk than was proposed, kind by kind."""
    numbers, before = ([int(one) for one in text.split(",") if one] for text in (now, proposed))
    return len(numbers) != len(before) or any(one > other for one, other in zip(numbers, before, strict=True))


def _reason(args: Args) -> str:
    """Why; refused where it is missing or too long to be read."""
    text = clean(args.get("text", "")).strip()
    if not text:
        raise OperatorError("say why: --reason TEXT")
    if len(text) > _TEXT_LIMIT:
        raise OperatorError(f"the text has {len(text)} characters; shorten it to {_TEXT_LIMIT}")
    return text
