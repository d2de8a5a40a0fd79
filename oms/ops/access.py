"""May he? Asked before every command of the control socket, by role and scope; what is refused is recorded.

The handler of the control socket: it looks a verb up in the table of `oms.ops.roles`, finds out what the command is
about where somebody's scope is restricted, and only then lets `oms.ops.commands` do it. Whoever approves a proposal
needs the right to what is proposed.
Invariant: what cannot be judged (an unknown verb, an order that is not found, a ledger that is gone while a scope
has to be looked up) is refused.
Threads: called from the control socket's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import Any

from oms import inbox as box
from oms.config.load import Config
from oms.core.approvals import Proposal
from oms.core.book import Book
from oms.core.kill import Kill
from oms.errors import OperatorError
from oms.inbox import Heard, Inbox, now_us
from oms.ledger.load import Reader
from oms.ledger.remedies import database_errors
from oms.ops import looks
from oms.ops.people import Caller, People, Refused
from oms.ops.recorder import GATEWAY, PEOPLE, READ, REFUSED, Recorder, about_text, short
from oms.ops.roles import DIMENSIONS, Subject, outside, rule_of, scope_text

Args = dict[str, str]
Answer = dict[str, Any]
APPROVE, REJECT, LIST = "approvals.approve", "approvals.reject", "approvals.list"
_JOURNALED = "(journal row "  # stands in refusals that the core has written down

_ORDER = (
    "SELECT client, account, symbol, array(SELECT DISTINCT broker FROM child_orders AS c"
    " WHERE c.order_id = o.order_id) AS brokers FROM client_orders AS o WHERE order_id = %s"
)
_FILL = "SELECT order_id FROM fills WHERE client_exec_id = %s UNION SELECT order_id FROM fills WHERE exec_id = %s"
_ITEM = "SELECT order_id, session FROM exception_items WHERE item_id = %s"


class Access:
    """Lets callers do what they may. `do` carries a command out, `kills` has the kill switches in force."""

    def __init__(
        self,
        do: Callable[[str, str, Args], Answer],
        people: People,
        inbox: Inbox,
        url: str,
        book: Book,
        config: Config,
        kills: Callable[[], Iterable[Kill]],
    ) -> None:
        self._do = do
        self._people = people
        self._inbox = inbox
        self._url = url
        self._book = book
        self._sessions = config.sessions
        self._kills = kills
        self._records = Recorder(self._tell)
        if config.operators.file is not None:
            self._tell_people(people.words())
            people.changed = self._tell_people

    def __call__(self, caller: Caller, verb: str, args: Args) -> Answer:
        """Carry a command out for somebody who may give it. Raises OperatorError."""
        rule = rule_of(verb)
        if why := self._why_not(caller, verb, args):
            self._record(REFUSED, caller, verb, args, why)
            raise Refused(caller.name, caller.origin, why)
        if rule.sensitive:
            self._record(READ, caller, verb, args, "")
        try:
            answer = self._do(caller.name, verb, args)
        except OperatorError as error:
            if _JOURNALED not in str(error):
                self._record(REFUSED, caller, verb, args, str(error))
            raise
        if verb == LIST and caller.scope:
            answer = {"proposals": [one for one in answer["proposals"] if self._sees(caller, one)]}
        return answer

    def refused(self, refusal: Refused, verb: str) -> None:
        """Somebody may not command at all: recorded."""
        about = {"what": short(verb)[:64], "from": refusal.origin, "why": refusal.why}
        self._records.note(REFUSED, refusal.name, about)

    def looked(self, state_dir: Path) -> int:
        """Journal what was looked at while no gateway ran; returns how many looks."""
        return looks.move(state_dir, self._tell)

    def stop(self) -> None:
        """Write what is only counted so far."""
        self._records.flush()

    # -- may he ---------------------------------------------------------------------------------------------

    def _why_not(self, caller: Caller, verb: str, args: Args) -> str:
        """Why a command is refused, with the remedy; '' where it may be given."""
        rule = rule_of(verb)
        if caller.role not in rule.roles:
            may = ", ".join(sorted(rule.roles))
            return f"{caller.name} is {caller.role} and may not {verb}; it takes one of the roles {may}"
        proposal = self._book.proposals.get(args.get("proposal_id", "")) if rule.about == "proposal" else None
        if proposal is not None and (why := _why_not_this(caller, verb, proposal)):
            return why
        if proposal is not None and verb == APPROVE and self._people.gone(proposal.proposer):
            return f"{proposal.proposer}, who proposed it, is no operator any more; reject it and propose it again"
        if not caller.scope or (rule.reads and not rule.about):
            return ""
        part = outside(caller.scope, self._subject(verb, args))
        if not part:
            return ""
        return (
            f"{caller.name} may {verb} only for {scope_text(caller.scope)}, and this is not within {part}"
            f" {' or '.join(caller.scope[part])}; name it, or ask somebody with a wider scope"
        )

    def _sees(self, caller: Caller, told: Mapping[str, Any]) -> bool:
        """Whether a proposal is within somebody's scope."""
        return not outside(caller.scope, self._subject(told["verb"], told["contents"]))

    # -- what a command is about ----------------------------------------------------------------------------

    def _subject(self, verb: str, args: Mapping[str, str]) -> Subject:
        """What a command is about; nothing where that is not known. Raises OperatorError without a ledger."""
        about = rule_of(verb).about
        if about == "own":
            return {part: frozenset({args[part]}) for part in DIMENSIONS if args.get(part)}
        if about == "kill":
            scopes = [kill.scope for kill in self._kills() if kill.kill_id == args.get("kill_id")]
            return {part: frozenset({pattern}) for scope in scopes for part, pattern in scope}
        if about == "session":
            return self._session(args.get("session", ""))
        if about == "proposal":
            found = self._book.proposals.get(args.get("proposal_id", ""))
            return self._subject(found.verb, dict(found.args)) if found is not None else {}
        if about in ("order", "fill", "item"):
            with database_errors(self._url), closing(Reader(self._url)) as reader:
                return self._of_ledger(about, args, reader)
        return {}

    def _of_ledger(self, about: str, args: Mapping[str, str], reader: Reader) -> Subject:
        order_id = args.get("order_id", "")
        if about == "fill" and (named := args.get("exec", "")):  # whatever else was given: the command goes by it
            ids = {row["order_id"] for row in reader.rows(_FILL, named, named)}
            if len(ids) != 1:  # the command itself refuses what is not one fill
                return {}
            order_id = ids.pop() or ""
        elif about == "item":
            items = reader.rows(_ITEM, args.get("item_id", ""))
            if not items:
                return {}
            order_id = items[0]["order_id"] or ""
            if not order_id:
                return self._session(items[0]["session"])
        found = reader.rows(_ORDER, order_id)
        if not found:
            return {}
        parts = {part: frozenset({found[0][part]}) for part in ("client", "account", "symbol") if found[0][part]}
        return parts | {"broker": frozenset(found[0]["brokers"])}

    def _session(self, name: str) -> Subject:
        spec = self._sessions.get(name)
        if spec is None:
            return {}
        return {"client" if spec.role == "client" else "broker": frozenset({name})}

    # -- the record -----------------------------------------------------------------------------------------

    def _record(self, kind: str, caller: Caller, verb: str, args: Args, why: str) -> None:
        about = {
            "what": short(verb)[:64],
            "role": caller.role,
            "scope": scope_text(caller.scope) if caller.scope else "",
            "from": f"{caller.origin}, by {caller.by}",
            "about": about_text(args),
            "why": why,
        }
        self._records.note(kind, caller.name, about)

    def _tell_people(self, words: str) -> None:
        """Who may do what from now on, each time that the file of people was read."""
        self._tell(GATEWAY, PEOPLE, {"people": words})

    def _tell(self, operator: str, verb: str, args: dict[str, str]) -> Future[Any]:
        """In line for the journal; done when that is committed, for which nobody has to wait."""
        asker: Future[Any] = Future()
        self._inbox.tell(Heard(box.COMMAND, "", "", (operator, verb, tuple(args.items()), asker), now_us()))
        return asker


def _why_not_this(caller: Caller, verb: str, proposal: Proposal) -> str:
    """Why somebody may not decide on a proposal; '' where he may."""
    own = verb == REJECT and caller.name == proposal.proposer
    if verb not in (APPROVE, REJECT) or own or caller.role in rule_of(proposal.verb).roles:
        return ""
    may = ", ".join(sorted(rule_of(proposal.verb).roles))
    return f"{caller.name} is {caller.role} and cannot decide on {proposal.verb}; it takes one of the roles {may}"
