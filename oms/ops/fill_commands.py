"""Fills that operators enter: what they typed, checked and in one form, before it is proposed or put in line.

What can be told without the order is told here; whether it fits the order the core tells (`oms.core.manual`).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from oms.config.problems import plain_decimal
from oms.core.manual import ADD, BUST, CORRECT, LINK
from oms.errors import OperatorError

Args = dict[str, str]
Rows = Callable[..., list[dict[str, Any]]]

_ID_LIMIT = 64
_OLDEST = timedelta(days=366)


def checked(verb: str, args: Args, text: str, today: date, rows: Rows) -> Args:
    """The command's arguments as the core takes them. Raises OperatorError with the remedy.

    `rows` asks the ledger.
    """
    made = {"text": text}
    if verb == ADD:
        made |= _order(args, rows) | {
            "exec_id": _id(args, "exec_id", "--exec-id"),
            "qty": _amount(args, "qty", "--qty"),
            "px": _amount(args, "px", "--px", zero=True),
            "trade_date": _trade_date(args, today),
        }
        if args.get("at"):
            made["at"] = _moment(args["at"])
    else:
        made |= _execution(args, rows)
        if verb == CORRECT:
            made |= {"qty": _amount(args, "qty", "--qty"), "px": _amount(args, "px", "--px", zero=True)}
        if verb == LINK or args.get("exec_id"):
            made["exec_id"] = _id(args, "exec_id", "--exec-id")
    if args.get("silent") == "Y" and verb in (ADD, CORRECT, BUST):
        made["silent"] = "Y"
    return made


def _order(args: Args, rows: Rows) -> Args:
    order_id = args.get("order_id", "")
    if not rows("SELECT 1 FROM client_orders WHERE order_id = %s", order_id):
        named = order_id or "(none)"
        raise OperatorError(f"there is no order with OrderID(37) {named}; `oms orders list` shows them")
    found = rows("SELECT child_id FROM child_orders WHERE order_id = %s ORDER BY sent_seq", order_id)
    children = [row["child_id"] for row in found]
    if not children:
        raise OperatorError(f"{order_id} never went to a broker: there can be no fill of it")
    child_id = args.get("child_id") or children[-1]
    if child_id not in children:
        raise OperatorError(f"{order_id} did not go to a broker as ClOrdID(11) {child_id}, but as {children}")
    return {"order_id": order_id, "child_id": child_id}


def _execution(args: Args, rows: Rows) -> Args:
    """The execution that is meant, by ExecID(17) of either side."""
    named = args.get("exec", "")
    found = rows(
        "SELECT client_exec_id, exec_id, order_id, child_id, kind FROM fills WHERE client_exec_id = %s"
        " UNION SELECT client_exec_id, exec_id, order_id, child_id, kind FROM fills WHERE exec_id = %s",
        named,
        named,
    )
    if not found:
        raise OperatorError(f"there is no fill with ExecID(17) {named or '(none)'}; `oms fills list` shows them")
    if len(found) > 1:
        ours = ", ".join(sorted(row["client_exec_id"] for row in found))
        raise OperatorError(f"ExecID(17) {named} names {len(found)} fills; give one of our ids for them: {ours}")
    row = found[0]
    if row["order_id"] is None or row["child_id"] is None:
        raise OperatorError(f"the fill {named} belongs to no order of ours: it cannot be changed by hand")
    if row["kind"] == "bust":
        raise OperatorError(f"{named} is itself a bust; enter the trade anew with `oms fills add`")
    return {"order_id": row["order_id"], "child_id": row["child_id"], "ref": row["exec_id"]}


def _id(args: Args, name: str, option: str) -> str:
    value = args.get(name, "")
    fits = 0 < len(value) <= _ID_LIMIT and value.isascii() and value.isprintable() and value.strip() == value
    if not fits:
        raise OperatorError(f"{option} {value!r} is no ExecID(17): 1 to {_ID_LIMIT} printable ASCII characters")
    if value == "0":
        raise OperatorError(f"{option} 0 names no execution: brokers use it for answers to status requests")
    return value


def _amount(args: Args, name: str, option: str, *, zero: bool = False) -> str:
    text = args.get(name, "")
    try:
        number = plain_decimal(text)
    except ValueError:
        number = None
    if not isinstance(number, Decimal) or (number == 0 and not zero):
        least = "zero or more" if zero else "above zero"
        raise OperatorError(f"{option} {text!r} is no number {least} with at most 12 decimals, such as 100 or 150.25")
    return format(number, "f")


def _trade_date(args: Args, today: date) -> str:
    text = args.get("trade_date") or today.isoformat()
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise OperatorError(f"--trade-date {text!r} is no date; write it as {today}") from None
    if not today - _OLDEST <= day <= today:
        raise OperatorError(f"--trade-date {day} is not within the year up to today's trade date {today}")
    return day.isoformat()


def _moment(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise OperatorError(f"--at {text!r} is no time; write for example 2026-03-02T13:00:00 (UTC)") from None
    return (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)).isoformat()
