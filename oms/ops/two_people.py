"""What needs two people, at the edge: proposed, shown, approved, rejected; and proposals back after a start.

The core decides and journals (`oms.core.approvals`); here is who counts as a person, and what is done right after an
approval because the core cannot do it. A proposal that was approved and not carried out, because the gateway died in
between, stays approved: what it was for is asked for again.
Threads: called from the control socket's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from oms.core.approvals import EXPIRED, OPEN, PROPOSE, Proposal, restore
from oms.core.book import Book
from oms.errors import OperatorError
from oms.fix.fields import clean
from oms.ledger.load import Reader
from oms.ledger.remedies import database_errors
from oms.ops.people import People

Args = dict[str, str]
Handler = Callable[[str, str, Args], dict[str, Any]]

_LONGEST = timedelta(days=8)  # a proposal may have been valid for longer than it would be now
_TEXT_LIMIT = 2000


class Submit(Protocol):
    """Puts a command in line and waits for its commit."""

    def __call__(self, operator: str, verb: str, args: Args, /) -> dict[str, Any]:
        """The core's answer."""


def done(answer: dict[str, Any]) -> dict[str, Any]:
    """The core's answer. Raises OperatorError where it refused; the refusal is in the journal."""
    if refused := answer.get("refused"):
        raise OperatorError(f"{refused} (journal row {answer['journal_seq']})")
    return answer


class TwoPeople:
    """Proposals of operators. `afterwards` has what follows the approval of a verb; `why_not` looks again before."""

    def __init__(
        self,
        book: Book,
        url: str,
        people: People,
        submit: Submit,
        afterwards: Mapping[str, Handler],
        why_not: Callable[[str, Args], str],
    ) -> None:
        self.book = book
        self._url = url
        self._people = people
        self._submit = submit
        self._afterwards = afterwards
        self._why_not = why_not

    def propose(self, operator: str, verb: str, args: Args) -> dict[str, Any]:
        """Propose a command. Raises OperatorError where it is refused."""
        own = {"proposed": verb, "valid_seconds": str(self._people.valid_seconds)}
        answer = done(self._submit(operator, PROPOSE, own | args | self._barred(operator)))
        return answer | {"contents": args}

    def approve(self, operator: str, verb: str, args: Args) -> dict[str, Any]:
        """Approved and done: by the core with the approval, or right after it."""
        proposal_id = args.get("proposal_id", "")
        given = {"proposal_id": proposal_id, "hash": args.get("hash", ""), "text": _text(args)}
        barred = self._barred(operator)
        found = self.book.proposals.get(proposal_id)
        if found is not None and found.state == OPEN and (why := self._why_not(found.verb, dict(found.args))):
            barred = barred or {"barred": why}
        answer = done(self._submit(operator, verb, given | barred))
        if found is not None and found.verb in self._afterwards:
            contents = dict(found.args) | {"proposal": proposal_id, "proposer": found.proposer}
            answer |= {"done": self._afterwards[found.verb](operator, found.verb, contents)}
        return answer

    def reject(self, operator: str, verb: str, args: Args) -> dict[str, Any]:
        """Rejected, or taken back by who proposed it; with a reason."""
        text = _text(args)
        if not text:
            raise OperatorError("say why: --reason TEXT")
        return done(self._submit(operator, verb, {"proposal_id": args.get("proposal_id", ""), "text": text}))

    def list(self, operator: str, verb: str, args: Args) -> dict[str, Any]:
        """Open proposals; with `all` those that are over as well, as far as they are remembered."""
        every = list(self.book.proposals.copy().values())
        found = [one for one in every if args.get("all") == "Y" or one.state == OPEN]
        return {"proposals": [_told(one) for one in found]}

    def show(self, operator: str, verb: str, args: Args) -> dict[str, Any]:
        """A proposal with the order that it is about."""
        found = self.book.proposals.get(args.get("proposal_id", ""))
        if found is None:
            raise OperatorError(
                f"there is no proposal {args.get('proposal_id') or '(none)'}; `oms approvals list --all` shows those"
                " of late, `oms orders explain` those about an order"
            )
        return _told(found) | {"order": self._order(dict(found.args).get("order_id", ""))}

    def recover(self) -> None:
        """At a start, before anything is heard: the proposals that may still be approved, from the journal."""
        since = datetime.now(UTC) - timedelta(seconds=self._people.valid_seconds) - _LONGEST
        asked = (
            "SELECT seq, received_at, msg_type, detail FROM journal WHERE kind = 'operator'"
            " AND msg_type LIKE 'approvals.%%' AND received_at > %s ORDER BY seq"
        )
        with database_errors(self._url), closing(Reader(self._url)) as reader:
            for row in reader.rows(asked, since):
                operator, verb, pairs = row["detail"]["matter"]
                args = tuple((str(name), str(value)) for name, value in pairs)
                restore(self.book, row["seq"], row["received_at"], operator, verb, args, row["detail"])

    def _barred(self, operator: str) -> Args:
        barred = self._people.barred(operator)
        return {"barred": barred} if barred else {}

    def _order(self, order_id: str) -> dict[str, Any]:
        if not order_id:
            return {}
        columns = "order_id, client, cl_ord_id, account, side, symbol, order_qty, cum_qty, leaves_qty, life"
        with database_errors(self._url), closing(Reader(self._url)) as reader:
            found = reader.rows(f"SELECT {columns} FROM client_orders WHERE order_id = %s", order_id)
        return found[0] if found else {}


def _told(one: Proposal) -> dict[str, Any]:
    """A proposal as an operator sees it."""
    kept = {name: getattr(one, name) for name in Proposal.__dataclass_fields__ if name != "args"}
    expired = one.state == OPEN and datetime.now(UTC) > one.expires_at
    return kept | {"contents": dict(one.args), "hash": one.hash} | ({"state": EXPIRED} if expired else {})


def _text(args: Args) -> str:
    text = clean(args.get("text", "")).strip()
    if len(text) > _TEXT_LIMIT:
        raise OperatorError(f"the text has {len(text)} characters; shorten it to {_TEXT_LIMIT}")
    return text
