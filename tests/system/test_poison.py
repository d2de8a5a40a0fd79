"""Messages that break the gateway's own code: recorded, answered, and never met a second time (I10)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from oms.core import core
from oms.core import messages as m
from oms.fix import decode as decoder
from oms.fix.endpoint import Endpoint
from tests.system.house import House, until
from tests.system.words import fields, new_order, report, shape

MakeHouse = Callable[..., House]
BROKEN = "the gateway could not read this message: ZeroDivisionError: a mistake of ours"


def opened(make_house: MakeHouse) -> House:
    """A gateway with two clients and a broker logged on."""
    house = make_house({"CLIENT1": "4.4", "CLIENT2": "4.2"}, {"BROKER1": "4.4"})
    house.peer("BROKER1")
    house.start()
    house.up("CLIENT1", "CLIENT2", "BROKER1")
    return house


def still_trades(house: House, cl_ord_id: str) -> None:
    """Both clients get an order to the broker."""
    broker = house.peer("BROKER1")
    for client in (house.peer("CLIENT1"), house.peer("CLIENT2")):
        client.send(new_order(f"{cl_ord_id}-{client.name}"))
        asked = broker.expect("D")
        broker.send(report(broker, asked, "0", f"X-{cl_ord_id}-{client.name}"))
        assert client.expect("8", ClOrdID=f"{cl_ord_id}-{client.name}")[39] == "0"


def recorded(house: House) -> list[tuple[str, str, str, str]]:
    """Every exception item: its kind, session, text, and the kind of the journal row that is its evidence."""
    found = house.rows(
        "SELECT i.kind, i.session, i.text, j.kind AS evidence FROM exception_items i JOIN journal j USING (seq)"
        " ORDER BY i.seq"
    )
    return [tuple(row.values()) for row in found]  # type: ignore[misc]


def test_a_message_that_breaks_the_decoder_is_recorded_and_answered_and_both_sides_go_on(
    make_house: MakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = opened(make_house)
    client, broker = house.peer("CLIENT1"), house.peer("BROKER1")
    decode = decoder.decode

    def broken(raw: str, *values: Any, **names: Any) -> Any:
        if "58=POISON" in raw:
            raise ZeroDivisionError("a mistake of ours")
        return decode(raw, *values, **names)

    monkeypatch.setattr(decoder, "decode", broken)
    sent = client.send(new_order("A1", more="58=POISON"))
    answer = [(45, sent[34]), (58, BROKEN), (372, "D"), (379, "A1"), (380, "0")]
    assert fields(client.expect("j")) == answer
    client.send(new_order("A2"))
    asked = broker.expect("D")
    sent = broker.send(report(broker, asked, "F", "X1", cum=40, last=(40, "150"), more="58=POISON"))
    answer = [(45, sent[34]), (58, BROKEN), (372, "8"), (379, asked[11]), (380, "0")]
    assert fields(broker.expect("j")) == answer
    assert recorded(house) == [
        ("unreadable_message", "CLIENT1", BROKEN, "in"),
        ("unreadable_message", "BROKER1", BROKEN, "in"),
    ]
    still_trades(house, "B")
    house.check_chain()


def test_a_message_that_breaks_a_callback_is_recorded_and_answered_and_not_taken_after_a_restart_either(
    make_house: MakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = opened(make_house)
    client, broker = house.peer("CLIENT1"), house.peer("BROKER1")
    received = Endpoint.received

    def broken(self: Endpoint, session: str, raw: str) -> None:
        if "58=POISON" in raw:
            raise ZeroDivisionError("a mistake of ours")
        received(self, session, raw)

    monkeypatch.setattr(Endpoint, "received", broken)
    sent = client.send(new_order("A1", more="58=POISON"))
    assert fields(client.expect("j")) == [(45, sent[34]), (58, BROKEN), (372, "D"), (380, "0")]
    assert recorded(house) == [("unreadable_message", "CLIENT1", BROKEN, "refused")]
    monkeypatch.undo()
    house.stop()
    house.start()
    house.up("CLIENT1", "CLIENT2", "BROKER1")
    until(lambda: house.numbers_agree("CLIENT1"), "sequence numbers agree")
    still_trades(house, "B")
    client.expect_nothing()
    broker.expect_nothing()


def test_a_message_that_breaks_the_core_stops_the_process_once_and_is_refused_at_the_next_start(
    make_house: MakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = opened(make_house)
    client, broker = house.peer("CLIENT1"), house.peer("BROKER1")
    take = core.HANDLERS[m.NewOrder]

    def broken(ctx: Any, seq: int, event: m.Event, body: m.NewOrder) -> None:
        if body.cl_ord_id == "POISON":
            raise ZeroDivisionError("a mistake of ours")
        take(ctx, seq, event, body)

    monkeypatch.setitem(core.HANDLERS, m.NewOrder, broken)
    still_trades(house, "A")
    sent = client.send(new_order("POISON"))
    client.send(new_order("A2"))
    house.join()
    assert isinstance(house.error, ZeroDivisionError)
    poison = house.config.gateway.state_dir / "poison.jsonl"
    assert json.loads(poison.read_text()) == ["CLIENT1", 0, int(sent[34])]

    house.start()
    text = "the gateway could not read this message: ValueError: this message stopped an earlier run"
    assert fields(client.expect("j", 20)) == [(45, sent[34]), (58, text), (372, "D"), (379, "POISON"), (380, "0")]
    asked = broker.expect("D")
    broker.send(report(broker, asked, "0", "X1"))
    assert shape(client.expect("8")) == ("8", "A2", "0", "0", None, "100", "0")
    assert recorded(house) == [("unreadable_message", "CLIENT1", text, "in")]
    house.up("CLIENT1", "CLIENT2", "BROKER1")
    still_trades(house, "B")
    house.check_chain()
