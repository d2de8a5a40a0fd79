"""What the core remembers and forgets: finished orders leave (I11), keys stay, the ledger has the rest."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from oms.core import messages as m
from oms.core.book import Book, number_id
from oms.core.core import Wanted
from tests.core.desk import Desk, new_order
from tests.core.driver import BROKER, CLIENT, DAY, START


@pytest.mark.parametrize(
    ("number", "text"), [(0, "O000000000"), (35, "O00000000Z"), (36, "O000000010"), (36**9 - 1, "OZZZZZZZZZ")]
)
def test_an_id_is_its_number_in_nine_digits_of_base_36(number: int, text: str) -> None:
    assert number_id("O", number) == text


def test_ids_sort_as_their_numbers_do() -> None:
    numbers = [0, 1, 9, 10, 35, 36, 37, 1295, 1296, 46655, 46656, 10**9, 10**12, 10**14]
    ids = [number_id("C", number) for number in numbers]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)


def test_memory_holds_no_finished_order_beyond_those_kept() -> None:
    desk = Desk()
    for number in range(30):
        desk.working(f"A{number}")
        desk.fill(f"A{number}", 100)
        desk.book.evict(5)
    assert len(desk.book.orders) == 5
    for index in (desk.book.by_client_id.named, desk.book.by_broker_id, desk.book.by_broker_order_id.named):
        assert len(index) <= 5


def test_an_order_that_was_opened_again_is_not_forgotten() -> None:
    desk = Desk().working("A1")
    desk.fill("A1", 100)
    desk.replace("R1", "A1", 120)
    desk.report("R1", "5", orig="A1", order_qty=120)
    desk.book.evict(0)
    assert list(desk.book.orders) == [desk.order("A1").order_id]
    desk.fill("R1", 20)
    desk.book.evict(0)
    assert desk.book.orders == {}


def test_an_order_whose_cancel_is_not_answered_is_not_forgotten() -> None:
    desk = Desk().working("A1")
    desk.cancel("C1", "A1")
    desk.fill("A1", 100)
    desk.book.evict(0)
    assert len(desk.book.orders) == 1


def test_an_order_that_left_leaves_none_of_its_ids_behind() -> None:
    desk = Desk().working("A1")
    desk.replace("R1", "A1", 120)
    desk.report("R1", "5", orig="A1", order_qty=120)
    desk.cancel("C1", "R1")
    desk.report("C1", "4", orig="R1")
    desk.book.evict(0)
    assert (desk.book.orders, desk.book.by_client_id.named, desk.book.by_broker_id) == ({}, {}, {})
    assert desk.book.by_broker_order_id.named == {}


def test_an_order_that_comes_back_is_found_under_all_its_ids() -> None:
    desk = Desk().working("A1")
    desk.replace("R1", "A1", 120)
    desk.report("R1", "5", orig="A1", order_qty=120)
    desk.report("R1", "4")
    order = desk.order("A1")
    before = (
        dict(desk.book.by_client_id.named),
        dict(desk.book.by_broker_id),
        dict(desk.book.by_broker_order_id.named),
    )
    desk.book.evict(0)
    desk.book.add(order)
    assert (desk.book.by_client_id.named, desk.book.by_broker_id, desk.book.by_broker_order_id.named) == before


class Ledger:
    """What is committed, and how often it was asked."""

    def __init__(self) -> None:
        self.used: set[tuple[str, date, str]] = set()
        self.asked = 0

    def client_key_used(self, client: str, day: date, cl_ord_id: str) -> bool:
        self.asked += 1
        return (client, day, cl_ord_id) in self.used

    fill_key_used = client_key_used


def test_fill_keys_of_old_trade_dates_leave_memory_and_the_ledger_answers_for_them() -> None:
    ledger = Ledger()
    book = Book(ledger=ledger)
    for number in range(20):
        book.note_fill_key(BROKER, DAY + timedelta(days=number), "f1")
        ledger.used.add((BROKER, DAY + timedelta(days=number), "f1"))
    assert len(book.fill_keys) == 5
    assert book.fill_key_seen(BROKER, DAY + timedelta(days=19), "f1")
    assert ledger.asked == 0
    assert book.fill_key_seen(BROKER, DAY, "f1")
    assert not book.fill_key_seen(BROKER, DAY, "f2")
    assert ledger.asked == 2


def test_a_fill_of_a_trade_date_that_was_forgotten_does_not_hide_those_before_it() -> None:
    ledger = Ledger()
    book = Book(ledger=ledger)
    for number in range(6):
        book.note_fill_key(BROKER, DAY + timedelta(days=number), "f1")
        ledger.used.add((BROKER, DAY + timedelta(days=number), "f1"))
    assert not book.fill_key_seen(BROKER, DAY, "f2")
    book.note_fill_key(BROKER, DAY, "f2")
    assert book.fill_key_seen(BROKER, DAY, "f1")
    assert book.fill_key_seen(BROKER, DAY, "f2")
    assert not book.fill_key_seen(BROKER, DAY, "f3")


def test_after_a_start_the_ledger_is_asked_about_days_that_were_not_loaded_and_about_no_others() -> None:
    ledger = Ledger()
    book = Book(ledger=ledger, keys_from=DAY, client_keys_from=DAY)
    ledger.used = {(BROKER, DAY - timedelta(days=1), "f1"), (CLIENT, DAY - timedelta(days=1), "A1")}
    assert not book.fill_key_seen(BROKER, DAY, "f1")
    assert not book.client_key_seen(CLIENT, DAY, "A1")
    assert ledger.asked == 0
    assert book.fill_key_seen(BROKER, DAY - timedelta(days=1), "f1")
    assert book.client_key_seen(CLIENT, DAY - timedelta(days=1), "A1")


def test_without_a_ledger_to_ask_no_key_is_forgotten() -> None:
    book = Book(keep_ids=10)
    for number in range(100):
        book.note_client_key(CLIENT, DAY, f"A{number}")
        book.note_fill_key(BROKER, DAY + timedelta(days=number), "f1")
    assert all(book.client_key_seen(CLIENT, DAY, f"A{number}") for number in range(100))
    assert all(book.fill_key_seen(BROKER, DAY + timedelta(days=number), "f1") for number in range(100))


def test_ids_of_the_day_that_left_memory_are_still_known_and_new_ones_hardly_ever_cost_a_question() -> None:
    ledger = Ledger()
    book = Book(ledger=ledger, keep_ids=100)
    used = [f"A{number}" for number in range(60_000)]
    for cl_ord_id in used:
        assert not book.client_key_seen(CLIENT, DAY, cl_ord_id)
        book.note_client_key(CLIENT, DAY, cl_ord_id)
        ledger.used.add((CLIENT, DAY, cl_ord_id))
    asked_about_new_ones, ledger.asked = ledger.asked, 0
    assert all(book.client_key_seen(CLIENT, DAY, cl_ord_id) for cl_ord_id in used)
    assert ledger.asked >= len(used) - 200  # those that are not kept as they are
    assert asked_about_new_ones < 200
    assert len(list(book.client_keys[CLIENT])) <= 200
    assert len(book.client_keys[CLIENT]) == 60_000


def test_cl_ord_ids_of_yesterday_are_forgotten() -> None:
    book = Book()
    book.note_client_key(CLIENT, DAY, "A1")
    assert book.client_key_seen(CLIENT, DAY, "A1")
    assert not book.client_key_seen("CLIENT2", DAY, "A1")
    assert not book.client_key_seen(CLIENT, DAY + timedelta(days=1), "A1")
    assert len(book.client_keys[CLIENT]) == 0


# -- what must be looked for in the ledger ----------------------------------------------------------------------


def wanted(desk: Desk, session: str, body: m.Body) -> Wanted | None:
    return desk.core.missing(m.Event(session, 1, START, DAY, body))


def test_a_request_for_an_order_in_memory_needs_nothing_from_the_ledger(desk: Desk) -> None:
    desk.working("A1")
    desk.cancel("C1", "A1")
    broker_id = desk.to_broker("C1")
    bodies = [
        (CLIENT, new_order("A2")),
        (CLIENT, new_order("A1", poss_resend=True)),
        (CLIENT, m.CancelRequest("C2", "A1", ())),
        (CLIENT, m.StatusRequest("A1", ())),
        (BROKER, desk.report_of("A1", "0")),
        (BROKER, desk.report_of("NOPE", "0", orig="A1")),
        (BROKER, desk.report_of("NOPE", "0", order_id="B-1")),
        (BROKER, m.CancelReject("B-1", broker_id, "", "0", "", ())),
        (BROKER, m.NotSent(1, "F", broker_id, "")),
        (BROKER, m.ResendDeclined(broker_id)),
        (BROKER, m.MessageReject(1, "F", broker_id, "")),
        (BROKER, m.MessageReject(1, "F", "", "")),
        (BROKER, m.SessionDown()),
        (BROKER, m.Unsupported("Z", "A9")),
    ]
    assert [wanted(desk, session, body) for session, body in bodies] == [None] * len(bodies)


def test_an_id_that_memory_does_not_know_is_looked_for_in_the_ledger(desk: Desk) -> None:
    report = desk.report_of("C9", "0", orig="C8", order_id="B-9")
    replace = m.ReplaceRequest("R9", "A9", "IBM", "1", "2", None, None, None, (), None)
    assert [
        wanted(desk, CLIENT, new_order("A9", poss_resend=True)),
        wanted(desk, CLIENT, m.CancelRequest("C2", "A9", ())),
        wanted(desk, CLIENT, replace),
        wanted(desk, CLIENT, m.StatusRequest("A9", ())),
        wanted(desk, BROKER, report),
        wanted(desk, BROKER, m.CancelReject("B-9", "C9", "", "0", "", ())),
        wanted(desk, BROKER, m.NotSent(1, "F", "C9", "")),
        wanted(desk, BROKER, m.ResendDeclined("C9")),
        wanted(desk, BROKER, m.MessageReject(1, "F", "C9", "")),
    ] == [
        *[Wanted("client", CLIENT, ("A9",))] * 4,
        Wanted("broker", BROKER, ("C9", "C8"), "B-9"),
        *[Wanted("broker", BROKER, ("C9",))] * 4,
    ]


def test_an_order_id_that_a_broker_used_again_stays_with_the_newer_order_when_the_older_one_leaves() -> None:
    desk = Desk()
    desk.new("A1")
    desk.new("A2")
    for one in ("A1", "A2"):
        desk.report(one, "0", order_id="B-SAME")
    older, newer = desk.order("A1"), desk.order("A2")
    desk.book.forget(older)
    assert desk.book.by_broker_order_id.newest(BROKER, "B-SAME") == (newer, newer.children[0])


def test_a_report_under_an_id_of_ours_that_left_memory_is_looked_for_although_its_order_id_is_known() -> None:
    desk = Desk()
    desk.new("A1")
    desk.new("A2")
    for one in ("A1", "A2"):
        desk.report(one, "0", order_id="B-SAME")
    older = desk.order("A1")
    gone = older.children[0].child_id
    report = desk.report_of("A1", "F", order_id="B-SAME", last_qty=1, last_px=10)
    desk.book.forget(older)
    event = m.Event(BROKER, 0, START, DAY, report)
    assert desk.core.missing(event) == Wanted("broker", BROKER, (gone,), "")
