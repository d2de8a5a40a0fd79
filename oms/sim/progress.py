"""How far a simulated client is with its plans, and what it notes of them. Pure values: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from math import ceil

from oms.sim.checks import ClientOrder, exec_type_of
from oms.sim.flow import FollowUp, Plan, Terms
from oms.sim.record import Line
from oms.sim.wire import Message, decimal_of

SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}


@dataclass(slots=True)
class Progress:
    """How far one plan is.

    `heard`: something came since the last thing sent on it. `asked`: a status request was not answered yet.
    """

    plan: Plan
    order: ClientOrder
    sent_at: datetime
    step: int = 0
    heard: bool = False
    asked: bool = False
    moment: datetime | None = None
    latency_ms: float | None = None

    @property
    def next_step(self) -> FollowUp | None:
        """The follow-up to come; one that makes no sense on a finished order is passed over."""
        while self.step < len(self.plan.follow_ups):
            step = self.plan.follow_ups[self.step]
            if not self.order.finished or step.when == "finished" or step.action == "status":
                return step
            self.step += 1
        return None

    @property
    def done(self) -> bool:
        """Whether nothing is left to send or to wait for."""
        return self.order.finished and self.next_step is None


@dataclass(frozen=True, slots=True)
class Key:
    """What an Outgoing is about: its ClOrdID(11) and the order's progress."""

    cl_ord_id: str
    progress: Progress
    msg_type: str


def report_fields(message: Message, first: str) -> Line:
    """What the record says of a message received; `first` is the first ClOrdID(11) of its order."""
    values: Line = {
        "msg_type": message.type,
        "order": first,
        "cl_ord_id": message.get(11) or message.get(379),
        "orig_cl_ord_id": message.get(41),
        "order_id": message.get(37),
        "exec_id": message.get(17),
        "exec_ref_id": message.get(19),
        "exec_type": exec_type_of(message) or None,
        "ord_status": message.get(39),
        "cum_qty": message.get(14),
        "leaves_qty": message.get(151),
        "avg_px": message.get(6),
        "last_qty": message.get(32),
        "last_px": message.get(31),
        "reason": message.get(103) or message.get(102) or message.get(380),
        "text": message.get(58),
    }
    return {key: value for key, value in values.items() if value is not None}


def terms_of(message: Message) -> Terms:
    """The terms of a NewOrderSingle(D) sent by an earlier run that had other plans."""
    return Terms(
        symbol=message.get(55, ""),
        side=message.get(54, ""),
        qty=decimal_of(message.get(38)) or Decimal(0),
        ord_type=message.get(40, ""),
        price=decimal_of(message.get(44)),
        stop_px=decimal_of(message.get(99)),
        tif=message.get(59, ""),
        account=message.get(1, ""),
        text=message.get(58, ""),
    )


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """p50, p90, p99 and max of measured milliseconds (nearest rank); empty for no values."""
    if not values:
        return {}
    ordered = sorted(values)
    ranks = {name: ordered[max(ceil(share * len(ordered)), 1) - 1] for name, share in SHARES.items()}
    return {name: round(value, 3) for name, value in ranks.items()}
