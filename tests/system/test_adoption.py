"""An order that only the broker knows, adopted: seen, filled, canceled by an operator; through real sessions."""

from __future__ import annotations

from collections.abc import Callable

from oms.ledger.database import engine as ledger_engine
from oms.ledger.replay import verify_tables
from oms.sim.peer import FixPeer
from oms.sim.wire import Message
from tests.system.commands import answer, said
from tests.system.house import House
from tests.system.words import new_order, report

ADOPT = {"status_requests = true": 'status_requests = true\nunknown_orders = "adopt"'}
VOICE = {11: "VOICE1", 38: "100", 54: "1", 44: "150.00"}


def says(broker: FixPeer, exec_type: str, exec_id: str, cum: int = 0, last: int = 0) -> None:
    """The broker reports on the order that it took by voice."""
    fill = (last, "150") if last else None
    text = report(broker, VOICE, exec_type, exec_id, cum=cum, last=fill, avg="150", more="40=2|1=FUND1")  # type: ignore[arg-type]
    broker.send(text)


def test_an_adopted_order_is_listed_filled_over_a_start_and_canceled_by_its_own_wire_ids(
    make_house: Callable[..., House],
) -> None:
    house = make_house(dialect=ADOPT)
    house.peer("BROKER1")
    house.start()
    client, broker = house.up("CLIENT1", "BROKER1")
    says(broker, "0", "N1")
    house.until("SELECT FROM client_orders WHERE life = 'working'")
    says(broker, "F", "F1", cum=40, last=40)
    house.until("SELECT FROM client_orders WHERE cum_qty = 40")
    (order,) = answer(house, "orders list", "--live")
    assert (order["client"], order["cl_ord_id"], order["symbol"], order["account"]) == ("", "VOICE1", "AAPL", "FUND1")
    assert said(house, "reconcile list")[0] == 0
    house.stop()

    house.start()
    house.up("CLIENT1", "BROKER1")
    says(broker, "F", "F2", cum=60, last=20)
    house.until("SELECT FROM client_orders WHERE cum_qty = 60")
    told = answer(house, "orders cancel", order["order_id"], "--reason", "nobody gave it")
    asked = broker.expect("F")
    assert (asked[41], asked[37], asked[11], asked[55], asked[54]) == (
        "VOICE1", "B-VOICE1", told["cl_ord_id"], "AAPL", "1",
    )  # fmt: skip
    code, text = said(house, "orders cancel", order["order_id"], "--reason", "again")
    assert (code, "a cancel of" in text and "is under way already" in text) == (2, True)
    broker.send(canceled(broker, asked))
    house.until("SELECT FROM client_orders WHERE life = 'canceled' AND finished")
    code, text = said(house, "orders cancel", order["order_id"], "--reason", "again")
    assert (code, text) == (2, f"oms: {order['order_id']} is not alive any more, it is canceled; nothing was sent\n")

    client.send(new_order("A1"))
    assert broker.expect("D")[38] == "100"
    assert [one.type for one in client.untaken if one.type in "89"] == []
    assert [one.type for one in broker.untaken if one.type == "Q"] == []
    fills = house.rows("SELECT order_id, last_qty FROM fills ORDER BY seq")
    assert [(row["order_id"], row["last_qty"]) for row in fills] == [(order["order_id"], 40), (order["order_id"], 20)]
    assert house.items() == [("adopted_order", "warning", "BROKER1")]
    code, text = said(house, "orders explain", "VOICE1")
    assert (code, "of no client, adopted" in text) == (0, True)
    house.check_chain()
    made = ledger_engine(house.url, read_only=True)
    try:
        assert verify_tables(made).differences == []
    finally:
        made.dispose()


def canceled(broker: FixPeer, asked: Message) -> str:
    """The broker cancels the rest."""
    return report(broker, asked, "4", "C1", cum=60, leaves=0, avg="150", order_id="B-VOICE1")
