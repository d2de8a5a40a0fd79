"""What a start found and did, step by step: gathered while it happens, and written into the journal as evidence.

A run's rows of kind `config`: `Start` has what recovery found, and the steps until then; `Open` has all steps, and
what came of the first batch; `Stop` ends a run in order, so a run without it was cut off. A start that is refused
leaves `Refused`, with the reason; where the ledger is not ours to write (out of reach, another's, changed by other
hands) the report goes into REFUSED_FILE of the state directory instead. `oms start-report` shows them.
Invariant: but for times, durations and the host, the same ledger and the same message stores give the same report.
Owned by the main thread.
"""

from __future__ import annotations

import json
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import structlog

from oms import __version__
from oms.core.order import Order
from oms.errors import JournalFailure, OmsError, OperatorError
from oms.ledger.batch import Batch, Send
from oms.ledger.chain import JournalRow
from oms.ledger.remedies import database_errors
from oms.ledger.starts import OPEN, REFUSED, STOP, Before
from oms.ledger.writer import Writer

log = structlog.get_logger("oms")

REFUSED_FILE = "refused_start.json"
Leave = Callable[[type[BaseException] | None, BaseException | None, TracebackType | None], None]


class StartReport:
    """One start. `step` begins a step and ends the one before; `found` notes what it brought to light.

    As a context it keeps the report of a start that failed and could not be journaled.
    """

    def __init__(self, state_dir: Path) -> None:
        self.facts: dict[str, Any] = {}
        self.steps: list[tuple[str, float]] = []
        self._file = state_dir / REFUSED_FILE
        self._began_at = datetime.now(UTC)
        self._began = self._since = time.perf_counter()
        self._step = ""
        self._told = False

    # -- while it happens ----------------------------------------------------------------------------------

    def step(self, name: str) -> None:
        """What is done from now on."""
        now = time.perf_counter()
        if self._step:
            self.steps.append((self._step, round(now - self._since, 6)))
        self._step, self._since = name, now

    def found(self, name: str, value: object) -> None:
        """Something that recovery found, in a form that JSON has."""
        self.facts[name] = value

    def before(self, before: Before) -> None:
        """The start before this one, and how its run ended."""
        self.facts["number"] = before.number + 1
        self.facts["stop_before"] = before.stop

    def orders(self, orders: Iterable[Order]) -> None:
        """The live orders, by their state."""
        self.facts["live_orders"] = dict(sorted(Counter(order.life for order in orders).items()))

    def session(self, name: str, **facts: object) -> None:
        """Something about one session."""
        self.facts.setdefault("sessions", {}).setdefault(name, {}).update(facts)

    def messages(self, name: str, settled: Iterable[Send], left_to_outbox: int) -> None:
        """What became of a session's messages of which the ledger did not know whether they had left."""
        outcomes = Counter(send.outcome for send in settled)
        if left_to_outbox:
            outcomes["to send"] = left_to_outbox
        self.session(name, messages=dict(sorted(outcomes.items())))

    # -- what is written -----------------------------------------------------------------------------------

    def so_far(self) -> dict[str, Any]:
        """For the row `Start`: what was found, and the steps until now."""
        began = self._began_at.isoformat()
        return {"at": began, "version": __version__, "host": socket.gethostname(), **self.facts, "steps": self.steps}

    def open_row(self, seq: int, today: date) -> JournalRow:
        """The row `Open`: everything is open, and how long each step took."""
        self.step("")
        self._told = True
        seconds = round(time.perf_counter() - self._began, 6)
        opened = {name: self.facts[name] for name in ("number", "items_opened", "kills") if name in self.facts}
        return self._row(seq, OPEN, today, opened | {"steps": self.steps, "seconds": seconds})

    def stop_row(self, seq: int, today: date) -> JournalRow:
        """The row `Stop`: this run ended in order, and everything heard is committed."""
        return self._row(seq, STOP, today, {"number": self.facts.get("number", 0)})

    @staticmethod
    def _row(seq: int, event: str, today: date, start: Mapping[str, Any]) -> JournalRow:
        detail = json.dumps({"start": start}, separators=(",", ":"), default=str)
        now = datetime.now(UTC)
        return JournalRow(seq, "config", "", event, None, None, None, None, now, today, b"", detail)

    # -- a start that is refused ---------------------------------------------------------------------------

    def _refused(self, error: BaseException) -> dict[str, Any]:
        """The report of a start that failed; the same however often it is asked for."""
        if "refused" not in self.facts:
            said = str(error) if isinstance(error, OmsError) else f"{type(error).__name__}: {error}"
            self.found("refused_in", self._step)
            self.found("refused", " ".join(said.split()))
            self.step("")
            self.found("seconds", round(time.perf_counter() - self._began, 6))
        return self.so_far()

    def refusal_into(self, writer: Writer, url: str, today: date) -> Leave:
        """To be called with what ends the start, while the writer is connected: writes the row `Refused`."""

        def leave(kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
            # After the end of a journal that is not whole, or not ours, nothing may come.
            if isinstance(error, Exception) and not self._told and not isinstance(error, JournalFailure):
                self._into_journal(writer, url, today, error)

        return leave

    def __enter__(self) -> StartReport:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._told or not isinstance(error, Exception):
            return
        report = self._refused(error)
        try:
            draft = self._file.with_suffix(".new")
            draft.write_text(json.dumps(report, default=str) + "\n", encoding="utf-8")
            draft.replace(self._file)
        except OSError as problem:
            log.error("the report of this start cannot be kept", file=str(self._file), error=str(problem))

    def _into_journal(self, writer: Writer, url: str, today: date, error: Exception) -> None:
        try:
            with database_errors(url):
                batch, seq = writer.read_head()
                row = self._row(seq + 1, REFUSED, today, self._refused(error))
                writer.commit(Batch(batch + 1, journal=[row]))
        except (OperatorError, JournalFailure) as problem:
            log.error("the report of this start is not in the journal", error=str(problem))
            return
        self._told = True
