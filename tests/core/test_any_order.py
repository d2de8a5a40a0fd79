"""Any order of arrival: a broker's reports overtake one another, come again and come late, and all agree in the end.

A day is drawn first: an order, replaces and cancels with their outcomes, executions, corrections, busts, an end. Its
reports are then delivered in another order, some twice; only what the client asks keeps its place, and no report of
a request comes before it. A restart may fall anywhere: the book is made again from what the ledger has. `Day` knows
what is true without asking the gateway. The rules for what no order of arrival can tell are in the tests' names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from decimal import ROUND_HALF_EVEN
from decimal import Decimal as D
from typing import Any, NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oms.core import executions
from oms.core.order import decimal_text
from tests.core.desk import Desk
from tests.core.driver import BROKER, CLIENT, START
from tests.core.rebuilt import restart

QTY = st.integers(1, 40)
PX = st.sampled_from(["10", "10.5", "9.99", "11.25", "10.125"])
TICKS = st.sampled_from(["10", "9.99", "11.25"])
ANY = settings(
    max_examples=400, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


class Told(NamedTuple):
    """One message of the broker: the request it is about, what it says, and its place in the day."""

    about: str
    exec_type: str  # 9: an OrderCancelReject(9)
    fields: dict[str, Any]


class Asked(NamedTuple):
    """One request of the client: 'G' with the terms it wants, or 'F'."""

    kind: str
    cl_ord_id: str
    qty: int = 0
    px: str = ""


class Day:
    """What is true at the broker, told as it happens."""

    def __init__(self, sloppy: bool = False) -> None:
        self.events: list[Told | Asked] = []
        self.ids, self.accepted, self.ended, self.sloppy = ["A1"], "A1", "", sloppy
        self.qty, self.px = D(1000), D(10)
        self.fills: dict[str, tuple[str, D, D]] = {}  # first ExecID -> the latest, quantity, price
        self.number = 0

    @property
    def cum(self) -> D:
        return sum((qty for _, qty, _ in self.fills.values()), D(0))

    def tell(self, exec_type: str, about: str = "", **fields: Any) -> str:
        self.number += 1
        exec_id = f"x{self.number}"
        at = START + timedelta(seconds=self.number)
        told = {"exec_id": exec_id, "cum_qty": self.cum, "transact_time": at, **fields}
        self.events.append(Told(about or self.accepted, exec_type, told))
        return exec_id

    def fill(self, qty: int, px: str, pick: int = 0) -> None:
        exec_id = f"x{self.number + 1}"
        self.fills[exec_id] = (exec_id, D(qty), D(px))
        about = self.ids[pick % len(self.ids)]  # under whichever id of the chain
        self.tell("F", about, last_qty=qty, last_px=px, ord_status="2" if self.cum >= self.qty else "1")

    def correct(self, pick: int, qty: int, px: str) -> None:
        if self.fills:
            first = list(self.fills)[pick % len(self.fills)]
            ref = first if self.sloppy else self.fills[first][0]
            self.fills[first] = (f"x{self.number + 1}", D(qty), D(px))
            self.tell("G", exec_ref_id=ref, last_qty=qty, last_px=px)

    def bust(self, pick: int) -> None:
        if self.fills:
            first = list(self.fills)[pick % len(self.fills)]
            ref = first if self.sloppy else self.fills[first][0]
            del self.fills[first]
            self.tell("H", exec_ref_id=ref, last_qty=0, last_px=0)

    def ask(self, kind: str, qty: int = 0, px: str = "") -> str:
        name = f"{kind}{len(self.events)}"
        self.events.append(Asked(kind, name, qty, px))
        return name

    def replace(self, qty: int, px: str, pending: bool, agreed: bool) -> None:
        name = self.ask("G", qty, px)
        if pending:
            self.tell("E", name, ord_status="E")
        if not agreed:
            self.events.append(Told(name, "9", {}))
            return
        self.qty, self.px = D(qty), D(px)
        self.tell("5", name, orig=self.accepted, order_qty=qty, price=px)
        self.ids.append(name)
        self.accepted = name

    def cancel(self, pending: bool, agreed: bool) -> None:
        name = self.ask("F")
        if pending:
            self.tell("6", name, ord_status="6")
        if agreed:
            self.ended = "4"
            self.tell("4", name, orig=self.accepted, ord_status="4")
        else:
            self.events.append(Told(name, "9", {}))

    def end(self, how: str) -> None:
        if self.ended or how == "":
            return
        if how == "2":
            self.fill(int(self.qty - self.cum), "10")
            return
        if how in ("cancel", "pending cancel"):
            self.cancel(how != "cancel", True)
            return
        self.ended = how
        self.tell(how, ord_status=how)

    def view(self) -> dict[str, str]:
        """What the client must know at the end."""
        cum = self.cum
        money = sum((qty * px for _, qty, px in self.fills.values()), D(0))
        avg = (money / cum).quantize(D("0.00000001"), ROUND_HALF_EVEN) if cum else D(0)
        status = "2" if cum and cum >= self.qty else self.ended or ("1" if cum else "0")
        leaves = D(0) if self.ended else self.qty - cum
        numbers = {"OrderQty": self.qty, "CumQty": cum, "LeavesQty": leaves, "AvgPx": avg, "Price": self.px}
        return {"OrdStatus": status} | {name: decimal_text(value) for name, value in numbers.items()}


STEPS = (
    st.tuples(st.just("fill"), QTY, PX, st.integers(0, 3))
    | st.tuples(st.just("fill"), QTY, PX, st.integers(0, 3))
    | st.tuples(st.just("correct"), st.integers(0, 9), QTY, PX)
    | st.tuples(st.just("bust"), st.integers(0, 9))
    | st.tuples(st.just("replace"), st.integers(400, 1500), TICKS, st.booleans(), st.booleans())
    | st.tuples(st.just("cancel"), st.booleans(), st.just(False))
)
ENDS = st.sampled_from(["", "", "2", "4", "C", "cancel", "pending cancel"])


@st.composite
def days(draw: st.DrawFn, sloppy: bool = False) -> tuple[Day, list[Told | Asked]]:
    """A day, and its events as they arrive: delayed, some twice."""
    day = Day(sloppy)
    if draw(st.booleans()):
        day.tell("A", ord_status="A")
    day.tell("0", ord_status="0")
    for name, *given_ in draw(st.lists(STEPS, max_size=9)):
        getattr(day, name)(*given_)
    day.end(draw(ENDS))
    arriving: list[tuple[int, Told | Asked]] = []
    for at, event in enumerate(day.events):
        if isinstance(event, Asked):
            arriving.append((at, event))
            continue
        for _ in range(draw(st.sampled_from([1, 1, 1, 2]))):
            arriving.append((at + draw(st.integers(0, 12)), event))
    return day, [event for _, event in sorted(arriving, key=lambda one: one[0])]


def deliver(desk: Desk, event: Told | Asked) -> None:
    if isinstance(event, Asked):
        orig = desk.order("A1").cl_ord_id  # the last the client was told of
        sent = desk.cancel(event.cl_ord_id, orig) if event.kind == "F" else None
        sent = sent or desk.replace(event.cl_ord_id, orig, event.qty, event.px)
        assert [one.session for one in sent] == [BROKER], "the gateway refused what the day has as asked"
    elif event.exec_type == "9":
        desk.refuse(event.about)
    else:
        desk.report(event.about, event.exec_type, **event.fields)


def delivered(events: Iterable[Told | Asked], restart_at: int | None = None) -> Desk:
    desk = Desk()
    desk.new("A1", qty=1000)
    for at, event in enumerate(events):
        if at == restart_at:
            restart(desk)
        deliver(desk, event)
    return desk


def last_told(desk: Desk) -> dict[str, str]:
    """What the client knows from the last report, and the status from a reject after it."""
    view: dict[str, str] = {}
    names = ("OrderQty", "CumQty", "LeavesQty", "AvgPx", "OrdStatus", "Price")
    for sent in desk.sent:
        if sent.session == CLIENT:
            view |= {name: sent.fields[name] for name in names if name in sent.fields}
    return view


def exec_ids_told(desk: Desk) -> Counter[str]:
    reports = [out for out in desk.raw if out.session == CLIENT and out.msg_type == "8"]
    return Counter(out.fields["17"] for out in reports if out.fields["150"] in "FGH")


def check(desk: Desk, day: Day) -> None:
    """Ledger, order and client have what is true; nothing is open."""
    order = desk.order("A1")
    assert last_told(desk) == day.view()
    assert order.cl_ord_id == day.accepted
    assert not order.pending_requests
    assert order.cum_qty == day.cum
    assert order.notional == sum((qty * px for _, qty, px in day.fills.values()), D(0))
    booked = Counter(fill.exec_id for fill in desk.fills)
    executions = [one for one in day.events if isinstance(one, Told) and one.exec_type in "FGH"]
    assert booked == Counter(one.fields["exec_id"] for one in executions)
    assert desk.open_items() == []


@ANY
@given(days())
def test_whatever_the_order_of_arrival_ledger_and_client_have_what_is_true(
    story: tuple[Day, list[Told | Asked]],
) -> None:
    day, arriving = story
    desk = delivered(arriving)
    check(desk, day)
    assert exec_ids_told(desk) == Counter(fill.client_exec_id for fill in desk.fills)
    desk.replayed()


@ANY
@given(days(), st.integers(0, 30))
def test_a_restart_at_any_moment_changes_nothing(story: tuple[Day, list[Told | Asked]], at: int) -> None:
    day, arriving = story
    at %= len(arriving)
    desk, straight = delivered(arriving, at), delivered(arriving)
    check(desk, day)
    assert desk.raw == straight.raw
    assert desk.fills == straight.fills
    assert desk.items == straight.items


@ANY
@given(days(sloppy=True))
def test_corrections_that_all_name_the_first_exec_id_count_in_order_of_their_transact_time(
    story: tuple[Day, list[Told | Asked]],
) -> None:
    """One that was overtaken by a later one is in the ledger, and not told: the client has the later one."""
    day, arriving = story
    desk = delivered(arriving)
    check(desk, day)
    told, booked = exec_ids_told(desk), Counter(fill.client_exec_id for fill in desk.fills)
    overtaken = [detail["overtaken"] for detail in desk.details if "overtaken" in detail]
    assert told <= booked
    assert (booked - told).total() >= len(overtaken)
    desk.replayed()
    restart(desk)


def in_pieces() -> executions.Told:
    """The broker's totals as they are kept once a step did not follow the one before."""
    told = executions.Told()
    told._in_pieces()
    return told


TOTALS = st.sampled_from([D(n) for n in (0, 10, 20, 30, 60)])


@ANY
@given(st.lists(st.tuples(TOTALS, st.one_of(st.none(), TOTALS)), max_size=12))
def test_steps_that_follow_one_another_say_the_same_as_pieces_of_a_path(told: list[tuple[D, D | None]]) -> None:
    """A step from one total to another, or a total alone; after each, all that is asked of either."""
    short, long = executions.Told(), in_pieces()
    for first, after in told:
        for one in (short, long):
            one.total(first) if after is None else one.step(first, after)
        for asked in map(D, (0, 10, 20, 30, 60)):
            assert short.agrees(asked) == long.agrees(asked)
            assert short.leads_to(asked) == long.leads_to(asked)
        assert short.unreached == long.unreached
