"""What a broker says of our orders, compared with the ledger: at each logon, on a schedule, and when somebody asks.

    begin   the broker is asked for all orders in one OrderMassStatusRequest(AF) where its dialect has it, else
    ask     for one order after the other by OrderStatusRequest(H), so many in a second
    answer  each report with ExecType(150) I is compared: OrdStatus(39), CumQty(14), LeavesQty(151), prices
    end     what was asked, what agrees, what differs and what was not answered goes into the journal

Law: an answer opens and closes exception items. It never books a fill, never ends an order and tells clients nothing:
what the broker has and we have not comes as an execution, or is a person's to settle. The one exception is an order
whose state is unknown: there the answer is what we asked for (`broker_side`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from datetime import datetime, timedelta

from oms.core import replies
from oms.core import tags as t
from oms.core import transitions as life
from oms.core.book import number_id
from oms.core.differences import LEAVES, MISSING, PRICE, QUANTITY, STATE, Told, differences
from oms.core.messages import Event, ExecutionReport, MessageReject, Outgoing, Reconcile
from oms.core.order import Child, Order
from oms.core.replies import Context
from oms.core.rounds import ASK, BEGIN, EACH, LOGON, MASS, Round

SOURCE = "order session"
UNANSWERED = "status_unanswered"
RUN = "reconcile.run"
_ALL_ORDERS = "7"  # MassStatusReqType(585)
_STRANGERS = 1000  # orders unknown to us that are remembered as raised
_ASK_AGAIN = 3
_ON_ITS_WAY = timedelta(seconds=10)
_FOLLOWED = frozenset([STATE, LEAVES, PRICE])  # what may come true by itself


# -- the steps of a round ----------------------------------------------------------------------------------------


def step(ctx: Context, seq: int, event: Event, msg: Reconcile) -> None:
    """Begin a round, ask some more, or end it."""
    current = ctx.book.rounds.get(event.session)
    if msg.step == BEGIN:
        if current is None and ctx.book.is_up(event.session):
            _begin(ctx, seq, event, msg.cause or LOGON)
    elif current is None:
        return
    elif msg.step == ASK:
        _ask(ctx, seq, event, current, msg.number)
    else:
        _end(ctx, seq, event, current)
    ctx.fx.order_id = current.round_id if current is not None else ctx.fx.order_id


def run(ctx: Context, seq: int, event: Event, operator: str, args: Mapping[str, str]) -> None:
    """Begin a round because somebody asks for it. `args`: broker, and cause where it is no operator's.

    One that is under way is the answer, and no second one is begun.
    """
    broker = args["broker"]
    facts, current = ctx.brokers.get(broker), ctx.book.rounds.get(broker)
    ctx.fx.order_id = None
    if current is not None:
        ctx.fx.detail["answer"] = current.begun() | {"under_way": True}
        return
    problem = ""
    if facts is None:
        problem = f"{broker} is no broker session"
    elif not ctx.book.is_up(broker):
        problem = f"{broker} is logged out; its next logon begins a round (`oms sessions list`)"
    elif not facts.mass_status and not facts.status_requests:
        problem = f"{broker} answers neither OrderMassStatusRequest(AF) nor OrderStatusRequest(H), says its dialect"
    if problem:
        ctx.fx.detail["refused"] = problem
        ctx.fx.detail["answer"] = {"refused": problem}
        return
    begun = _begin(ctx, seq, event._replace(session=broker), args.get("cause") or f"operator {operator}")
    ctx.fx.detail["answer"] = begun.begun() | {"under_way": False}


def _begin(ctx: Context, seq: int, event: Event, cause: str) -> Round:
    broker = event.session
    facts = ctx.brokers[broker]
    up_since = ctx.book.sessions[broker].changed_at
    orders = sorted(
        order.order_id
        for order in ctx.book.orders.values()
        if _is_live(order, broker) and not _is_new(order, up_since, event.received_at)
    )
    how = MASS if facts.mass_status else EACH
    asked_at = seq if how == MASS else 0
    made = Round(number_id("R", seq), SOURCE, broker, how, seq, len(orders), dict.fromkeys(orders, asked_at), cause)
    ctx.book.rounds[broker] = made
    if how == MASS:
        made.asked = len(orders)
        fields = {t.MASS_STATUS_REQ_ID: made.round_id, t.MASS_STATUS_REQ_TYPE: _ALL_ORDERS}
        ctx.fx.outgoing.append(Outgoing(ctx.book.take_seq(), broker, "AF", made.round_id, fields))
    else:
        made.to_ask = deque(orders)
    ctx.fx.detail["reconcile"] = made.begun()
    ctx.fx.order_id = made.round_id
    return made


def _is_live(order: Order, broker: str) -> bool:
    return not order.finished and order.child is not None and order.child.broker == broker


def _is_new(order: Order, up_since: object, now: datetime) -> bool:
    """Sent since the logon, and on its way: the broker may not have it yet, and its answer is waited for anyway."""
    if order.life != life.ROUTED or not isinstance(up_since, datetime):
        return False
    return order.received_at >= max(up_since, now - _ON_ITS_WAY)


def _ask(ctx: Context, seq: int, event: Event, current: Round, at_most: int) -> None:
    asked = 0
    while current.to_ask and asked < at_most:
        order_id = current.to_ask.popleft()
        order = ctx.book.orders.get(order_id)
        if order_id not in current.left:
            continue
        if order is None or order.child is None or not _is_live(order, current.about):
            del current.left[order_id]
            current.settled += 1
            continue
        replies.status_to_broker(ctx, order, order.child, (), event.received_at)
        current.left[order.order_id] = seq
        asked += 1
    current.asked += asked


def _end(ctx: Context, seq: int, event: Event, current: Round) -> None:
    unanswered = _in_doubt(ctx, current)
    current.settled += len(current.left) - len(unanswered)
    ended = "complete" if current.over else "time over"
    if current.how == MASS and current.complete:  # it named all that it has
        for order in unanswered:
            text = f"{current.about} answered for all its orders, and did not name this {order.life} one"
            replies.open_item(ctx, seq, event, "broker_unknown_order", text, order)
            current.differing[order.order_id] = ([MISSING], seq)
        unanswered = []
    _close(ctx, current, ended, unanswered)
    _note_unanswered(ctx, seq, event, current, unanswered)


def _in_doubt(ctx: Context, current: Round) -> list[Order]:
    """The orders that still live there and that the broker has not spoken of."""
    found = [ctx.book.orders.get(order_id) for order_id in current.left]
    return [order for order in found if order is not None and _is_live(order, current.about)]


def _close(ctx: Context, current: Round, ended: str, unanswered: list[Order]) -> None:
    del ctx.book.rounds[current.about]
    ctx.fx.detail["reconcile"] = current.summary(ended, [order.order_id for order in unanswered])
    ctx.fx.order_id = current.round_id


def _note_unanswered(ctx: Context, seq: int, event: Event, current: Round, unanswered: list[Order]) -> None:
    """One open item for each broker that does not answer, closed by the first round in which it does."""
    number = len(unanswered) + len(current.refused)
    item_id = ctx.book.unanswered.get(current.about)
    if not number and item_id is not None:
        del ctx.book.unanswered[current.about]
        text = f"{current.about} answered for every order in round {current.round_id}"
        replies.resolve(ctx, seq, event, UNANSWERED, item_id, None, text)
    elif number and item_id is None:
        named = ", ".join([order.order_id for order in unanswered][:5] or list(current.refused)[:5])
        text = (
            f"{current.about} did not tell the state of {number} of {current.orders} orders ({named}"
            f"{', ...' if number > 5 else ''}): round {current.round_id}"
        )
        ctx.book.unanswered[current.about] = replies.open_item(
            ctx, seq, event, "status_unanswered", text, None, severity="warning"
        )


def let_go(ctx: Context, item_id: str) -> None:
    """An operator closed an item: it is not closed again by rule."""
    for broker in [broker for broker, known in ctx.book.unanswered.items() if known == item_id]:
        del ctx.book.unanswered[broker]


def cut(ctx: Context, event: Event) -> None:
    """The session is gone, and with it the answers; the next logon begins anew."""
    current = ctx.book.rounds.get(event.session)
    if current is not None:
        _close(ctx, current, "session cut", _in_doubt(ctx, current))


# -- what the broker answers -------------------------------------------------------------------------------------


def heard(ctx: Context, event: Event, msg: ExecutionReport) -> bool:
    """Note the last report of an OrderMassStatusRequest(AF). Returns whether the report is part of its answer."""
    current = ctx.book.rounds.get(event.session)
    if current is None or current.how != MASS or (t.MASS_STATUS_REQ_ID, current.round_id) not in msg.body:
        return False
    if (t.LAST_RPT_REQUESTED, "Y") in msg.body:
        current.complete = True
    return True


def is_of_no_order(ctx: Context, seq: int, event: Event, msg: ExecutionReport) -> bool:
    """Whether a status report for no order of ours says nothing new: that there is none, or what was raised."""
    if msg.exec_type != "I":
        return False
    current = ctx.book.rounds.get(event.session)
    if heard(ctx, event, msg) and msg.ord_status == "8":
        ctx.fx.detail["reconcile"] = {"round": current.round_id if current else "", "verdict": "no order there"}
        return True
    key = (event.session, msg.order_id)
    known = ctx.book.strangers.get(key)
    if current is not None:
        current.missing_here[msg.order_id] = seq if known is None else known
        ctx.fx.detail["reconcile"] = {"round": current.round_id, "verdict": "missing here"}
    if known is not None:
        ctx.fx.detail["raised_by"] = known
        return True
    ctx.book.strangers[key] = seq
    while len(ctx.book.strangers) > _STRANGERS:
        del ctx.book.strangers[next(iter(ctx.book.strangers))]
    return False


def adopted(ctx: Context, event: Event, msg: ExecutionReport, order: Order) -> None:
    """An order that we did not know became one of ours."""
    ctx.book.strangers.pop((event.session, msg.order_id), None)
    current = ctx.book.rounds.get(event.session)
    if current is not None:
        current.missing_here.pop(msg.order_id, None)
        current.adopted.append(order.order_id)


def answer(ctx: Context, seq: int, event: Event, order: Order, child: Child, msg: ExecutionReport) -> None:
    """Compare a status report with the ledger, if we asked for it; each difference is an exception item."""
    current, asked_at = _question(ctx, event, order, msg)
    if asked_at is None:
        return
    told = Told(msg.ord_status, msg.cum_qty, msg.leaves_qty, msg.avg_px, msg.last_px, msg.exec_id)
    found = differences(order, child, told, _avg_px_decimals(ctx, child))
    if found and child.heard > asked_at:
        ctx.fx.detail["reconcile"] = {"verdict": "overtaken by a report"}
        if current is not None:
            ctx.fx.detail["reconcile"]["round"] = current.round_id
            _ask_again(current, order)
        return
    for kind, text in found:
        _raise(ctx, seq, event, order, kind, text)
    kinds = [kind for kind, _ in found]
    _keep(ctx, order, told, kinds)
    _resolve(ctx, seq, event, order, kinds)
    verdict: dict[str, object] = {"verdict": "differs" if kinds else "matched"}
    if kinds:
        verdict["differences"] = [list(one) for one in found]
    if current is not None:
        verdict["round"] = current.round_id
        current.left.pop(order.order_id, None)
        if kinds:
            current.differing[order.order_id] = (kinds, seq)
        else:
            current.matched += 1
    ctx.fx.detail["reconcile"] = verdict


def _avg_px_decimals(ctx: Context, child: Child) -> int:
    facts = ctx.brokers.get(child.broker)
    return facts.avg_px_decimals if facts is not None else 0


def _question(ctx: Context, event: Event, order: Order, msg: ExecutionReport) -> tuple[Round | None, int | None]:
    """The round that a status report is an answer in, None for none, and the row that asked, None if we did not."""
    alone = ctx.book.asked.pop(order.order_id, None)
    current = ctx.book.rounds.get(event.session)
    names_all = heard(ctx, event, msg)
    if current is not None and order.order_id in current.left:
        return current, current.left[order.order_id]
    if current is not None and names_all and order.finished:
        return current, current.begun_seq
    return None, alone


def _ask_again(current: Round, order: Order) -> None:
    """The answer may be older than what came meanwhile: it says nothing. A new one may, if it is worth asking."""
    times = current.asked_again.get(order.order_id, 0)
    if current.how == EACH and times < _ASK_AGAIN and not order.finished:
        current.asked_again[order.order_id] = times + 1
        if order.order_id not in current.to_ask:
            current.to_ask.append(order.order_id)
    else:
        current.left.pop(order.order_id, None)
        current.overtaken += 1


def _raise(ctx: Context, seq: int, event: Event, order: Order, kind: str, text: str) -> None:
    if kind == STATE:
        replies.open_item(ctx, seq, event, "state_mismatch", text, order)
    elif kind == QUANTITY:
        replies.open_item(ctx, seq, event, "quantity_mismatch", text, order, severity="warning")
    elif kind == LEAVES:
        replies.open_item(ctx, seq, event, "leaves_mismatch", text, order, severity="warning")
    elif kind == PRICE:
        replies.open_item(ctx, seq, event, "price_mismatch", text, order)
    else:
        replies.open_item(ctx, seq, event, "broker_unknown_order", text, order)


def refuses(ctx: Context, seq: int, event: Event, msg: MessageReject) -> bool:
    """A broker would not take our OrderMassStatusRequest(AF): it is asked for each order, or for none."""
    current = ctx.book.rounds.get(event.session)
    if current is None or current.how != MASS or msg.ref_msg_type != "AF":
        return False
    facts = ctx.brokers[event.session]
    if facts.status_requests:
        current.how, current.asked = EACH, 0
        current.to_ask = deque(current.left)
        ctx.fx.detail["reconcile"] = {"round": current.round_id, "refused": msg.text, "how": EACH}
        ctx.fx.order_id = current.round_id
        return True
    unanswered = _in_doubt(ctx, current)
    _close(ctx, current, f"refused: {msg.text}", unanswered)
    _note_unanswered(ctx, seq, event, current, unanswered)
    return True


def is_unknown_there(ctx: Context, order: Order, msg: ExecutionReport) -> bool:
    """Whether a reject says, in answer to a question of ours, that the broker does not know an order it had before.

    Some brokers answer OrderStatusRequest(H) so: ExecType(150) 8 with OrdRejReason(103) 5. No order ends by it.
    """
    if msg.ord_rej_reason != "5" or order.life in life.UNACKNOWLEDGED or order.finished:
        return False
    current = ctx.book.rounds.get(order.child.broker) if order.child is not None else None
    return order.order_id in ctx.book.asked or (current is not None and order.order_id in current.left)


def refuses_one(ctx: Context, event: Event, order: Order, text: str) -> None:
    """A broker would not take our OrderStatusRequest(H)."""
    ctx.book.asked.pop(order.order_id, None)
    current = ctx.book.rounds.get(event.session)
    if current is not None and order.order_id in current.left:
        del current.left[order.order_id]
        current.refused[order.order_id] = text
        ctx.fx.detail["reconcile"] = {"round": current.round_id, "verdict": "refused"}


# -- items that close by themselves ------------------------------------------------------------------------------


def _keep(ctx: Context, order: Order, told: Told, kinds: list[str]) -> None:
    """Keep what was told as long as the ledger may come to agree with it by itself."""
    if not _FOLLOWED.isdisjoint(kinds):
        ctx.book.told[order.order_id] = told
    else:
        ctx.book.told.pop(order.order_id, None)


def _resolve(ctx: Context, seq: int, event: Event, order: Order, kinds: list[str]) -> None:
    """Close what this answer puts right; CumQty(14) is followed by `quantities`."""
    for kind in (STATE, LEAVES, PRICE, MISSING):
        if kind not in kinds and kind in order.open_items:
            replies.resolve_item(ctx, seq, event, kind, order, f"agrees in journal row {seq}")


def settle(ctx: Context, seq: int, event: Event, order: Order) -> None:
    """Close the items of an order that has come to the state which its broker told before."""
    told = ctx.book.told.get(order.order_id)
    child = order.child
    if told is None or child is None or _FOLLOWED.isdisjoint(order.open_items):
        return
    if not differences(order, child, told, _avg_px_decimals(ctx, child)):
        del ctx.book.told[order.order_id]
        for kind in sorted(_FOLLOWED):
            replies.resolve_item(ctx, seq, event, kind, order, f"the broker's word came true in journal row {seq}")
