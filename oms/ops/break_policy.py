"""What is done where a broker tells something else than the ledger: `on_break` of its dialect, whoever told it.

Three witnesses, one policy: answers of the order session in a round, the drop copy, an end-of-day file. What is done
are ordinary commands, each with its own row of the journal: a kill switch, cancels, or a round of questions. They
follow the exception items once those are committed, and only new ones; of the order session and the drop copy `oms`
gives them, of a file the operator who brought it. An answer of the order session is not asked for again (`query`).
Limits: where the gateway dies between item and command the item is there alone.
Threads: `committed` from the committer's, the rest in a thread of its own, or in that of the control socket (files).
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import datetime
from glob import escape
from typing import Any, Final, NamedTuple

import structlog

from oms.config.load import Config
from oms.config.reconcile import Reconcile
from oms.core.kill import scope_of
from oms.core.reconcile import RUN, SOURCE
from oms.errors import OperatorError
from oms.fix.decode import split
from oms.ledger.batch import Batch
from oms.ledger.load import Reader
from oms.ledger.remedies import database_errors

log = structlog.get_logger("oms.ops")

Rows = Callable[..., list[dict[str, Any]]]
Submit = Callable[[str, str, dict[str, str]], dict[str, Any]]
Scopes = Callable[[], set[tuple[tuple[str, str], ...]]]
Committed = Callable[[Batch, datetime, float], None]

OPERATOR: Final = "oms"
FILE: Final = "a file"
_COPY_KINDS = frozenset(["missing_here", "missing_there", "drop_copy_mismatch"])
_ANSWER_KINDS = frozenset(  # where they come of an answer, or of the lack of an order in one
    [
        "state_mismatch",
        "quantity_mismatch",
        "leaves_mismatch",
        "price_mismatch",
        "broker_unknown_order",
        "unknown_order",
    ]
)
_COMPARED = '"reconcile":'  # as the journal's JSON has it; inside a text the quotes would be escaped
_MOST = 10_000  # breaks that wait


class Place(NamedTuple):
    """Symbol(55) and Account(1) of a break, '' where it does not say."""

    symbol: str
    account: str


class Break(NamedTuple):
    """A new exception item about a broker: who told, the journal row, and OrderID(37) where it is about an order."""

    broker: str
    source: str
    seq: int
    order_id: str


class BreakPolicy:
    """`submit` puts a command in line and waits; `engage` engages a kill switch, `engaged` has those in force."""

    def __init__(self, config: Config, url: str, submit: Submit, engage: Submit, engaged: Scopes) -> None:
        self._url = url
        self._config = config
        self._copies = {spec.name: spec.drop_copy_of for spec in config.role("drop_copy")}
        self._submit = submit
        self._engage = engage
        self._engaged = engaged
        self._waiting: queue.Queue[Break] = queue.Queue(_MOST)
        self._thread: threading.Thread | None = None

    # -- what was committed --------------------------------------------------------------------------------------

    def after(self, told: Committed) -> Committed:
        """The committer's observer: `told` first, then this."""

        def both(batch: Batch, at: datetime, seconds: float) -> None:
            told(batch, at, seconds)
            if batch.items:
                self._take(batch)

        return both

    def _take(self, batch: Batch) -> None:
        """Note the new breaks of a batch."""
        answers: set[int] | None = None
        for item in batch.items:
            if item.changes or item.kind not in _COPY_KINDS | _ANSWER_KINDS:
                continue
            source = SOURCE
            if item.kind in _COPY_KINDS:
                source = "the drop copy"
            elif answers is None:
                answers = {row.seq for row in batch.journal if row.detail and _COMPARED in row.detail}
            if source == SOURCE and item.seq not in (answers or ()):
                continue
            self._put(Break(self._copies.get(item.session, item.session), source, item.seq, item.order_id or ""))

    def _form(self, broker: str) -> Reconcile | None:
        """What a broker's dialect says of breaks; asked each time, because brokers are added while others trade."""
        spec = self._config.sessions.get(broker)
        return None if spec is None or spec.role != "broker" else spec.dialect.reconcile

    def _put(self, one: Break) -> None:
        form = self._form(one.broker)
        if form is None or form.on_break == "alert" or (form.on_break == "query" and one.source == SOURCE):
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="break policy", daemon=True)
            self._thread.start()
        try:
            self._waiting.put_nowait(one)
        except queue.Full:
            log.critical("too many breaks at once: nothing follows from this one", broker=one.broker, row=one.seq)

    def _run(self) -> None:
        while True:
            found = [self._waiting.get()]
            while not self._waiting.empty():
                found.append(self._waiting.get())
            try:
                self._follow(found)
            except OperatorError as error:  # the ledger is gone
                log.critical("nothing follows from breaks", breaks=len(found), error=str(error))

    def _follow(self, found: list[Break]) -> None:
        with database_errors(self._url), closing(Reader(self._url)) as reader:
            for broker, source in dict.fromkeys((one.broker, one.source) for one in found):
                some = [one for one in found if (one.broker, one.source) == (broker, source)]
                places = {_place_of(one, reader.rows) for one in some}
                done, problems = self.carry_out(OPERATOR, broker, source, places, reader.rows)
                for text in done:
                    log.warning("followed from a break", broker=broker, source=source, done=text)
                for text in problems:
                    log.critical("not done after a break", broker=broker, source=source, problem=text)

    # -- what follows --------------------------------------------------------------------------------------------

    def carry_out(
        self, operator: str, broker: str, source: str, places: Iterable[Place], rows: Rows
    ) -> tuple[list[str], list[str]]:
        """What the broker's dialect wants done about breaks at these places; what was done, and what could not be."""
        form = self._form(broker)
        assert form is not None
        done: list[str] = []
        problems: list[str] = []
        why = f"{source} of {broker} differs, and its dialect has on_break = {form.on_break}"
        if form.on_break == "query":
            self._query(operator, broker, done, problems)
        elif form.on_break == "cancel":
            self._cancel(operator, broker, places, why, rows, done, problems)
        elif form.on_break == "block":
            for place in sorted(places):
                self._block(operator, broker, form, place, why, done, problems)
        return done, problems

    def _query(self, operator: str, broker: str, done: list[str], problems: list[str]) -> None:
        answer = self._tried(self._submit, operator, RUN, {"broker": broker, "cause": "on_break"}, problems)
        if answer is not None and answer.get("refused"):
            problems.append(f"{broker} was not asked: {answer['refused']}")
        elif answer is not None:
            done.append(f"round {answer['round']} with {broker} is under way")

    def _block(
        self,
        operator: str,
        broker: str,
        form: Reconcile,
        place: Place,
        why: str,
        done: list[str],
        problems: list[str],
    ) -> None:
        scope = {"broker": escape(broker)}
        if form.block != "broker" and (value := place.symbol if form.block == "symbol" else place.account):
            scope[form.block] = escape(value)
        if scope_of(scope) in self._engaged():
            return
        answer = self._tried(self._engage, operator, "kill.engage", scope | {"text": why, "cancel": "N"}, problems)
        if answer is not None:
            done.append(f"engaged {answer['kill_id']}: {answer['scope']}")
            problems += [answer["problem"]] if answer["problem"] else []

    def _cancel(
        self,
        operator: str,
        broker: str,
        places: Iterable[Place],
        why: str,
        rows: Rows,
        done: list[str],
        problems: list[str],
    ) -> None:
        live = rows(
            "SELECT o.order_id FROM client_orders AS o JOIN child_orders AS c USING (order_id) WHERE NOT o.finished"
            " AND NOT c.finished AND c.broker = %s AND o.symbol = ANY(%s) ORDER BY o.order_id",
            broker,
            sorted({place.symbol for place in places}),
        )
        for row in live:
            args = {"order_id": row["order_id"], "text": why}
            answer = self._tried(self._submit, operator, "orders.cancel", args, problems)
            if answer is not None and answer.get("problem"):
                problems.append(f"{row['order_id']}: {answer['problem']}")
            elif answer is not None:
                done.append(f"cancel sent for {row['order_id']}")

    @staticmethod
    def _tried(
        do: Submit, operator: str, verb: str, args: dict[str, str], problems: list[str]
    ) -> dict[str, Any] | None:
        try:
            return do(operator, verb, args)
        except OperatorError as error:
            problems.append(f"{verb} {scope_of(args) or args.get('order_id', '')}: {error}")
            return None


def _place_of(one: Break, rows: Rows) -> Place:
    """Where a break is: of the order, of the copy that told it, else of the message."""
    found = rows("SELECT symbol, account FROM client_orders WHERE order_id = %s", one.order_id) or rows(
        "SELECT symbol, account FROM witnesses WHERE broker = %s AND seq = %s", one.broker, one.seq
    )
    if found:
        return Place(found[0]["symbol"], found[0]["account"])
    raw = rows("SELECT raw FROM journal WHERE seq = %s", one.seq)
    fields = dict(split(bytes(raw[0]["raw"]).decode("utf-8", "surrogateescape"))) if raw else {}
    return Place(fields.get("55", ""), fields.get("1", ""))
