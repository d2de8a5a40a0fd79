"""Events and messages of the core: immutable, in the standard's words, free of any wire format's quirks.

Commands are named in the imperative's noun form the standard uses (NewOrder, CancelRequest), facts by what
they say (ExecutionReport). Field values that FIX enumerates keep FIX's 4.4 characters; FIX 4.2 is translated
at the edge. Quantities are shares, prices are in the instrument's currency, both `Decimal`.
NamedTuples rather than frozen dataclasses: as immutable, and several times cheaper to make per message.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple

Pairs = tuple[tuple[str, str], ...]


class Problem(NamedTuple):
    """Why a message cannot be taken as it stands: the tag, what is wrong, and the OrdRejReason(103)."""

    tag: str
    text: str
    ord_rej_reason: str


class NewOrder(NamedTuple):
    """NewOrderSingle(D) of a client."""

    cl_ord_id: str
    account: str
    symbol: str
    side: str
    ord_type: str
    time_in_force: str
    order_qty: Decimal
    price: Decimal | None
    stop_px: Decimal | None
    security_exchange: str
    ex_destination: str
    trader: str
    poss_resend: bool
    body: Pairs
    problem: Problem | None


class CancelRequest(NamedTuple):
    """OrderCancelRequest(F) of a client."""

    cl_ord_id: str
    orig_cl_ord_id: str
    body: Pairs
    problem: Problem | None = None


class ReplaceRequest(NamedTuple):
    """OrderCancelReplaceRequest(G) of a client. OrderQty(38) is the new total, not the rest."""

    cl_ord_id: str
    orig_cl_ord_id: str
    symbol: str
    side: str
    ord_type: str
    order_qty: Decimal | None
    price: Decimal | None
    stop_px: Decimal | None
    body: Pairs
    problem: Problem | None


class StatusRequest(NamedTuple):
    """OrderStatusRequest(H) of a client."""

    cl_ord_id: str
    body: Pairs


class MassCancelRequest(NamedTuple):
    """OrderMassCancelRequest(q) of a client; '' narrows nothing. Its problem has a MassCancelRejectReason(532)."""

    cl_ord_id: str
    request_type: str
    symbol: str
    side: str
    account: str
    problem: Problem | None


class MassStatusRequest(NamedTuple):
    """OrderMassStatusRequest(AF) of a client; '' narrows nothing. Its problem has a BusinessRejectReason(380)."""

    req_id: str
    request_type: str
    symbol: str
    side: str
    account: str
    problem: Problem | None


class MassCancelReport(NamedTuple):
    """OrderMassCancelReport(r) of a broker. `affected` has the ids of the orders it lists, ours or the broker's."""

    cl_ord_id: str
    response: str
    reject_reason: str
    total: int | None
    affected: tuple[str, ...]
    text: str


class ExecutionReport(NamedTuple):
    """ExecutionReport(8) of a broker, ExecType(150) in 4.4 terms whatever the session speaks."""

    order_id: str
    cl_ord_id: str
    orig_cl_ord_id: str
    exec_id: str
    exec_ref_id: str
    exec_type: str
    ord_status: str
    symbol: str
    side: str
    account: str
    order_qty: Decimal | None
    price: Decimal | None
    stop_px: Decimal | None
    last_qty: Decimal | None
    last_px: Decimal | None
    cum_qty: Decimal | None
    leaves_qty: Decimal | None
    ord_rej_reason: str
    transact_time: datetime | None
    trade_date: date
    text: str
    body: Pairs
    problem: Problem | None
    ord_type: str = ""
    time_in_force: str = ""
    avg_px: str = ""  # AvgPx(6) as written: how many decimals it has says how it may be rounded


class CancelReject(NamedTuple):
    """OrderCancelReject(9) of a broker."""

    order_id: str
    cl_ord_id: str
    orig_cl_ord_id: str
    cxl_rej_reason: str
    text: str
    body: Pairs


class MessageReject(NamedTuple):
    """Reject(3) or BusinessMessageReject(j) of a counterparty: it would not take what we sent.

    `cl_ord_id` is BusinessRejectRefID(379) or, found by the edge through RefSeqNum(45), the ClOrdID(11) of
    the message meant; '' where neither tells.
    """

    ref_seq_num: int
    ref_msg_type: str
    cl_ord_id: str
    text: str


class Unsupported(NamedTuple):
    """An application message that the gateway does not process."""

    msg_type: str
    ref_id: str


class Unreadable(NamedTuple):
    """A message of a known type that could not be decoded at all; `text` says what is wrong."""

    msg_type: str
    ref_id: str
    text: str


class SessionUp(NamedTuple):
    """A session logged on. `next_target` is the MsgSeqNum(34) expected next."""

    next_sender: int
    next_target: int


class SessionDown(NamedTuple):
    """A session is logged out or cut."""


class Refused(NamedTuple):
    """The engine itself rejected or ignored what arrived; recorded, nothing to answer."""

    reason: str
    msg_type: str = ""


class NotSent(NamedTuple):
    """The outbox did not send the request of journal row `seq`, and never will; `reason` says why."""

    seq: int
    msg_type: str
    cl_ord_id: str
    reason: str


class ResendDeclined(NamedTuple):
    """A broker asked again for a request it never saw, too late to send it: gap-filled instead."""

    cl_ord_id: str


class InDoubt(NamedTuple):
    """Nobody knows whether the message of journal row `seq` left: the store that would tell is lost.

    `text` is the message as it was to leave; replay, which sends nothing, does without.
    """

    seq: int
    msg_type: str
    cl_ord_id: str
    order_id: str
    text: str = ""


class Overdue(NamedTuple):
    """Something that a broker has not answered for so many seconds: an order, or a request about it.

    `times` counts the questions about the same, where it is asked again and again.
    """

    kind: str
    order_id: str
    cl_ord_id: str
    seconds: int
    times: int = 1


class CancelOnDisconnect(NamedTuple):
    """A client has been logged out for so many seconds: its live orders are to be canceled.

    Not those whose TimeInForce(59) is one of the characters of `exempt`.
    """

    seconds: int
    exempt: str


class Reconcile(NamedTuple):
    """A step of the comparison with a broker: begin (and what for), ask (about `number` orders at most), end."""

    step: str
    number: int
    cause: str = ""


class Unmatched(NamedTuple):
    """An execution that only one of a broker's two witnesses has told, for so many seconds."""

    kind: str  # missing_here, missing_there
    broker: str
    trade_date: str
    exec_id: str
    seconds: int


class Throttled(NamedTuple):
    """A client's message, neither order, replace nor cancel, that is refused for its session's rate."""

    msg_type: str
    ref_id: str
    text: str


class OverRate(NamedTuple):
    """A client has had so many messages refused within a second that it is logged out for some seconds."""

    refused: int
    per_second: int
    out_seconds: int


class Prices(NamedTuple):
    """Reference prices that a source gives: symbol, price and as of when (ISO 8601, UTC), all as texts."""

    source: str
    quotes: tuple[tuple[str, str, str], ...]


class PriceSource(NamedTuple):
    """A source of prices cannot be used, and why; '' when it can again."""

    source: str
    problem: str


class Command(NamedTuple):
    """What an operator commands; `args` as (name, value)."""

    operator: str
    verb: str
    args: Pairs


Body = (
    NewOrder
    | CancelRequest
    | ReplaceRequest
    | StatusRequest
    | MassCancelRequest
    | MassStatusRequest
    | MassCancelReport
    | ExecutionReport
    | CancelReject
    | MessageReject
    | Unsupported
    | Unreadable
    | SessionUp
    | SessionDown
    | Refused
    | NotSent
    | ResendDeclined
    | InDoubt
    | Overdue
    | Unmatched
    | CancelOnDisconnect
    | Throttled
    | OverRate
    | Reconcile
    | Prices
    | PriceSource
    | Command
)


class Event(NamedTuple):
    """One thing that happened, as the core sees it: who, when, and what.

    `received_at` is when the gateway took it (UTC); `trade_date` the gateway's trading day at that moment.
    """

    session: str
    msg_seq_num: int
    received_at: datetime
    trade_date: date
    body: Body


class Outgoing(NamedTuple):
    """One message to leave, before it is put in the counterparty's words.

    `fields` are set by the gateway and win over `body` (what passes through, in order). `defaults` are
    added only where the counterparty's dictionary requires the field and nothing else gave it; `offers`
    where it allows it and nothing else gave it. `text`, where it is given, is in the counterparty's words already
    and leaves as it is.
    """

    seq: int
    session: str
    msg_type: str
    order_id: str
    fields: dict[str, str]
    body: Pairs = ()
    defaults: Pairs = ()
    offers: Pairs = ()
    text: str = ""
