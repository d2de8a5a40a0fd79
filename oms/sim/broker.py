"""The broker simulator: a FIX acceptor that fills against a simple market or a script, and survives its own death.

`received` decides, writes request, reports and orders to the record in one piece and queues the reports; the worker
sends them and marks each as sent. After a restart the orders come back from the record, and reports without a mark
are sent again with PossResend(97)=Y: they may or may not have left before. While the gateway is away its reports wait
in their order. A drop copy session, where it has one, gets every ExecutionReport(8) once more. Limit: one gateway.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from oms.errors import OperatorError
from oms.sim.desk import Answer, Desk
from oms.sim.drop_copy import DropCopy, drop_copy_spec
from oms.sim.matching import Instrument, Market
from oms.sim.orders import SimOrder, order_from_json, order_to_json
from oms.sim.player import Disconnect
from oms.sim.record import Line
from oms.sim.reports import Report, encode, report_from_json, report_to_json
from oms.sim.script import Behaviour
from oms.sim.session import SessionSpec
from oms.sim.station import Outgoing, Station
from oms.sim.wire import Message, decimal_of


class BrokerSim(Station):
    """A simulated broker. `counts` has orders, requests, reports, sent, fills; `desk` its orders (under the lock)."""

    role = "broker"

    def __init__(
        self,
        spec: SessionSpec,
        behaviour: Behaviour | None = None,
        *,
        seed: int = 1,
        instruments: Mapping[str, Instrument] | None = None,
        stamp: str = "",
        drop_copy_port: int = 0,
    ) -> None:
        """`drop_copy_port`: where it listens for a drop copy session as well, 0 for none."""
        self._copies: DropCopy | None = None
        if drop_copy_port:
            self._copies = DropCopy(drop_copy_spec(spec, drop_copy_port), self._was_copied)
        self.counts: Counter[str] = Counter()
        self._behaviour = behaviour or Behaviour()
        self._market = Market(seed, self._behaviour.market, instruments)
        self._tick = timedelta(milliseconds=self._behaviour.market.tick_ms)
        self._next_walk: datetime | None = None
        self._outbox: deque[tuple[int, Report | Disconnect]] = deque()
        self._numbered = 0
        super().__init__(spec, seed=seed, stamp=stamp)

    def start(self) -> None:
        """Listen on both sessions. OperatorError where a port is taken."""
        super().start()
        if self._copies is not None:
            try:
                self._copies.start()
            except OperatorError:
                self.stop()
                raise

    def stop(self) -> dict[str, Any]:
        """Log out, end both sessions, write the summary; returns it."""
        if self._copies is not None:
            copies, self._copies = self._copies, None
            if not copies.stop():
                self.failures.append("the FIX engine of the drop copy did not stop in time")
        return super().stop()

    def _was_copied(self, number: int) -> None:
        with self.changed:
            self.counts["copied"] += 1
            self._write("copied", report=number)
            self.changed.notify_all()

    def _summary(self) -> dict[str, Any]:
        """Orders by OrdStatus(39), and the counts."""
        orders = self.desk.book.orders.values()
        return {
            "name": self.spec.name,
            "role": self.role,
            "version": self.spec.version,
            "orders": len(orders),
            "by_ord_status": dict(sorted(Counter(o.ord_status(self.spec.version) for o in orders).items())),
            "fills": sum(1 for order in orders for fill in order.fills if fill.qty),
            "counts": dict(sorted(self.counts.items())),
            "queued": len(self._outbox),
            "failures": self.failures,
        }

    @property
    def queued(self) -> int:
        """Reports that have not left yet."""
        return len(self._outbox)

    def order(self, cl_ord_id: str) -> SimOrder | None:
        """The order of any ClOrdID(11) of its chain."""
        with self.changed:
            return self.desk.book.by_cl_ord_id.get(cl_ord_id)

    # -- the station's questions -------------------------------------------------------------------------

    def _restore(self, lines: list[Line]) -> None:
        self.desk = Desk(self.spec.version, self._behaviour, self._market, self.stamp)
        orders: dict[str, SimOrder] = {}
        used: list[tuple[str, str]] = []
        unsent: dict[int, Report] = {}
        uncopied: dict[int, Report] = {}
        for line in lines:
            if line["kind"] == "order":
                order = order_from_json(line["order"])
                orders[order.order_id] = order
            elif line["kind"] == "request" and line.get("order_id"):
                used.append((line["cl_ord_id"], line["order_id"]))
            elif line["kind"] == "report":
                report = report_from_json(line)
                unsent[line["report"]] = self.desk.book.last[report.order_id] = report
                self._numbered = line["report"]
                uncopied[line["report"]] = report
            elif line["kind"] == "sent":
                unsent.pop(line["report"], None)
            elif line["kind"] == "copied":
                uncopied.pop(line["report"], None)
        self.desk.restore(orders.values(), used)
        self._outbox.extend((number, replace(report, poss_resend=True)) for number, report in unsent.items())
        for number, report in uncopied.items():
            self._copy(number, report)

    def _take(self, message: Message, now: datetime) -> None:
        answer = self.desk.handle(message, now)
        self.counts["orders" if message.type == "D" else "requests"] += 1
        self._keep(answer, [_request_line(message, answer, now)], now)

    def _pass_time(self, now: datetime) -> datetime | None:
        if not self.desk.walks:
            self._next_walk = None
        elif self._next_walk is None:
            self._next_walk = now + self._tick
        walk = self._next_walk is not None and now >= self._next_walk
        due = self.desk.next_due()
        if walk or (due is not None and now >= due):
            self._keep(self.desk.tick(now, walk=walk), [], now)
            self._next_walk = now + self._tick if walk else self._next_walk
            due = self.desk.next_due()
        return min((moment for moment in (due, self._next_walk) if moment is not None), default=None)

    def _keep(self, answer: Answer, lines: list[Line], now: datetime) -> None:
        """Write what was decided, in one piece, and queue what is to leave."""
        for effect in answer.effects:
            if isinstance(effect, Report):
                self._numbered += 1
                lines.append({"kind": "report", "report": self._numbered, **report_to_json(effect)})
                self.counts["reports"] += 1
                self.counts["fills"] += effect.exec_type == "F" and not effect.duplicate
                self._copy(self._numbered, effect)
            self._outbox.append((self._numbered, effect))
        lines += [{"at": now, "kind": "order", "order": order_to_json(o)} for o in answer.changed.values()]
        if lines:
            self._record.write(*lines)

    def _copy(self, number: int, report: Report) -> None:
        if self._copies is not None and report.msg_type == "8" and not report.duplicate:
            self._copies.put(number, encode(report, self.spec.version))

    def _next_out(self, now: datetime) -> Outgoing | None:
        if not self._outbox:
            return None
        number, effect = self._outbox[0]
        return Outgoing(encode(effect, self.spec.version) if isinstance(effect, Report) else "", number)

    def _sent(self, out: Outgoing, seq: int) -> None:
        self._outbox.popleft()
        if out.text:
            self.counts["sent"] += 1
            self._write("sent", report=out.key, seq=seq)

    def _not_sent(self, out: Outgoing) -> None:
        self.counts["held back"] += 1

    def _session_up(self) -> None:
        self.counts["logons"] = self.logons

    def _rejected(self, message: Message, now: datetime) -> None:
        self.counts["session rejects"] += 1
        self.failures.append(f"the gateway refused MsgSeqNum(34) {message.get(45)}: {message.get(58)}")
        self._write("refused by peer", raw=message.raw, reason=message.get(58, ""))


def _request_line(message: Message, answer: Answer, now: datetime) -> Line:
    values: Line = {
        "at": now,
        "kind": "request",
        "msg_type": message.type,
        "cl_ord_id": message.get(11, ""),
        "orig_cl_ord_id": message.get(41),
        "order_id": answer.order.order_id if answer.order is not None else None,
        "trace": message.get(7001),
        "symbol": message.get(55),
        "side": message.get(54),
        "qty": decimal_of(message.get(38)),
        "ord_type": message.get(40),
        "price": decimal_of(message.get(44)),
        "stop_px": decimal_of(message.get(99)),
        "tif": message.get(59),
        "account": message.get(1),
        "text": message.get(58),
        "poss_dup": message.get(43) == "Y" or None,
        "ignored": answer.ignored or None,
        "raw": message.raw,
    }
    return {key: value for key, value in values.items() if value is not None}
