"""The gateway's log: what an operator should see as it happens. The journal, not the log, is the record.

`configure` sets up structlog over the standard library once per process: console or JSON lines, UTC times, on
standard error or in a file that may be rotated from outside. `EventLog.tell` writes the notable events of a committed
batch under the keys session, cl_ord_id, order_id and seq (the journal row).
Limits: nothing per message above debug; a flood of one kind of event is cut to LINES_PER_SECOND and counted, so that
no counterparty fills the disk. What counterparties wrote cannot start a new line or move a terminal's cursor.
Owned by the committer's thread, except `configure`.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable, MutableMapping
from logging.handlers import WatchedFileHandler
from time import monotonic
from typing import Any

import structlog

from oms.config.secrets import redact
from oms.config.settings import Log
from oms.core.effects import Item
from oms.errors import OperatorError
from oms.ledger.batch import Batch
from oms.ledger.chain import JournalRow
from oms.ops.tally import UNKNOWN_SESSION, Notable, field

NAME = "oms"
LINES_PER_SECOND = 20

log = structlog.get_logger(f"{NAME}.events")

_SESSION_EVENTS = {"SessionUp": "session logged on", "SessionDown": "session logged out"}
_REJECTS = {
    "8": "ExecutionReport(8)",
    "9": "OrderCancelReject(9)",
    "Q": "DontKnowTrade(Q)",
    "j": "BusinessMessageReject(j)",
}
_EVENTS = logging.getLogger(f"{NAME}.events")


def configure(settings: Log) -> None:
    """Log as configured from now on; may be called again. Raises OperatorError where the file cannot be written."""
    handler = _handler(settings)
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if settings.format == "json":
        last: list[Any] = [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=json.dumps, default=str),
        ]
    else:
        colors = settings.file is None and sys.stderr.isatty()
        plain = structlog.dev.plain_traceback
        last = [_printable, structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain)]
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    last.append(_redacted)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[remove, *last]))
    root, ours = logging.getLogger(), logging.getLogger(NAME)
    handler.set_name(NAME)
    for old in [one for one in root.handlers if one.get_name() == NAME]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(logging.WARNING)  # libraries: only what is wrong
    ours.setLevel(settings.level.upper())
    logging.captureWarnings(True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,  # module-level loggers follow a later `configure`
    )


def _handler(settings: Log) -> logging.Handler:
    if settings.file is None:
        return logging.StreamHandler(sys.stderr)
    try:
        return WatchedFileHandler(settings.file, encoding="utf-8")  # opened anew where logrotate moved it
    except OSError as error:
        raise OperatorError(
            f"[log] file {settings.file}: cannot be written: {error.strerror};"
            " name a file in a directory that exists and that this user may write to"
        ) from error


def _redacted(_: object, __: str, line: str) -> str:
    """The whole line, whatever its parts, without secrets."""
    return redact(line)


def _printable(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Texts of counterparties without line ends, escape sequences and bytes that are no text."""
    for key, value in event.items():
        if isinstance(value, str) and key != "exception" and not value.isprintable():
            event[key] = "".join(
                one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in value
            )
    return event


class Throttle:
    """Lets LINES_PER_SECOND through per subject and counts the rest."""

    def __init__(self) -> None:
        self._second: dict[str, float] = {}
        self._passed: dict[str, int] = {}
        self._held: dict[str, int] = {}

    def passes(self, subject: str, now: float) -> bool:
        """Whether one more line about the subject may be written at `now` (seconds, monotonic)."""
        if now - self._second.get(subject, -1.0) >= 1.0:
            self._second[subject], self._passed[subject] = now, 0
            if held := self._held.pop(subject, 0):
                log.warning(f"{subject}: lines left out", lines=held, remedy="the journal and the metrics have all")
        self._passed[subject] += 1
        if self._passed[subject] <= LINES_PER_SECOND:
            return True
        self._held[subject] = self._held.get(subject, 0) + 1
        return False


class EventLog:
    """Writes what happened in a batch that is committed."""

    def __init__(self) -> None:
        self._throttle = Throttle()

    def tell(self, batch: Batch, notable: Iterable[Notable]) -> None:
        """The notable rows and the exception items of a batch; at level debug every row as well."""
        for one in notable:
            if one.reason:
                self._rejected(one)
            else:
                self._own(one.row)
        if batch.items:
            rows = {row.seq: row for row in batch.journal}
            for item in batch.items:
                self._item(item, rows.get(item.seq))
        if _EVENTS.isEnabledFor(logging.DEBUG):
            for row in batch.journal:
                _debug(row)

    def _may(self, subject: str) -> bool:
        return self._throttle.passes(subject, monotonic())

    def _rejected(self, one: Notable) -> None:
        """An answer of ours that refuses something, whoever decided it."""
        if not self._may("rejects"):
            return
        row, cause = one.row, one.cause
        log.info(
            "rejected",
            message=_REJECTS[row.msg_type],
            by=cause.session if cause is not None and one.source == "broker" else one.source,
            reason=one.reason,
            text=field(row.raw, b"58"),
            cause=row.cause,
            **_keys(row.session, field(row.raw, b"11") or (cl_ord_id(cause) if cause else ""), row.order_id, row.seq),
        )

    def _own(self, row: JournalRow) -> None:
        """What the gateway told itself: sessions, what the engine refused, requests that did not leave."""
        matter = (json.loads(row.detail) if row.detail else {}).get("matter", [])
        if row.kind == "session":
            if self._may("logons and logouts"):
                keys = _keys(row.session, "", None, row.seq)
                log.info(_SESSION_EVENTS.get(row.msg_type, row.msg_type), **keys)
        elif row.kind == "refused":
            if self._may("messages refused"):
                keys = _keys(row.session, cl_ord_id(row), None, row.seq)
                log.warning("message refused", reason=str(matter[0]) if matter else "", **keys)
        elif row.kind == "feedback":
            if self._may("requests that did not leave"):
                _feedback(row, matter)
        elif row.kind == "operator":
            operator, verb, args = matter
            given = {name: value for name, value in args if name != "kind"}
            log.warning(f"operator {verb}", operator=operator, **given)
        elif row.kind != "config":  # the start tells of itself
            log.info(f"{row.kind} {row.msg_type}", **_keys(row.session, "", row.order_id, row.seq))

    def _item(self, item: Item, row: JournalRow | None) -> None:
        keys = _keys(item.session, cl_ord_id(row) if row else "", item.order_id, item.seq)
        if item.state != "open":
            if item.state and self._may("exception items resolved"):
                log.info("exception item resolved", item=item.item_id, kind=item.kind, text=item.resolution, **keys)
        elif self._may("exception items"):
            write = log.warning if item.severity == "warning" else log.error
            write("exception item", item=item.item_id, kind=item.kind, text=item.text, **keys)


def cl_ord_id(row: JournalRow) -> str:
    """ClOrdID(11) of a journal row, '' where it has none."""
    return field(row.raw, b"11")


def _keys(session: str, cl_ord_id: str, order_id: str | None, seq: int) -> dict[str, Any]:
    """The keys that every line about one event has, those without a value left out."""
    keys = {"session": session or UNKNOWN_SESSION, "cl_ord_id": cl_ord_id, "order_id": order_id, "seq": seq}
    return {name: value for name, value in keys.items() if value}


def _feedback(row: JournalRow, matter: list[Any]) -> None:
    """A request that the outbox refused, or that was not sent again."""
    if row.msg_type == "NotSent":
        _, msg_type, named, reason = [*matter, "", "", "", ""][:4]
        keys = _keys(row.session, str(named), row.order_id, row.seq)
        log.warning("request did not leave", msg_type=msg_type, reason=reason, **keys)
    elif row.msg_type == "Overdue":
        kind, _, named, seconds = [*matter, "", "", "", ""][:4]
        log.warning("no answer", what=kind, seconds=seconds, **_keys(row.session, named, row.order_id, row.seq))
    elif row.msg_type == "CancelOnDisconnect":
        keys = _keys(row.session, "", None, row.seq)
        log.warning("client is away: its orders are canceled", seconds=matter[0], **keys)
    elif row.msg_type == "OverRate":
        keys = _keys(row.session, "", None, row.seq)
        log.warning("client is logged out for its rate", refused=matter[0], per_second=matter[1], **keys)
    elif row.msg_type == "Reconcile":
        if matter[0] != "ask":
            log.info(f"reconciliation {matter[0]}", **_keys(row.session, "", row.order_id, row.seq))
    elif row.msg_type == "Prices":
        log.debug("prices", source=matter[0], symbols=len(matter[1]), seq=row.seq)
    elif row.msg_type == "PriceSource":
        if not matter[1]:
            log.info("a source of prices works", source=matter[0], seq=row.seq)
    else:
        keys = _keys(row.session, str([*matter, ""][0]), row.order_id, row.seq)
        log.warning("request not sent again", reason="too late, or no longer wanted", **keys)


def _debug(row: JournalRow) -> None:
    log.debug(
        "journaled",
        kind=row.kind,
        msg_type=row.msg_type,
        msg_seq_num=row.msg_seq_num,
        **_keys(row.session, cl_ord_id(row), row.order_id, row.seq),
    )
