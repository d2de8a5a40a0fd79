"""The client simulator: a FIX initiator that works through plans, checks every report, and goes on after a crash.

A request is written to the record before it is sent and marked after, and what may have left is never sent again:
after a restart of its own, and after each new logon, the client asks with OrderStatusRequest(H) instead. It ends when
every order is finished, or when nothing has happened for the idle timeout: then it cancels what still works, waits as
long again, and ends with what is left named in the summary. While the session is down the reconnect timeout counts.
Limit: follow-ups of an order run one after the other.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from oms.sim import requests
from oms.sim.checks import Statement, exec_type_of
from oms.sim.flow import FollowUp, Plan
from oms.sim.progress import Key, Progress, percentiles, report_fields, terms_of
from oms.sim.record import Line
from oms.sim.session import SessionSpec
from oms.sim.station import Outgoing, Station
from oms.sim.wire import Message, utc_now

SHOWN = 20  # violations and unfinished orders that the summary names
FAR_BEHIND = timedelta(seconds=1)
CANCEL, STATUS = FollowUp("cancel"), FollowUp("status")


class ClientSim(Station):
    """A simulated client. `statement` has its orders as the reports left them (under the lock)."""

    role = "client"

    def __init__(
        self,
        spec: SessionSpec,
        plans: Iterable[Plan],
        *,
        rate: float = 0,
        max_in_flight: int = 0,
        idle_seconds: float = 30,
        reconnect_seconds: float = 60,
        seed: int = 1,
        stamp: str = "",
    ) -> None:
        self.statement = Statement()
        self.violations: list[str] = []
        self.counts: Counter[str] = Counter()
        self._plans = iter(plans)
        self._next_plan: Plan | None = None
        self._interval = timedelta(seconds=1 / rate) if rate > 0 else timedelta(0)
        self._max_in_flight = max_in_flight
        self._idle = timedelta(seconds=idle_seconds)
        self._reconnect = timedelta(seconds=reconnect_seconds)
        self._idle_rounds = 0
        self._winding_down = False
        self._numbered = 0
        self._progress: dict[str, Progress] = {}
        self._open: dict[str, Progress] = {}
        self._queue: deque[tuple[Progress, FollowUp, int | None]] = deque()
        self._retry: deque[Outgoing] = deque()
        self._in_doubt: set[str] = set()  # requests of an earlier run that may or may not have left
        self._by_seq: dict[int, Key] = {}
        self._started_at = self._last_event = self._next_new_at = utc_now()
        super().__init__(spec, seed=seed, stamp=stamp)
        self._next_plan = next(self._plans, None)

    # -- figures -----------------------------------------------------------------------------------------

    @property
    def in_flight(self) -> int:
        """Orders sent and not finished."""
        return len(self._open)

    def _summary(self) -> dict[str, Any]:
        """Orders by OrdStatus(39), counts, latency from order sent to first report, what was wrong."""
        orders = self.statement.orders.values()
        seconds = (self._last_event - self._started_at) / timedelta(seconds=1)
        sent = self.counts["orders"]
        return {
            "name": self.spec.name,
            "role": self.role,
            "version": self.spec.version,
            "orders": len(orders),
            "by_ord_status": dict(sorted(Counter(order.ord_status or "unanswered" for order in orders).items())),
            "fills": sum(1 for order in orders for fill in order.fills.values() if fill.qty),
            "counts": dict(sorted(self.counts.items())),
            "repeats": self.statement.repeats,
            "seconds": round(seconds, 3),
            "orders_per_second": round(sent / seconds, 1) if seconds > 0 else 0.0,
            "first_report_ms": percentiles(
                [p.latency_ms for p in self._progress.values() if p.latency_ms is not None]
            ),
            "in_flight": self.in_flight,
            "unfinished": list(islice(self._open, SHOWN)),
            "violations": len(self.violations),
            "violations_shown": self.violations[:SHOWN],
            "failures": self.failures,
        }

    # -- taking up an earlier run ------------------------------------------------------------------------

    def _restore(self, lines: list[Line]) -> None:
        held_back: dict[str, Outgoing] = {}
        for line in lines:
            kind = line["kind"]
            if kind == "start" and not self._progress:
                self.stamp = line["stamp"]
            elif kind == "request":
                self._restore_request(line)
            elif kind == "sent":
                self._in_doubt.discard(line["cl_ord_id"])
                held_back.pop(line["cl_ord_id"], None)
            elif kind == "unsent":
                key = Key(line["cl_ord_id"], self._progress[line["order"]], line["msg_type"])
                self._in_doubt.discard(key.cl_ord_id)
                held_back[key.cl_ord_id] = Outgoing(line["raw"], key)
            elif kind == "report":
                self.violations += self.statement.received(Message(line["raw"]))
                self._in_doubt.discard(line.get("cl_ord_id", ""))
                if "first_report_ms" in line:
                    self._progress[line["order"]].latency_ms = line["first_report_ms"]
        self._retry.extend(held_back.values())
        self._open = {name: progress for name, progress in self._progress.items() if not progress.done}

    def _restore_request(self, line: Line) -> None:
        message = Message(line["raw"])
        first, at = line["order"], datetime.fromisoformat(line["at"])
        if message.type == "D":
            plan = next(self._plans, None)
            order = self.statement.sent(message, expect_reject=line.get("purpose") == "reject")
            if order is not None:
                terms_only = Plan(terms_of(message)) if plan is None else plan
                self._progress[first] = Progress(terms_only, order, at, heard=True)
        elif message.type in ("F", "G"):
            self.statement.sent(message)
        if "step" in line:
            self._progress[first].step = line["step"] + 1
        self._numbered = max(self._numbered, line.get("number", 0))
        if message.type != "H":
            self._in_doubt.add(line["cl_ord_id"])

    # -- messages ----------------------------------------------------------------------------------------

    def _take(self, message: Message, now: datetime) -> None:
        order = self.statement.order_of(message)
        problems = self.statement.received(message)
        first = order.first_cl_ord_id if order is not None else ""
        progress = self._progress.get(first)
        line: Line = {"at": now, "kind": "report", **report_fields(message, first)}
        if progress is not None:
            if progress.latency_ms is None:
                progress.latency_ms = (now - progress.sent_at) / timedelta(milliseconds=1)
                line["first_report_ms"] = round(progress.latency_ms, 3)
            progress.heard, progress.asked = True, False
            self._follow(progress, message)
        self._record.write({**line, "raw": message.raw})
        self.counts["reports"] += 1
        self._judge(problems, first)
        self._last_event = now

    def _follow(self, progress: Progress, message: Message) -> None:
        """Keep the list of open orders; a status reply settles what a crash of our own left in doubt."""
        order = progress.order
        if message.type == "8" and exec_type_of(message) == "I":
            for cl_ord_id in [name for name in order.requests if name in self._in_doubt]:
                del order.requests[cl_ord_id]
        first = order.first_cl_ord_id
        if progress.done:
            if self._open.pop(first, None) is not None:
                self._idle_rounds = 0
        else:
            self._open[first] = progress

    def _judge(self, problems: list[str], first: str) -> None:
        for problem in problems:
            self.violations.append(problem)
            self._write("violation", order=first, text=problem)

    def _rejected(self, message: Message, now: datetime) -> None:
        key = self._by_seq.get(int(message.get(45, "0")))
        text = f"Reject(3) of MsgSeqNum(34) {message.get(45)}: {message.get(58)}"
        self._judge([f"{text}: {message}"], key.progress.order.first_cl_ord_id if key else "")
        if key is not None:
            order = key.progress.order
            if order.requests.pop(key.cl_ord_id, None) is None and not order.answered:
                order.ord_status, order.text = "8", text
            self._follow(key.progress, message)

    def _session_up(self) -> None:
        self._last_event = utc_now()
        if self.logons > 1 or self._progress:
            waiting = {out.key.cl_ord_id for out in self._retry}
            for first, progress in self._open.items():
                if first not in waiting and not progress.asked:  # a question that was not answered will be
                    progress.asked = True
                    self._queue.append((progress, STATUS, None))

    # -- time --------------------------------------------------------------------------------------------

    def _pass_time(self, now: datetime) -> datetime | None:
        due: list[datetime] = []
        for progress in self._open.values():
            ready_at = self._ready_at(progress, now)
            if ready_at is not None and ready_at <= now:
                step = progress.next_step
                assert step is not None
                self._queue.append((progress, step, progress.step))
                progress.step, progress.heard, progress.moment = progress.step + 1, False, None
            elif ready_at is not None:
                due.append(ready_at)
        if self._next_plan is not None and self._may_open():
            due.append(self._next_new_at)
        elif self._next_plan is None and not (self._open or self._queue or self._retry):
            self.finished = True
        else:
            patience = self._idle if self.logged_on else max(self._idle, self._reconnect)
            due.append(self._last_event + patience)
            if now >= due[-1]:
                self._on_idle(now)
        return min(due, default=None)

    def _ready_at(self, progress: Progress, now: datetime) -> datetime | None:
        """When the next follow-up may leave; None while its moment has not come."""
        step = progress.next_step
        if step is None:
            return None
        come = {
            "at_once": True,
            "acked": progress.heard and progress.order.answered,
            "filled": progress.order.filled_qty > 0,
            "finished": progress.order.finished,
        }[step.when]
        if not come:
            return None
        progress.moment = progress.moment or now
        return progress.moment + timedelta(milliseconds=step.delay_ms)

    def _may_open(self) -> bool:
        free = not self._max_in_flight or len(self._open) < self._max_in_flight
        return free and not self._winding_down and self.logged_on

    def _on_idle(self, now: datetime) -> None:
        """Nothing happens any more: first cancel what works, then give up."""
        self._idle_rounds += 1
        if self._idle_rounds > 1 or not self.logged_on:
            self.finished = True
            return
        self._last_event = now
        self._winding_down = self._winding_down or self._next_plan is None
        for progress in list(self._open.values()):
            if self._winding_down:
                progress.step = len(progress.plan.follow_ups)
                if progress.done:
                    del self._open[progress.order.first_cl_ord_id]
                    continue
            cancelled = any(request.type == "F" for request in progress.order.requests.values())
            ask = cancelled or not progress.order.working
            self._queue.append((progress, STATUS if ask else CANCEL, None))

    # -- sending -----------------------------------------------------------------------------------------

    def _next_out(self, now: datetime) -> Outgoing | None:
        if self._retry:
            return self._retry.popleft()
        while self._queue:
            progress, step, number = self._queue.popleft()
            if step.action == "status" or step.when == "finished" or not progress.order.finished:
                return self._request(progress, step, number, now)
        if self._next_plan is None or not self._may_open() or now < self._next_new_at:
            return None
        plan, self._next_plan = self._next_plan, next(self._plans, None)
        behind = now - self._next_new_at > FAR_BEHIND
        self._next_new_at = (now if behind else self._next_new_at) + self._interval
        return self._new_order(plan, now)

    def _new_id(self) -> str:
        self._numbered += 1
        return f"{self.stamp}{self._numbered:06d}"

    def _new_order(self, plan: Plan, now: datetime) -> Outgoing:
        cl_ord_id = self._new_id()
        text = requests.new_order(plan.terms, cl_ord_id, f"{self.spec.name}/{cl_ord_id}", self.spec.version, now)
        order = self.statement.sent(Message(text), expect_reject=plan.expect_reject)
        assert order is not None
        progress = self._progress[cl_ord_id] = self._open[cl_ord_id] = Progress(plan, order, now)
        return self._written(Key(cl_ord_id, progress, "D"), text, "reject" if plan.expect_reject else "", None)

    def _request(self, progress: Progress, step: FollowUp, number: int | None, now: datetime) -> Outgoing:
        order = progress.order
        first = order.first_cl_ord_id
        replaces = [name for name, request in order.requests.items() if request.type == "G"]
        orig = replaces[-1] if replaces and step.action != "status" else order.cl_ord_id
        cl_ord_id = orig if step.action == "status" else self._new_id()
        trace = f"{self.spec.name}/{first}"
        ids = (cl_ord_id, orig)
        text = requests.follow_up(step, order, progress.plan.terms, ids, trace, self.spec.version, now)
        message = Message(text)
        self.statement.sent(message)
        return self._written(Key(cl_ord_id, progress, message.type), text, "", number)

    def _written(self, key: Key, text: str, purpose: str, step: int | None) -> Outgoing:
        """Put the request on record before it may leave."""
        values: Line = {"msg_type": key.msg_type, "cl_ord_id": key.cl_ord_id}
        values["order"] = key.progress.order.first_cl_ord_id
        if key.msg_type != "H":
            values["number"] = self._numbered
        if purpose:
            values["purpose"] = purpose
        if step is not None:
            values["step"] = step
        self._write("request", **values, raw=text)
        return Outgoing(text, key)

    def _sent(self, out: Outgoing, seq: int) -> None:
        key: Key = out.key
        names = {"D": "orders", "F": "cancels", "G": "replaces", "H": "status requests"}
        self.counts[names[key.msg_type]] += 1
        self._by_seq[seq] = key
        self._write("sent", cl_ord_id=key.cl_ord_id, seq=seq)
        self._last_event = utc_now()

    def _not_sent(self, out: Outgoing) -> None:
        key: Key = out.key
        first = key.progress.order.first_cl_ord_id
        self._write("unsent", cl_ord_id=key.cl_ord_id, order=first, msg_type=key.msg_type, raw=out.text)
        self._retry.appendleft(out)  # only one is ever under way, and it was the oldest
