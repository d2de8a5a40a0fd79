"""Operators and exception items: taken up, noted, resolved through the running gateway, and all of it journaled."""

from __future__ import annotations

import getpass
from collections.abc import Callable

from oms.ledger.database import engine as ledger_engine
from oms.ledger.replay import verify_tables
from tests.system.commands import answer, said
from tests.system.house import House
from tests.system.words import new_order, report

ME = getpass.getuser()


def with_an_item(house: House) -> str:
    """A house in which a broker has told of a fill of an order that nobody knows; returns the item's id."""
    house.start()
    client, broker = house.up("CLIENT1", "BROKER1")
    client.send(new_order("A1"))
    asked = broker.expect("D")
    text = report(broker, asked, "F", "X1", last=(40, "150.00"), cum=40)
    broker.send(text.replace(f"|11={asked[11]}", "|11=STRANGER"))
    return str(house.until("SELECT item_id FROM exception_items")[0]["item_id"])


def test_an_item_is_taken_noted_and_resolved_with_a_name_and_a_reason_and_its_history_tells_so(
    make_house: Callable[..., House],
) -> None:
    house = make_house()
    item = with_an_item(house)
    assert said(house, "exceptions take", item)[1].startswith(f"{item} is taken (journal row ")
    answer(house, "exceptions note", item, "--reason", "asked the broker")
    done = answer(house, "exceptions resolve", item, "--reason", "the broker busts it tomorrow")
    story = answer(house, "exceptions show", item)
    kept = {name: story["item"][name] for name in ("owner", "state", "resolution")}
    assert kept == {"owner": ME, "state": "resolved", "resolution": f"{ME}: the broker busts it tomorrow"}
    commands = [one["detail"]["matter"] for one in story["history"]]
    history = [([who, verb], dict(args).get("text")) for who, verb, args in commands]
    assert history == [
        ([ME, "exceptions.take"], None),
        ([ME, "exceptions.note"], "asked the broker"),
        ([ME, "exceptions.resolve"], "the broker busts it tomorrow"),
    ]
    assert story["history"][-1]["seq"] == done["journal_seq"]
    assert said(house, "exceptions list") == (0, "No open exception items.\n")
    assert "the broker busts it tomorrow" in said(house, "exceptions show", item)[1]
    house.stop()
    house.check_chain()
    made = ledger_engine(house.url, read_only=True)
    try:
        assert verify_tables(made).differences == []
    finally:
        made.dispose()


def test_what_cannot_be_done_to_an_item_is_refused_with_the_remedy_and_leaves_no_trace(
    make_house: Callable[..., House],
) -> None:
    house = make_house()
    item = with_an_item(house)
    assert said(house, "exceptions take", "X999") == (
        2,
        "oms: there is no exception item X999; `oms exceptions list --all` shows them\n",
    )
    assert said(house, "exceptions resolve", item, "--reason", "  ") == (2, "oms: say why: --reason TEXT\n")
    answer(house, "exceptions resolve", item, "--reason", "done")
    assert said(house, "exceptions resolve", item, "--reason", "again") == (
        2,
        f"oms: {item} is resolved already: {ME}: done; `oms exceptions note` adds to it\n",
    )
    house.stop()
    code, text = said(house, "exceptions note", item, "--reason", "too late")
    assert (code, text.startswith("oms: no gateway listens on ")) == (2, True)
    assert len(house.rows("SELECT FROM journal WHERE kind = 'operator' AND msg_type !~ '^access'")) == 1
