"""Properties: whatever a broker reports, in whatever order and however often, ledger, order and client's view agree.

A story is a list of steps, each what a client asks or a broker reports next; `again` is the broker telling an
earlier report once more. After every step the driver checks I4 (see `driver.checked`); after every story the
same events are replayed with the recorded decisions. Bounded: some hundred stories in all, a few seconds.
"""

from __future__ import annotations

from collections import Counter
from decimal import Decimal as D
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oms.core import messages as m
from oms.core.order import OPEN_REQUEST, decimal_text
from oms.core.status import ord_status
from tests.core.desk import Desk, new_order
from tests.core.driver import BROKER, BROKER2, CLIENT, CLIENT2, plain

Step = tuple[Any, ...]

QTY = st.integers(1, 60)
PX = st.sampled_from(["10", "10.5", "9.99", "11.25"])
PICK = st.integers(0, 20)

EXECUTIONS = (
    st.tuples(st.just("fill"), QTY, PX)
    | st.tuples(st.just("bust"), PICK)
    | st.tuples(st.just("correct"), PICK, QTY, PX)
)
REQUESTS = (
    st.tuples(st.just("cancel"))
    | st.tuples(st.just("replace"), st.integers(10, 200))
    | st.tuples(st.just("pending"), PICK)
    | st.tuples(st.just("agree"), PICK)
    | st.tuples(st.just("refuse"), PICK)
)
OTHERS = st.tuples(st.just("report"), st.sampled_from("034789ABCD")) | st.tuples(
    st.just("restate"), st.integers(1, 200)
)
AGAIN = st.tuples(st.just("again"), PICK)
STORIES = st.lists(EXECUTIONS | EXECUTIONS | REQUESTS | OTHERS | AGAIN | AGAIN, max_size=25)
QUICK = settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))


class Story:
    """One order's life, step by step. A broker that errs only in what the steps say."""

    def __init__(self, steps: list[Step]) -> None:
        self.desk = Desk()
        self.told: list[m.Body] = []
        self.desk.new("A1")
        for number, step in enumerate(steps):
            getattr(self, step[0])(f"x{number}", *step[1:])

    def left_out(self, *_: object) -> None:
        """A step that is not taken; the others keep their numbers."""

    def tell(self, body: m.Body) -> None:
        self.told.append(body)
        self.desk.event(BROKER, body)

    def report(self, exec_id: str, exec_type: str, **more: Any) -> None:
        self.tell(self.desk.report_of("A1", exec_type, exec_id=exec_id, **more))

    def again(self, _: str, pick: int) -> None:
        if self.told:
            self.desk.event(BROKER, self.told[pick % len(self.told)])

    def fill(self, exec_id: str, qty: int, px: str) -> None:
        self.report(exec_id, "F", last_qty=qty, last_px=px)

    def bust(self, exec_id: str, pick: int) -> None:
        if live := self._live():
            self.report(exec_id, "H", exec_ref_id=live[pick % len(live)], last_qty=0, last_px=0)

    def correct(self, exec_id: str, pick: int, qty: int, px: str) -> None:
        if live := self._live():
            self.report(exec_id, "G", exec_ref_id=live[pick % len(live)], last_qty=qty, last_px=px)

    def restate(self, exec_id: str, qty: int) -> None:
        self.report(exec_id, "D", order_qty=qty)

    def cancel(self, name: str) -> None:
        self.desk.cancel(f"C{name}", self.desk.order("A1").cl_ord_id)

    def replace(self, name: str, qty: int) -> None:
        self.desk.replace(f"R{name}", self.desk.order("A1").cl_ord_id, qty)

    def pending(self, exec_id: str, pick: int) -> None:
        if open_ := self._open():
            request = open_[pick % len(open_)]
            exec_type = "6" if request.kind == "F" else "E"
            self.tell(self.desk.report_of(request.cl_ord_id, exec_type, exec_id=exec_id))

    def agree(self, exec_id: str, pick: int) -> None:
        if open_ := self._open():
            request = open_[pick % len(open_)]
            if request.kind == "F":
                self.tell(self.desk.report_of(request.cl_ord_id, "4", exec_id=exec_id))
            else:
                self.tell(self.desk.report_of(request.cl_ord_id, "5", exec_id=exec_id, order_qty=request.order_qty))

    def refuse(self, _: str, pick: int) -> None:
        if open_ := self._open():
            broker_id = open_[pick % len(open_)].broker_cl_ord_id
            self.tell(m.CancelReject("B-1", broker_id, "", "2", "", ()))

    def _live(self) -> list[str]:
        child = self.desk.order("A1").child
        return [name for name, one in child.executions.items() if one.live] if child else []

    def _open(self) -> list[Any]:
        return [one for one in self.desk.order("A1").requests if one.state in OPEN_REQUEST]


def seen_by_client(desk: Desk) -> dict[str, str]:
    """What the client knows of its order from the last reports and rejects."""
    view: dict[str, str] = {}
    for sent in desk.sent:
        if sent.session == CLIENT and sent.fields["OrderID"] == "order:A1":
            names = ("OrderQty", "CumQty", "LeavesQty", "AvgPx", "OrdStatus", "Price")
            view |= {name: sent.fields[name] for name in names if name in sent.fields}
    return view


@QUICK
@given(STORIES)
def test_ledger_order_and_client_agree_after_any_story(steps: list[Step]) -> None:
    desk = Story(steps).desk
    order = desk.order("A1")
    keys = [(fill.broker, fill.trade_date, fill.exec_id) for fill in desk.fills]
    assert len(keys) == len(set(keys)), "a fill was booked twice"
    live: dict[str, tuple[D, D]] = {}
    for fill in desk.fills:
        live.pop(fill.exec_ref_id, None)
        if fill.kind != "bust":
            live[fill.exec_id] = (fill.last_qty, fill.last_px)
    assert order.cum_qty == sum((qty for qty, _ in live.values()), D(0))
    assert order.notional == sum((qty * px for qty, px in live.values()), D(0))
    truth = {
        "OrderQty": plain(order.order_qty),
        "CumQty": plain(order.cum_qty),
        "LeavesQty": plain(order.leaves_qty),
        "AvgPx": decimal_text(order.avg_px),
        "OrdStatus": ord_status(order),
        "Price": decimal_text(order.price or D(0)),
    }
    view = seen_by_client(desk)
    assert view == {name: truth[name] for name in view}
    desk.replayed()


@QUICK
@given(STORIES)
def test_every_execution_is_told_to_the_client_once_under_its_own_exec_id(steps: list[Step]) -> None:
    desk = Story(steps).desk
    told = Counter(
        out.fields["17"]
        for out in desk.raw
        if out.session == CLIENT and out.msg_type == "8" and out.fields["150"] in "FGH"
    )
    assert told == Counter(fill.client_exec_id for fill in desk.fills)
    exec_ids = [out.fields["17"] for out in desk.raw if out.session == CLIENT and out.msg_type == "8"]
    assert len(exec_ids) == len(set(exec_ids))


@QUICK
@given(STORIES)
def test_a_stream_with_repeats_ends_as_the_stream_without(steps: list[Step]) -> None:
    once = Story([("left_out", *step[1:]) if step[0] == "again" else step for step in steps]).desk
    repeated = Story(steps).desk
    assert repeated.state("A1") == once.state("A1")
    assert repeated.sent == once.sent
    assert [(one.kind, one.exec_id, one.last_qty, one.last_px) for one in repeated.fills] == [
        (one.kind, one.exec_id, one.last_qty, one.last_px) for one in once.fills
    ]
    assert [(item.kind, item.state) for item in repeated.items] == [(item.kind, item.state) for item in once.items]


@st.composite
def shuffled_chains(draw: st.DrawFn) -> tuple[list[list[Step]], list[int], list[int]]:
    """Chains of executions (a fill, then what happened to it), and two interleavings of them."""
    chains: list[list[Step]] = []
    for name in range(draw(st.integers(1, 6))):
        chain: list[Step] = [("F", f"f{name}", "", draw(QTY), draw(PX))]
        for number in range(draw(st.integers(0, 2))):
            chain.append(("G", f"g{name}-{number}", chain[-1][1], draw(QTY), draw(PX)))
        if draw(st.booleans()):
            chain.append(("H", f"h{name}", chain[-1][1], 0, "0"))
        chains.append(chain)
    turns = [name for name, chain in enumerate(chains) for _ in chain]
    return chains, draw(st.permutations(turns)), draw(st.permutations(turns))


@QUICK
@given(shuffled_chains())
def test_the_order_in_which_executions_arrive_does_not_matter(
    story: tuple[list[list[Step]], list[int], list[int]],
) -> None:
    chains, *orders = story
    ends = []
    for turns in orders:
        desk = Desk().working("A1", qty=1000)
        left = [iter(chain) for chain in chains]
        for turn in turns:
            exec_type, exec_id, ref, qty, px = next(left[turn])
            desk.report("A1", exec_type, exec_id=exec_id, exec_ref_id=ref, last_qty=qty, last_px=px)
        order = desk.order("A1")
        ends.append(
            (order.cum_qty, order.leaves_qty, order.avg_px, ord_status(order), {f.exec_id for f in desk.fills})
        )
        assert desk.open_items() == []
    assert ends[0] == ends[1]


# -- clients that ask anything ----------------------------------------------------------------------------------

IDS = st.sampled_from(["A1", "A2", "A3", "B1", "B2", "", "NOPE"])
NUMBERS = st.sampled_from([None, "0", "-1", "1", "100", "150", "100000", "999999999999999.9999999999"])
CLIENTS = st.sampled_from([CLIENT, CLIENT2])
PROBLEMS = st.none() | st.just(m.Problem("Price(44)", "NaN is not a number", "99"))


@st.composite
def client_requests(draw: st.DrawFn) -> tuple[str, m.Body]:
    kind = draw(st.sampled_from("DDFGHUX"))
    cl_ord_id, problem = draw(IDS), draw(PROBLEMS)
    words = {
        "symbol": draw(st.sampled_from(["IBM", "NOPE", ""])),
        "side": draw(st.sampled_from(["1", "Z"])),
        "ord_type": draw(st.sampled_from(["1", "2", "3", "4", "P", ""])),
    }
    body: m.Body
    if kind == "D":
        more = words | {"poss_resend": draw(st.booleans()), "problem": problem, "stop_px": draw(NUMBERS)}
        body = new_order(cl_ord_id, draw(NUMBERS) or 0, draw(NUMBERS), **more)
    elif kind == "F":
        body = m.CancelRequest(cl_ord_id, draw(IDS), (), problem)
    elif kind == "G":
        numbers = [None if text is None else D(text) for text in (draw(NUMBERS), draw(NUMBERS), draw(NUMBERS))]
        body = m.ReplaceRequest(cl_ord_id, draw(IDS), *words.values(), *numbers, (), problem)
    elif kind == "H":
        body = m.StatusRequest(cl_ord_id, ())
    else:
        body = m.Unsupported("E", cl_ord_id) if kind == "U" else m.Unreadable("D", cl_ord_id, "?")
    return draw(CLIENTS), body


@st.composite
def broker_messages(draw: st.DrawFn) -> tuple[str, m.Body]:
    """Anything a broker, or our own outbox about it, may say of the requests there are (by number) or are not."""
    broker = draw(st.sampled_from([BROKER, BROKER, BROKER2]))
    about = f"C00000000{draw(st.sampled_from('123456789ABCDEFGH'))}"
    quantities = {name: draw(NUMBERS) for name in ("last_qty", "last_px", "cum_qty", "order_qty", "price")}
    report = Desk().report_of(
        about, draw(st.sampled_from("03456789ABCDEFGHIZ")),
        exec_id=draw(st.sampled_from(["", "0", "e1", "e2", "e3"])),
        exec_ref_id=draw(st.sampled_from(["", "e1", "e2"])), ord_status=draw(st.sampled_from("01468AE")),
        problem=draw(PROBLEMS), **quantities,
    )  # fmt: skip
    bodies: tuple[m.Body, ...] = (
        report,
        report,
        report,
        m.CancelReject("", about, "", draw(st.sampled_from(["", "0", "1"])), "", ()),
        m.NotSent(1, draw(st.sampled_from("DFGH")), about, "logged out"),
        m.ResendDeclined(about),
        m.InDoubt(1, draw(st.sampled_from("DFGH")), about, "", "35=F\x0111=1\x01"),
        m.MessageReject(3, draw(st.sampled_from(["", "D", "F", "G", "H"])), about, ""),
        m.SessionUp(1, 100),
        m.SessionDown(),
        m.Unsupported("Q", ""),
    )
    return broker, draw(st.sampled_from(bodies))


@QUICK
@given(st.lists(client_requests(), max_size=20), st.sampled_from([(), (BROKER,), (BROKER, BROKER2)]))
def test_every_request_of_a_client_ends_in_exactly_one_message(
    requests: list[tuple[str, m.Body]], down: tuple[str, ...]
) -> None:
    desk = Desk(down=down)
    for session, body in requests:
        sent = desk.event(session, body)
        assert [(one.session in (BROKER, BROKER2)) or one.session == session for one in sent] == [True], body
    desk.replayed()


@QUICK
@given(st.lists(client_requests() | broker_messages() | broker_messages(), max_size=30))
def test_no_sequence_of_messages_stops_the_core_or_breaks_the_sums(events: list[tuple[str, m.Body]]) -> None:
    desk = Desk()
    desk.new("A1")
    desk.new("A2", client=CLIENT2)
    for session, body in events:
        desk.event(session, body)
    keys = [(fill.broker, fill.trade_date, fill.exec_id) for fill in desk.fills]
    assert len(keys) == len(set(keys))
    assert all(fill.exec_id not in ("", "0") for fill in desk.fills)
    desk.replayed()
