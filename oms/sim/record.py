"""A simulator's own record: append-only JSON Lines in `record.jsonl`, and what it says of orders and fills.

Each line is one object with `at` (UTC, microseconds) and `kind`. Decimals are text. Lines that belong together are
written in one call, so that a killed process leaves all of them or none; a torn last line is cut off on opening.
- both: `start` (name, role, version, seed, stamp), `session` (state), `refused` (raw, reason: our engine would not
  take it), `failure` (raw, reason), `stop`; `raw` is the exact FIX text, with SOH.
- broker: `request` (msg_type, cl_ord_id, orig_cl_ord_id, order_id, trace, symbol, side, qty, ord_type, price,
  stop_px, tif, account, text, poss_dup, ignored, raw), `report` (report = its number, msg_type and the fields of
  reports.Report that are set), `order` (order = the whole order as these lines left it), `sent` (report, seq),
  `copied` (report: it left on the drop copy session).
- client: `request` (before it is sent: msg_type, cl_ord_id, order = first ClOrdID, purpose, raw), `sent` (cl_ord_id,
  seq), `unsent` (cl_ord_id: the session was down), `report` (msg_type, order, cl_ord_id, exec_id, exec_type,
  ord_status, quantities, price, text, first_report_ms, raw), `violation` (order, text).
`summary.json` beside it is written when the simulator stops. Readers: `broker_view`, `client_view`.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from oms.errors import OperatorError
from oms.sim.checks import ClientOrder, Statement
from oms.sim.orders import SimOrder, order_from_json
from oms.sim.wire import Message

Line = dict[str, Any]
DUPLICATE = 6  # OrdRejReason(103): it speaks of the second order of the id, not of the one on record


def to_json(value: object) -> object:
    """Decimals as plain text and times in ISO 8601, for json.dumps."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds")
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


class Record:
    """The open record, locked against a second process. Not thread-safe: the owner holds a lock round `write`."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.close()
            raise OperatorError(
                f"{path}: another simulator runs in this directory; stop it or name another"
            ) from error
        _cut_torn_line(path)

    def write(self, *lines: Line) -> None:
        """Append lines, in one piece; nothing once closed."""
        if self._file < 0:
            return
        text = "".join(json.dumps(line, default=to_json, separators=(",", ":")) + "\n" for line in lines)
        data = text.encode()
        while data:  # one call is the rule; the kernel may take less when the disk is nearly full
            data = data[os.write(self._file, data) :]

    def close(self) -> None:
        """Close the file; the record can be opened again."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _cut_torn_line(path: Path) -> None:
    if not path.exists():
        return
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        step, position = 65_536, end
        while position > 0:
            start = max(0, position - step)
            file.seek(start)
            newline = file.read(position - start).rfind(b"\n")
            if newline >= 0:
                if start + newline + 1 < end:
                    file.truncate(start + newline + 1)
                return
            position = start
        file.truncate(0)


def read_lines(path: Path) -> Iterator[Line]:
    """The lines of a record, a torn last one left out. OperatorError where it is no record."""
    try:
        with path.open(encoding="utf-8") as file:
            for number, text in enumerate(file, 1):
                if not text.endswith("\n"):
                    return
                try:
                    line = json.loads(text)
                    if not isinstance(line, dict) or "kind" not in line:
                        raise ValueError("no kind")
                except ValueError as error:
                    raise OperatorError(
                        f"{path}: line {number} is not a record line ({error}); move the file away"
                    ) from error
                yield line
    except FileNotFoundError:
        return
    except OSError as error:
        raise OperatorError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error


# --- the broker's view ------------------------------------------------------------------------------------


@dataclass(slots=True)
class BrokerFill:
    """One execution, net of busts and corrections, by its first ExecID(17); zero quantity once busted."""

    exec_id: str
    order_id: str
    qty: Decimal
    px: Decimal
    latest_exec_id: str
    sent: bool = False


@dataclass(slots=True)
class BrokerOrder:
    """One order as the broker knows it, with its fills by first ExecID(17)."""

    order: SimOrder
    ord_status: str
    fills: dict[str, BrokerFill] = field(default_factory=dict)
    text: str = ""

    @property
    def first_cl_ord_id(self) -> str:
        """The ClOrdID(11) of the NewOrderSingle(D)."""
        return self.order.ids[0]


@dataclass(slots=True)
class BrokerView:
    """What the broker's record says. `orders` by first ClOrdID(11), `by_cl_ord_id` by any of the chain, `by_trace` by
    tag 7001; `fills` by first ExecID(17); `strays` are reports sent for orders that nobody sent; `unsent` counts
    reports that have not left yet."""

    name: str = ""
    version: str = ""
    orders: dict[str, BrokerOrder] = field(default_factory=dict)
    by_cl_ord_id: dict[str, BrokerOrder] = field(default_factory=dict)
    by_trace: dict[str, BrokerOrder] = field(default_factory=dict)
    fills: dict[str, BrokerFill] = field(default_factory=dict)
    strays: list[Line] = field(default_factory=list)
    requests: int = 0
    reports: int = 0
    duplicates: int = 0
    unsent: int = 0


def broker_view(path: Path) -> BrokerView:
    """Read a broker's record: orders, and fills net of busts and corrections. Deliberate duplicates count once."""
    view = BrokerView()
    by_order_id: dict[str, BrokerOrder] = {}
    amended: dict[str, BrokerFill] = {}
    texts: dict[str, str] = {}
    unsent: dict[int, BrokerFill | None] = {}
    for line in read_lines(path):
        kind = line["kind"]
        if kind == "start":
            view.name, view.version = line["name"], line["version"]
        elif kind == "request":
            view.requests += 1
        elif kind == "order":
            order = order_from_json(line["order"])
            known = by_order_id.setdefault(order.order_id, BrokerOrder(order, ""))
            known.order, known.ord_status = order, order.ord_status(view.version)
        elif kind == "report":
            view.reports += 1
            view.duplicates += bool(line.get("duplicate"))
            unsent[line["report"]] = _apply_report(view, line, amended)
            if line.get("text") and line.get("ord_status") in ("4", "8", "C") and line.get("reason") != DUPLICATE:
                texts[line["order_id"]] = line["text"]
        elif kind == "sent":
            fill = unsent.pop(line["report"], None)
            if fill is not None:
                fill.sent = True
    view.unsent = len(unsent)
    for known in by_order_id.values():
        known.text = texts.get(known.order.order_id, "")
        _index(view, known)
    for fill in view.fills.values():
        if fill.order_id in by_order_id:
            by_order_id[fill.order_id].fills[fill.exec_id] = fill
    return view


def _apply_report(view: BrokerView, line: Line, amended: dict[str, BrokerFill]) -> BrokerFill | None:
    """Book what a report says of executions; returns the fill it speaks of."""
    if line.get("stray"):
        view.strays.append(line)
        return None
    exec_type, exec_id = line.get("exec_type", ""), line.get("exec_id", "")
    if line.get("duplicate"):
        return amended.get(exec_id)
    if exec_type == "F":
        fill = BrokerFill(exec_id, line["order_id"], Decimal(line["last_qty"]), Decimal(line["last_px"]), exec_id)
        view.fills[exec_id] = amended[exec_id] = fill
        return fill
    if exec_type in ("G", "H"):
        fill = amended[line["exec_ref_id"]]
        fill.qty = Decimal(line["last_qty"]) if exec_type == "G" else Decimal(0)
        fill.px = Decimal(line["last_px"]) if exec_type == "G" else fill.px
        fill.latest_exec_id = exec_id
        amended[exec_id] = fill
        return fill
    return None


def _index(view: BrokerView, known: BrokerOrder) -> None:
    view.orders[known.first_cl_ord_id] = known
    for cl_ord_id in known.order.ids:
        view.by_cl_ord_id[cl_ord_id] = known
    if known.order.trace:
        view.by_trace[known.order.trace] = known


# --- the client's view ------------------------------------------------------------------------------------


@dataclass(slots=True)
class ClientView:
    """What the client's record says. `orders` by first ClOrdID(11): OrdStatus(39), quantities, AvgPx(6), the fills by
    the ExecID(17) that the client was told, text of a reject; `latencies_ms` by first ClOrdID(11)."""

    name: str = ""
    orders: dict[str, ClientOrder] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    latencies_ms: dict[str, float] = field(default_factory=dict)
    requests: int = 0
    reports: int = 0


def client_view(path: Path) -> ClientView:
    """Read a client's record: its orders as the reports left them, judged anew from the raw messages."""
    view, statement = ClientView(), Statement()
    for line in read_lines(path):
        kind = line["kind"]
        if kind == "start":
            view.name = line["name"]
        elif kind == "request":
            view.requests += 1
            statement.sent(Message(line["raw"]), expect_reject=line.get("purpose") == "reject")
        elif kind == "report":
            view.reports += 1
            view.violations += statement.received(Message(line["raw"]))
            if "first_report_ms" in line:
                view.latencies_ms[line["order"]] = line["first_report_ms"]
    view.orders = statement.orders
    return view
