"""Limits changed while trading: brought in parts, checked as at a start, journaled, and in force between two orders.

A set of limits (`oms.ops.limit_set`) comes over the control socket into memory, is journaled by its hash
(`limits.stage`), and `limits.apply` names that hash. What may let more orders through needs a second person where
`[operators] two_people` says so. The core thread does the rest between two batches: it builds totals that the new
limits look at and the old ones did not from the ledger, as a start does; then the command is a batch by itself: what
comes after its row is judged by the new limits, what came before by the old ones; if it is never committed none is.
Over a start the last set applied stays in force, unless the files were edited since and only lower (`recover`).
Invariant: before the command's row there is nothing that would have to be undone.
Threads: verbs from the control socket's, one change at a time; `_take` in the core thread.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from oms import inbox as box
from oms.committer import Committer
from oms.config.load import Config
from oms.core.book import Book
from oms.core.judge import LiveJudge, Prepared
from oms.core.limit_diff import APPLY, STAGE, Change, compare, counted
from oms.errors import ConfigError, JournalFailure, OperatorError
from oms.flow import Flow
from oms.inbox import Heard, now_us
from oms.ledger.load import Reader
from oms.ledger.remedies import database_errors
from oms.ledger.traded import restore
from oms.ops.limit_set import PACKED_BYTES, PART_BYTES, LimitSet, over, problems_of, set_of, unpacked
from oms.ops.limits_in_force import BY_COMMAND, BY_START, InForce, applied_by, over_files, raises, staged
from oms.ops.people import People
from oms.ops.two_people import Submit, TwoPeople
from oms.startup_report import StartReport

SHOW, HISTORY, PART = "limits.show", "limits.history", "limits.part"
CHANGES_KEPT = 100  # in the journal row of a change; all follow from the two sets
_HISTORY = 200
_ANSWER_SECONDS = 10.0
Args = dict[str, str]
Answer = dict[str, Any]
Handler = Callable[[str, str, Args], Answer]


@dataclass(frozen=True, slots=True)
class Running:
    """What a change is made in."""

    judge: LiveJudge
    book: Book
    flow: Flow
    committer: Committer
    wake: Callable[[], None]
    url: str
    rollover: timedelta


class _Parts:
    """The set that somebody is bringing; one at a time for each operator."""

    def __init__(self) -> None:
        self._parts: dict[str, tuple[str, list[str]]] = {}

    def take(self, operator: str, args: Args) -> Answer:
        """One part, numbered from 0; number 0 begins anew."""
        number, text = args.get("number", ""), args.get("text", "")
        name, parts = self._parts.get(operator, ("", []))
        if number == "0":
            name, parts = args.get("sha256", ""), []
        if number != str(len(parts)) or args.get("sha256") != name or len(text) > PART_BYTES:
            raise OperatorError("not the next part of this set of limits; apply the file again")
        if sum(map(len, parts)) + len(text) > PACKED_BYTES:
            raise OperatorError(f"a set of limits of more than {PACKED_BYTES:,} bytes; use patterns for rows alike")
        if operator not in self._parts and len(self._parts) >= 16:
            self._parts.clear()  # nobody brings sixteen at once
        self._parts[operator] = (name, [*parts, text])
        return {"parts": len(parts) + 1}

    def whole(self, operator: str, sha256: str) -> str:
        """All parts of a set, let go of here."""
        name, parts = self._parts.pop(operator, ("", []))
        text = "".join(parts)
        if not text or name != sha256 or hashlib.sha256(text.encode(errors="replace")).hexdigest() != sha256:
            raise OperatorError("the set of limits did not come whole; apply the file again")
        return text


class LimitChanges:
    """The limits of one gateway, as files, commands and starts change them."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._parts = _Parts()
        self._one_at_a_time = threading.Lock()
        self.in_force: InForce

    # -- at a start ----------------------------------------------------------------------------------------

    def recover(self, reader: Reader, report: StartReport) -> Config:
        """The configuration with the limits in force. Raises OperatorError where those applied cannot be read."""
        files = set_of(self._config)
        of_files = InForce(files, datetime.now(UTC), "", "as the files say", 0, files.sha256)
        applied = applied_by(reader)
        self.in_force = of_files if applied is None else over_files(applied, of_files)
        report.found("limits", self.in_force.as_fact())
        return over(self._config, self.in_force.found)

    def finding(self) -> list[tuple[str, str, str]]:
        """For `oms health`: whether the files say something else than what is in force."""
        return [("limits", "warn", self.in_force.note)] if self.in_force.note else []

    # -- commands ------------------------------------------------------------------------------------------

    def commands(
        self, people: People, two_people: TwoPeople, submit: Submit, reason: Callable[[Args], str], running: Running
    ) -> dict[str, Handler]:
        """The verbs, for the control socket."""
        self._submit, self._running = submit, running

        def apply(operator: str, verb: str, args: Args) -> Answer:
            text = reason(args)
            with self._one_at_a_time:
                found, changes = self._brought(operator, args)
                given = self._given(found, changes, text)
                given["staged"] = str(submit(operator, STAGE, _stage(found))["journal_seq"])
                if raises(changes) and people.needs_two(APPLY):
                    return two_people.propose(operator, APPLY, given) | _told(changes)
                return self._apply(operator, found, given) | _told(changes)

        return {
            SHOW: lambda operator, verb, args: self._show(args),
            HISTORY: lambda operator, verb, args: self._history(),
            PART: lambda operator, verb, args: self._parts.take(operator, args),
            APPLY: apply,
        }

    def approved(self, operator: str, verb: str, args: Args) -> Answer:
        """What follows the approval of a second person."""
        with self._one_at_a_time:
            with database_errors(self._running.url), closing(Reader(self._running.url)) as reader:
                found = staged(reader, int(args["staged"]), args["sha256"])
            return self._apply(operator, found, args)

    def why_not(self, args: Args) -> str:
        """Why a proposal must not be done as it stands: it would replace other limits than its approver was shown."""
        now = self.in_force.found.sha256
        return "" if args.get("before") == now else "other limits are in force by now; reject it and propose it again"

    def _brought(self, operator: str, args: Args) -> tuple[LimitSet, list[Change]]:
        """The set that this operator brought, right in itself and beside the rest of the configuration."""
        try:
            found = unpacked(self._parts.whole(operator, args.get("sha256", "")))
        except ConfigError as error:
            raise OperatorError(f"nothing was changed: {error.report()}") from error
        if wrong := problems_of(found, self._config):
            raise OperatorError("nothing was changed: " + "\n".join(wrong[:_HISTORY]))
        changes = compare(self.in_force.found.terms, found.terms)
        if not changes:
            raise OperatorError("nothing was changed: these limits are in force already")
        return found, changes

    def _given(self, found: LimitSet, changes: list[Change], text: str) -> Args:
        """What is journaled with the command: who is known, here are why, before and after."""
        shown = [one.text for one in changes[:CHANGES_KEPT]]
        more = [f"and {len(changes) - CHANGES_KEPT} more"] if len(changes) > CHANGES_KEPT else []
        return {
            "sha256": found.sha256,
            "before": self.in_force.found.sha256,
            "summary": counted(changes),
            "changes": "; ".join(shown + more),
            "files": self.in_force.files,
            "text": text,
        }

    def _apply(self, operator: str, found: LimitSet, given: Args) -> Answer:
        """Made ready here, in force by the core thread; returns once it is committed."""
        running, terms = self._running, found.terms
        made = running.judge.prepare(found.sha256, terms.rules, terms.rows, terms.require_row)
        asker: Future[Answer] = Future()
        running.flow.between.append(lambda: self._take(operator, found, made, given, asker))
        running.wake()
        try:
            answer = asker.result(_ANSWER_SECONDS)
        except TimeoutError:
            raise OperatorError(
                "the limits wait for the ledger, which is slow or gone; `oms limits show` tells what is in force"
            ) from None
        return answer | {"sha256": found.sha256, "summary": given["summary"]}

    def _take(self, operator: str, found: LimitSet, made: Prepared, given: Args, asker: Future[Answer]) -> None:
        """In the core thread, between two batches."""
        running = self._running
        try:
            if given["before"] != self.in_force.found.sha256:
                raise OperatorError("other limits are in force by now; look at them and apply again")
            if made.exposure is not None and made.exposure is not running.judge.exposure:
                self._sum_up(made)
        except (OperatorError, JournalFailure) as error:
            asker.set_exception(OperatorError(f"nothing was changed: {error}"))
            return
        running.judge.prepared = made
        row = running.book.next_seq
        heard = Heard(box.COMMAND, "", "", (operator, APPLY, tuple(given.items()), asker), now_us())
        running.flow.process([heard])
        self.in_force = InForce(found, datetime.now(UTC), operator, given["text"], row, given["files"])

    def _sum_up(self, made: Prepared) -> None:
        """Totals as a start makes them: all that was decided is committed, so that memory and ledger agree."""
        running = self._running
        assert made.exposure is not None
        running.committer.wait_until_committed()
        today: date = self._config.gateway.trade_date(datetime.now(UTC))
        with database_errors(running.url), closing(Reader(running.url)) as reader:
            made.exposure.load_live(running.book.orders.values())
            restore(reader, made.exposure, today, made.terms.instruments, running.rollover)

    def _show(self, args: Args) -> Answer:
        """What is in force; with `whole` the set itself."""
        told = self.in_force.as_fact()
        return told | ({"packed": self.in_force.found.packed()} if args.get("whole") == "Y" else {})

    def _history(self) -> Answer:
        """The last changes, by command and by start, the newest first."""
        with database_errors(self._running.url), closing(Reader(self._running.url)) as reader:
            commands, starts = reader.rows(BY_COMMAND, APPLY, _HISTORY), reader.rows(BY_START, _HISTORY)
        told: list[Answer] = []
        for row in commands:
            operator, _, args = row["matter"]
            kept = {name: value for name, value in args if name not in ("staged", "files")}
            told.append({"row": row["seq"], "at": row["received_at"].isoformat(), "by": operator, **kept})
        for row in starts:
            if not row["limits"]["row"]:
                limits = {"sha256": row["limits"]["sha256"], "text": row["limits"]["why"], "summary": "a start"}
                told.append({"row": row["seq"], "at": row["received_at"].isoformat(), "by": "", **limits})
        ordered = sorted(told, key=lambda one: int(one["row"]))
        pairs = zip([{}, *ordered], ordered, strict=False)
        new = [one for before, one in pairs if one["sha256"] != before.get("sha256")]
        return {"changes": new[::-1][:_HISTORY]}


def _stage(found: LimitSet) -> Args:
    return {"sha256": found.sha256, "content": found.packed()}


def _told(changes: list[Change]) -> Answer:
    return {"summary": counted(changes), "changes": [one._asdict() for one in changes[:CHANGES_KEPT]]}
