"""What the simulated broker says: reports as values, and as FIX 4.2, 4.4 or 5.0 SP2 text.

A Report is written in the words of 4.4 (ExecType F, G, H, I); `encode` gives each version its own:
- 4.2: ExecTransType(20) 0 new, 1 bust, 2 correct, 3 status; ExecType(150) 1 or 2 for what F, G and H say; a status
  reply repeats OrdStatus(39) as ExecType; LastShares(32) and LastPx(31) always; rejects of cancels without the
  reasons that came later.
- 4.4 and 5.0 SP2: ExecTransType is gone. ExecID(17) is 0 in a status reply, in every version.
Pure: no I/O, no clock. Every report that is built here has the fields that the version's dictionary requires.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from pydantic import TypeAdapter

from oms.sim.orders import ZERO, SimOrder
from oms.sim.wire import joined, plain, utc_timestamp

NEW, CANCELED, REPLACED, PENDING_CANCEL, REJECTED, PENDING_NEW, PENDING_REPLACE = (
    "0",
    "4",
    "5",
    "6",
    "8",
    "A",
    "E",
)
DONE_FOR_DAY, EXPIRED, RESTATED = "3", "C", "D"
TRADE, TRADE_CORRECT, TRADE_CANCEL, ORDER_STATUS = "F", "G", "H", "I"

EXEC_TRANS_TYPE_42 = {TRADE_CANCEL: "1", TRADE_CORRECT: "2", ORDER_STATUS: "3"}
EXECUTIONS = frozenset({TRADE, TRADE_CORRECT, TRADE_CANCEL})
# CxlRejReason(102) values that a version's dictionary has not: left out there, the Text(58) says it.
KNOWN_CXL_REJ_REASON_42 = frozenset({0, 1, 2, 3})
# OrdRejReason(103) above 8 is not in 4.2: BrokerCredit / option (0) stands for them.
LAST_ORD_REJ_REASON_42 = 8

MsgType = Literal["8", "9", "j"]


@dataclass(frozen=True, slots=True)
class Report:
    """One message of the broker about one order, complete: nothing is looked up when it is encoded.

    `reason` is OrdRejReason(103), CxlRejReason(102), BusinessRejectReason(380) or ExecRestatementReason(378), by
    MsgType and ExecType. `response_to` is the MsgType of the request answered. `stray` marks a report for an order
    that nobody sent.
    """

    msg_type: MsgType
    at: datetime
    order_id: str
    cl_ord_id: str
    ord_status: str = ""
    orig_cl_ord_id: str = ""
    exec_id: str = ""
    exec_ref_id: str = ""
    exec_type: str = ""
    order_qty: Decimal = ZERO
    cum_qty: Decimal = ZERO
    leaves_qty: Decimal = ZERO
    avg_px: Decimal = ZERO
    last_qty: Decimal | None = None
    last_px: Decimal | None = None
    symbol: str = ""
    side: str = ""
    ord_type: str = ""
    tif: str = ""
    price: Decimal | None = None
    stop_px: Decimal | None = None
    account: str = ""
    text: str = ""
    reason: int | None = None
    response_to: str = ""
    poss_resend: bool = False
    duplicate: bool = False
    stray: bool = False
    echo: tuple[tuple[int, str], ...] = ()


def execution(order: SimOrder, version: str, at: datetime, exec_id: str, exec_type: str) -> Report:
    """An ExecutionReport(8) with the order's parameters and quantities as they are now."""
    return Report(
        msg_type="8",
        at=at,
        order_id=order.order_id,
        cl_ord_id=order.cl_ord_id,
        ord_status=order.ord_status(version),
        exec_id=exec_id,
        exec_type=exec_type,
        order_qty=order.qty,
        cum_qty=order.cum_qty,
        leaves_qty=order.leaves_qty,
        avg_px=order.avg_px,
        symbol=order.symbol,
        side=order.side,
        ord_type=order.ord_type,
        tif=order.tif,
        price=order.price,
        stop_px=order.stop_px,
        account=order.account,
        echo=tuple(sorted(order.echo.items())),
    )


def again(report: Report, *, poss_resend: bool) -> Report:
    """The same report once more, with the same ExecID(17), as a new message."""
    return replace(report, duplicate=True, poss_resend=poss_resend)


_REPORTS: TypeAdapter[Report] = TypeAdapter(Report)
_FIELDS = frozenset(field.name for field in fields(Report))


def report_to_json(report: Report) -> dict[str, Any]:
    """The report as JSON values, what is not set left out; decimals and time as text."""
    value: dict[str, Any] = _REPORTS.dump_python(report, mode="json", exclude_defaults=True)
    return value


def report_from_json(value: dict[str, Any]) -> Report:
    """The report that `report_to_json` wrote; other keys are passed over."""
    return _REPORTS.validate_python({key: value[key] for key in value if key in _FIELDS})


def encode(report: Report, version: str) -> str:
    """The report as raw FIX of the version, from MsgType(35) on."""
    if report.msg_type == "9":
        return _cancel_reject(report, version)
    if report.msg_type == "j":
        return _business_reject(report)
    return _execution(report, version)


def _header(report: Report, msg_type: str) -> list[tuple[int, str]]:
    return [(35, msg_type), (97, "Y" if report.poss_resend else "")]


def _execution(report: Report, version: str) -> str:
    pairs = [
        *_header(report, "8"),
        (37, report.order_id),
        (11, report.cl_ord_id),
        (41, report.orig_cl_ord_id),
        (17, report.exec_id),
        (19, report.exec_ref_id),
        (150, _exec_type(report, version)),
        (39, report.ord_status),
        (1, report.account),
        (55, report.symbol),
        (54, report.side),
        (38, plain(report.order_qty)),
        (40, report.ord_type),
        (44, plain(report.price)),
        (99, plain(report.stop_px)),
        (59, report.tif),
        (151, plain(report.leaves_qty)),
        (14, plain(report.cum_qty)),
        (6, plain(report.avg_px)),
        (60, utc_timestamp(report.at)),
        (58, report.text),
        *report.echo,
    ]
    if report.exec_type in EXECUTIONS or version == "4.2":
        pairs += [(32, plain(report.last_qty or ZERO)), (31, plain(report.last_px or ZERO))]
    if version == "4.2":
        pairs.append((20, EXEC_TRANS_TYPE_42.get(report.exec_type, "0")))
    if report.reason is not None:
        pairs.append(
            (378, str(report.reason)) if report.exec_type == RESTATED else (103, _ord_rej_reason(report, version))
        )
    return joined(pairs)


def _exec_type(report: Report, version: str) -> str:
    if version != "4.2":
        return report.exec_type
    if report.exec_type in EXECUTIONS:
        return "2" if report.cum_qty and report.cum_qty >= report.order_qty else "1"
    return report.ord_status if report.exec_type == ORDER_STATUS else report.exec_type


def _ord_rej_reason(report: Report, version: str) -> str:
    reason = report.reason or 0
    return "0" if version == "4.2" and reason > LAST_ORD_REJ_REASON_42 else str(reason)


def _cancel_reject(report: Report, version: str) -> str:
    known = version != "4.2" or report.reason in KNOWN_CXL_REJ_REASON_42
    return joined(
        [
            *_header(report, "9"),
            (37, report.order_id),
            (11, report.cl_ord_id),
            (41, report.orig_cl_ord_id),
            (39, report.ord_status),
            (434, "1" if report.response_to == "F" else "2"),
            (102, str(report.reason) if report.reason is not None and known else ""),
            (1, report.account),
            (60, utc_timestamp(report.at)),
            (58, report.text),
        ]
    )


def _business_reject(report: Report) -> str:
    return joined(
        [
            *_header(report, "j"),
            (372, report.response_to),
            (379, report.cl_ord_id),
            (380, str(report.reason or 0)),
            (58, report.text),
        ]
    )
