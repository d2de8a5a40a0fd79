"""`oms trading`: the switch at the edge. It is found again at a start, thrown by operators, and told to who asks.

`[gateway] trading` is the ceiling: where it says "off" nothing switches trading on. Below it the last word counts: of
an operator, of a start after an unclean stop (`[gateway] after_unclean_stop`), of the first start of a live ledger.
It stands in the journal: each start writes the switch it begins with, each command its own row. Off is in force, and
in a file of the state directory, before it is journaled; on only after, and then the file goes. Where file and
journal disagree trading is off: what is in doubt is stopped.
Threads: commands from the control socket's; `switch`, `off` and `allowed` may be read from any.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any

from oms import inbox as box
from oms.config.load import Config
from oms.core.book import Book, number_id
from oms.core.trading import CONFIGURED, FIRST_LIVE, ITEM, OFF, ON, OPERATOR, UNCLEAN, VERBS, Switch
from oms.errors import OperatorError
from oms.inbox import Heard, Inbox, now_us
from oms.ledger.load import Reader
from oms.ledger.starts import NOT_TOLD
from oms.ledger.starts import UNCLEAN as CUT_OFF
from oms.ops.barrier import Barrier, write_synced
from oms.ops.people import People
from oms.ops.two_people import Submit, TwoPeople
from oms.startup_report import StartReport

FILE = "trading_off.json"
_WHY_UNCLEAN = "the run before was cut off; look at `oms start-report` and `oms exceptions list`"
_WHY_FIRST = "a live ledger begins with trading off"

Args = dict[str, str]


class Trading:
    """The switch of one gateway."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._file = config.gateway.state_dir / FILE
        self._lock = threading.Lock()
        self._started_at = datetime.now(UTC)
        self._barrier: Barrier | None = None
        self._to_tell: Switch | None = None  # switched off, and the journal does not know it
        self._offs = 0  # goes up with each command that switches off
        self._on_row = 0  # journal row of the command that switched on last
        self.switch = Switch(False, self._started_at, CONFIGURED, "", "not started yet")

    # -- at a start ----------------------------------------------------------------------------------------

    def recover(self, reader: Reader, book: Book, report: StartReport) -> None:
        """Find the switch as this start has it, by how the run before ended; the next start reads it from the report.

        Raises OperatorError where the file of an earlier run cannot be understood.
        """
        book.trading_item = _open_item(reader)
        journaled, in_file = _journaled(reader), self._read()
        self.switch = self._begun_with(journaled, str(report.facts.get("stop_before")))
        if in_file is not None and (journaled is None or journaled.switch_id != in_file.switch_id):
            self._to_tell = in_file
        if in_file is not None and self.switch.on:
            self.switch = in_file
        report.found("trading", self.switch.as_fact() | {"ceiling": self._config.gateway.trading})

    def _begun_with(self, journaled: Switch | None, stop_before: str) -> Switch:
        gateway = self._config.gateway
        if journaled is not None and not journaled.on:
            return journaled
        if stop_before in (CUT_OFF, NOT_TOLD) and gateway.after_unclean_stop == "wait":
            return Switch(False, self._started_at, UNCLEAN, "", _WHY_UNCLEAN)
        if journaled is not None:
            return journaled
        if gateway.environment == "live":
            return Switch(False, self._started_at, FIRST_LIVE, "", _WHY_FIRST)
        return Switch(True, self._started_at, CONFIGURED, "", 'trading = "on" in [gateway]')

    def guard(self, barrier: Barrier) -> None:
        """From now on this barrier has the switch's word."""
        self._barrier = barrier
        barrier.switched_on = self.allowed

    def tell_journal(self, inbox: Inbox) -> None:
        """Once the core runs: journal what was switched off before this start and is in the file alone."""
        if (told := self._to_tell) is not None:
            matter = (told.by, OFF, (("text", told.why), ("switch_id", told.switch_id)), Future[dict[str, Any]]())
            inbox.tell(Heard(box.COMMAND, "", "", matter, now_us()))

    # -- asked by others -----------------------------------------------------------------------------------

    @property
    def ceiling(self) -> bool:
        """Whether the configuration lets trading be on at all."""
        return self._config.gateway.trading == "on"

    @property
    def allowed(self) -> bool:
        """Whether trading is on, but for kill switches."""
        return self.ceiling and self.switch.on

    @property
    def off(self) -> Switch | None:
        """Since when and why trading is off; None while it is on. The configuration's word comes first."""
        if not self.ceiling:
            return Switch(False, self._started_at, CONFIGURED, "", 'trading = "off" in [gateway]')
        return None if self.switch.on else self.switch

    @property
    def remedy(self) -> str:
        """What switches it on, '' while it is on."""
        if not self.ceiling:
            return f'write trading = "on" in [gateway] of {self._config.path.name} and start the gateway again'
        return "" if self.switch.on else "oms trading on --reason TEXT"

    # -- commands ------------------------------------------------------------------------------------------

    def commands(
        self, people: People, two_people: TwoPeople, submit: Submit, reason: Callable[[Args], str]
    ) -> dict[str, Callable[[str, str, Args], dict[str, Any]]]:
        """The verbs, for the control socket. `reason` is the text that says why, or raises OperatorError."""

        def on(operator: str, verb: str, args: Args) -> dict[str, Any]:
            text = reason(args)
            self._require_off()
            if people.needs_two(ON):
                return two_people.propose(operator, ON, {"text": text})
            return self._turn_on(submit, operator, {"text": text})

        def off(operator: str, verb: str, args: Args) -> dict[str, Any]:
            return self._turn_off(submit, operator, reason(args))

        return {ON: on, OFF: off, "trading.status": lambda operator, verb, args: self.status()}

    def approved(self, submit: Submit) -> Callable[[str, str, Args], dict[str, Any]]:
        """What follows the approval of `trading.on` by a second person."""
        return lambda operator, verb, args: self._turn_on(submit, operator, args)

    def status(self) -> dict[str, Any]:
        """The answer to `oms trading status`."""
        barrier, told = self._barrier, self.off or self.switch
        firm = [kill.kill_id for kill in barrier.kills if not kill.scope] if barrier is not None else []
        return {
            "trading": "on" if self.allowed else "off",
            "since": told.since.isoformat(),
            "by": told.by,
            "cause": told.cause,
            "why": told.why,
            "text": told.text,
            "remedy": self.remedy,
            "ceiling": self._config.gateway.trading,
            "environment": self._config.gateway.environment,
            "firm_kills": firm,
        }

    def _require_off(self) -> None:
        if not self.ceiling:
            said = f'[gateway] trading is "off" in {self._config.path}, which is the ceiling'
            raise OperatorError(f"{said}: {self.remedy}")
        if self.switch.on:
            raise OperatorError(f"trading is {self.switch.text}; nothing was done")

    def _turn_on(self, submit: Submit, operator: str, args: Args) -> dict[str, Any]:
        """Journaled first, then in force: an order is never let through by a command that is not written down."""
        self._require_off()
        with self._lock:
            offs = self._offs
        answer = submit(operator, ON, args)
        with self._lock:
            if self._offs != offs:
                raise OperatorError(f"trading was switched off meanwhile: it is {self.switch.text}")
            try:
                self._file.unlink(missing_ok=True)
            except OSError as error:
                said = f"{self._file} cannot be removed: {error}"
                raise OperatorError(f"{said}; trading stays off until it is") from error
            self._on_row = answer["journal_seq"]
            self._set(Switch(True, datetime.now(UTC), OPERATOR, operator, args["text"]))
        return answer | self.status()

    def _turn_off(self, submit: Submit, operator: str, text: str) -> dict[str, Any]:
        """In force before anything else is done. Also where it is off already: then by this word as well."""
        with self._lock:
            self._offs = max(now_us() // 1000, self._offs + 1)  # unlike all before, without the ledger
            made = Switch(False, datetime.now(UTC), OPERATOR, operator, text, number_id("T", self._offs))
            problem = self._stop(made)
        try:
            answer = submit(operator, OFF, {"text": text, "switch_id": made.switch_id})
        except OperatorError as error:
            answer, problem = {}, problem or f"trading is off, the journal does not have it yet: {error}"
        with self._lock:
            if self.switch.on and answer.get("journal_seq", 0) > self._on_row:
                problem = self._stop(made) or problem  # it was switched on in between: the journal's last word counts
        return answer | self.status() | {"problem": problem}

    def _stop(self, made: Switch) -> str:
        """Off, here and over a restart; what is wrong with the file, '' if nothing is. Under the lock."""
        self._set(made)
        try:
            write_synced(self._file, json.dumps(made.as_fact()))
        except OSError as error:
            return f"{self._file} cannot be written: {error}; trading is off"
        return ""

    def _set(self, switch: Switch) -> None:
        self.switch = switch
        if self._barrier is not None:
            self._barrier.switched_on = self.allowed

    def _read(self) -> Switch | None:
        """What was switched off in an earlier run and not switched on since."""
        try:
            return Switch.of_fact(json.loads(self._file.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise OperatorError(
                f"{self._file} says why trading was switched off and cannot be read: {error}; look at it, remove it,"
                " and start again: trading is then as the journal has it (`oms trading status`)"
            ) from error


def _journaled(reader: Reader) -> Switch | None:
    """The switch as the journal has it: of the last start that told, or of a command since; None for none."""
    found = reader.rows(
        "SELECT seq, detail -> 'start' -> 'trading' AS trading FROM journal WHERE kind = 'config'"
        " AND detail -> 'start' -> 'trading' IS NOT NULL ORDER BY seq DESC LIMIT 1"
    )
    switch = Switch.of_fact(found[0]["trading"]) if found else None
    rows = reader.rows(
        "SELECT received_at, detail FROM journal WHERE kind = 'operator' AND msg_type = ANY(%s) AND seq > %s"
        " ORDER BY seq DESC LIMIT 1",
        list(VERBS),
        found[0]["seq"] if found else 0,
    )
    for row in rows:
        operator, verb, pairs = row["detail"]["matter"]
        args = dict(pairs)
        switch = Switch(
            verb == ON, row["received_at"], OPERATOR, operator, args.get("text", ""), args.get("switch_id", "")
        )
    return switch


def _open_item(reader: Reader) -> str:
    """At a start: the open item that tells of refused orders, '' for none."""
    rows = reader.rows(
        "SELECT item_id FROM exception_items WHERE state = 'open' AND kind = %s ORDER BY seq DESC LIMIT 1", ITEM
    )
    return str(rows[0]["item_id"]) if rows else ""
