"""An order of each kind under way while something breaks, and what must be true of them when it is mended.

`begin` brings three orders to the broker; `act` sends what is under way when it breaks: a new order, a fill, a cancel
and a replace; `finish` lets all of them end; `check` compares client, ledger and broker: each order at the broker
once, each fill in the ledger once and told once, CumQty(14) equal on three sides (I1, I2, I3).
"""

from __future__ import annotations

from decimal import Decimal

from oms.sim.peer import FixPeer
from oms.sim.wire import Message
from tests.system.house import House
from tests.system.words import cancel, new_order, replace, report, told_fills


class UnderWay:
    """The orders of one breakage; `name` is the beginning of their ids."""

    def __init__(self, house: House, client: FixPeer, broker: FixPeer, name: str) -> None:
        self.house, self.client, self.broker, self.name = house, client, broker, name
        self.asked: dict[str, Message] = {}
        self._before = len(broker.received), len(client.received)

    def id(self, what: str) -> str:
        """ClOrdID(11) of one of the orders, or of a request."""
        return f"{self.name}-{what}"

    def begin(self) -> None:
        """Three orders live at the broker, acknowledged."""
        for what in ("fill", "cancel", "replace"):
            self.client.send(new_order(self.id(what)))
            self.asked[what] = asked = self.broker.expect("D", 20)
            self.broker.send(report(self.broker, asked, "0", self.id(f"N-{what}")))
            self.client.expect("8", 20, ClOrdID=self.id(what), OrdStatus="0")

    def act(self) -> None:
        """What is under way when it breaks."""
        fill = report(self.broker, self.asked["fill"], "F", self.id("X1"), cum=40, last=(40, "150"), avg="150")
        self.client.send(new_order(self.id("new")))
        self.broker.send(fill)
        self.client.send(cancel(self.id("c"), self.id("cancel")))
        self.client.send(replace(self.id("r"), self.id("replace"), 150))

    def nothing_left(self) -> None:
        """Nobody was told anything."""
        self.broker.expect_nothing()
        self.client.expect_nothing()

    def finish(self, seconds: float = 20) -> None:
        """The broker answers everything, and the client hears of it."""
        broker, client = self.broker, self.client
        asked = {kind: broker.expect(kind, seconds) for kind in ("D", "F", "G")}
        broker.send(report(broker, asked["D"], "F", self.id("X2"), cum=100, last=(100, "150"), avg="150"))
        broker.send(report(broker, asked["F"], "4", self.id("C"), leaves=0))
        broker.send(report(broker, asked["G"], "5", self.id("R"), qty=150, ord_status="0"))
        whole = report(broker, self.asked["fill"], "F", self.id("X3"), cum=100, last=(60, "150"), avg="150")
        broker.send(whole)
        client.expect("8", seconds, ClOrdID=self.id("new"), OrdStatus="2")
        client.expect("8", seconds, ClOrdID=self.id("c"), OrdStatus="4")
        client.expect("8", seconds, ClOrdID=self.id("r"), OrderQty="150")
        client.expect("8", seconds, ClOrdID=self.id("fill"), OrdStatus="1")
        client.expect("8", seconds, ClOrdID=self.id("fill"), OrdStatus="2")

    def check(self) -> None:
        """The three sides agree."""
        came = [m for m in self.broker.received[self._before[0] :] if m.type in "DFG"]
        assert sorted(message.type for message in came) == ["D", "D", "D", "D", "F", "G"]
        assert len({message[11] for message in came}) == 6
        kept = self.house.rows(
            "SELECT exec_id, client_exec_id, last_qty FROM fills WHERE exec_id LIKE %s ORDER BY exec_id",
            f"{self.name}-%",
        )
        filled = [("X1", Decimal(40)), ("X2", Decimal(100)), ("X3", Decimal(60))]
        assert [(row["exec_id"], row["last_qty"]) for row in kept] == [(self.id(one), qty) for one, qty in filled]
        told = self.client.received[self._before[1] :]
        assert sorted(told_fills(told)) == sorted((row["client_exec_id"], row["last_qty"]) for row in kept)
        ids = [message[17] for message in told if message.type == "8"]
        assert len(set(ids)) == len(ids)
        quantities = self.house.rows(
            "SELECT original_cl_ord_id AS id, cum_qty FROM client_orders WHERE original_cl_ord_id LIKE %s ORDER BY 1",
            f"{self.name}-%",
        )
        assert [(row["id"], row["cum_qty"]) for row in quantities] == [
            (self.id("cancel"), 0), (self.id("fill"), 100), (self.id("new"), 100), (self.id("replace"), 0),
        ]  # fmt: skip
        assert self.house.items() == []
        assert (self.broker.refused, self.client.refused) == ([], [])
