"""The desk with a clock that looks: rounds of questions to brokers, and brokers that adopt."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from oms.core import messages as m
from oms.core.rounds import Rounds
from tests.core.desk import Desk
from tests.core.driver import BROKER, Sent
from tests.core.terms import BROKERS, TERMS


def terms_with(**facts: Any) -> Any:
    """The terms of the tests, and BROKER1 with other facts."""
    return TERMS._replace(brokers=BROKERS | {BROKER: BROKERS[BROKER]._replace(**facts)})


class RoundsDesk(Desk):
    """The desk; `look` lets time pass and applies what is due, as the flow does."""

    def __init__(self, **facts: Any) -> None:
        super().__init__(terms_with(**facts))
        self.rounds = Rounds(self.book, self.core.brokers)

    def look(self, seconds: float = 1) -> list[Sent]:
        """What leaves because of the steps that are due after some seconds."""
        self.now += timedelta(seconds=seconds)
        sent: list[Sent] = []
        for broker, step in self.rounds.look(self.now):
            sent += self.event(broker, step)
        return sent

    def begin(self) -> list[Sent]:
        """BROKER1 logs on; what leaves until the first questions are out."""
        sent = self.up()
        sent += self.look(2)
        return sent + self.look(1)

    def status_of(self, cl_ord_id: str, ord_status: str, **more: Any) -> list[Sent]:
        """BROKER1's answer about an order, with the quantities that the ledger has where none are given."""
        return self.report(cl_ord_id, "I", exec_id="0", ord_status=ord_status, **more)

    def verdict(self) -> Any:
        """What the journal has of the comparison in the last event."""
        return self.details[-1].get("reconcile")

    def summary(self) -> dict[str, Any]:
        """What the journal has of the round that ended last."""
        found = [one["reconcile"] for one in self.details if "ended" in one.get("reconcile", {})]
        return {name: value for name, value in found[-1].items() if name not in ("source", "about")}


def end_of(desk: RoundsDesk) -> dict[str, Any]:
    """End the round by its time, and return its summary."""
    desk.look(1)
    desk.look(30)
    return desk.summary()


def rejected(text: str = "no such message", msg_type: str = "AF", cl_ord_id: str = "") -> m.MessageReject:
    """A broker would not take a message of ours."""
    return m.MessageReject(7, msg_type, cl_ord_id, text)


def asked(sent: list[Sent]) -> list[tuple[str, str, str]]:
    """Where to, MsgType(35), and which order."""
    return [(one.session, one.msg_type, one.fields.get("ClOrdID", "")) for one in sent]
