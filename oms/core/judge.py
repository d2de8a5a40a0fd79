"""Who decides: the live judge asks risk and routing, the recorded judge repeats what the journal says.

Replay must end in the same tables although limits, routes and sessions have changed since, so every decision
that depends on them passes through a judge and is written into the journal row of its event.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, NamedTuple, Protocol

from oms.core.copies import Recalled, Word
from oms.core.exposure import Exposure
from oms.core.kill import POSITION, Kill, covering, reduces
from oms.core.limits import SOFT, LimitBook
from oms.core.messages import Pairs
from oms.core.order import ZERO
from oms.core.risk import BROKER_OPTION, Asked, RiskBook
from oms.core.routing import Routable, refused, route, unknown_fields
from oms.core.terms import Terms

__all__ = ["SOFT", "Judge", "LiveJudge", "RecordedJudge", "Verdict"]


class Verdict(NamedTuple):
    """A decision: accepted and by which route, or refused by which rule with which words."""

    ok: bool
    rule: str = ""
    text: str = ""
    ord_rej_reason: str = ""
    broker: str = ""
    route_rule: str = ""
    detail: Mapping[str, Any] = {}


class Judge(Protocol):
    """What the core asks before it lets risk out. `exposure`: the totals that limits look at, None where none do."""

    exposure: Exposure | None

    def new_order(self, asked: Asked, order: Routable, skip: frozenset[str]) -> Verdict:
        """Whether a new order may go, and to which broker."""

    def replace(self, asked: Asked, broker: str, body: Pairs) -> Verdict:
        """Whether an order may take these terms."""

    def is_up(self, broker: str) -> bool:
        """Whether a broker's session is logged on now."""

    def recall(self, broker: str, trade_date: date, exec_id: str) -> Recalled:
        """What the ledger has of an execution that memory let go."""


class LiveJudge:
    """Risk first, then routing, by the configuration in force."""

    def __init__(
        self,
        terms: Terms,
        is_up: Callable[[str], bool],
        kills: Callable[[], tuple[Kill, ...]] = tuple,
        recall: Callable[[str, date, str], Recalled] = lambda *_: Recalled(None, None),
    ) -> None:
        self._terms = terms
        self._risk = RiskBook(terms)
        self._kills = kills
        self.is_up = is_up
        self._limits = LimitBook(terms.limit_rows)
        self.exposure: Exposure | None = None
        if terms.limit_rows or terms.keep_positions:
            kept = self._limits.projections | ({POSITION} if terms.keep_positions else set())
            self.exposure = Exposure(kept, terms.instruments, repeats=self._limits.repeats)
        self.recall = recall

    def _killed(self, asked: Asked, broker: str = "") -> str:
        """The kill switch in scope, as a reason; '' where there is none. Without a broker: those that name none."""
        engaged = self._kills()
        if not engaged:
            return ""
        kills = [kill for kill in engaged if broker or not kill.of_broker]
        if any(kill.reduce_only for kill in kills) and self._reduces(asked):
            kills = [kill for kill in kills if not kill.reduce_only]
        about = {name: getattr(asked, name) for name in ("client", "account", "symbol", "trader")}
        kill = covering(kills, broker=broker, **about)
        return "" if kill is None else f"{kill.kill_id} is engaged for {kill.text}"

    def _reduces(self, asked: Asked) -> bool:
        """Whether it reduces its position; what cannot be known does not."""
        instrument = self._terms.instruments.get(asked.symbol)
        if self.exposure is None or not self.exposure.keeps(POSITION) or instrument is None or not asked.trade_date:
            return False
        now = self.exposure.totals(POSITION, (asked.account, asked.symbol), instrument.currency, asked.trade_date)
        own = asked.counted.part.open_qty if asked.counted is not None else ZERO
        return reduces(asked.side, asked.order_qty - asked.cum_qty, own, now)

    def _refusal(self, asked: Asked, broker: str = "") -> tuple[Verdict | None, dict[str, Any]]:
        killed = self._killed(asked, broker)
        if killed:
            return Verdict(False, "kill_switch", f"kill_switch: {killed}", BROKER_OPTION), {}
        findings = self._risk.judge(asked)
        detail: dict[str, Any] = {"checks": [[finding.rule, finding.ok, finding.text] for finding in findings]}
        last = findings[-1]
        if last.ok:
            return None, detail
        text = f"{last.rule}: {last.text}"
        return Verdict(False, last.rule, text, last.ord_rej_reason, detail=detail), detail

    def new_order(self, asked: Asked, order: Routable, skip: frozenset[str]) -> Verdict:
        """Risk, then the first rule that matches, then the first of its brokers that can take the order."""
        refusal, detail = self._refusal(asked)
        if refusal is not None:
            return refusal
        if not order.security_exchange:
            order = order._replace(security_exchange=self._terms.instruments[asked.symbol].security_exchange)
        found = route(self._terms, order, self.is_up, skip, lambda broker: self._killed(asked, broker))
        detail["route"] = {"rule": found.rule, "broker": found.broker, "tried": list(found.tried)}
        if not found.broker:
            tried = ", ".join(f"{broker} {why}" for broker, why in found.tried)
            text = f"route: {found.rule}: {tried}" if found.rule else "route: no rule matches this order"
            return Verdict(False, "route", text, BROKER_OPTION, detail=detail)
        refusal = self._limited(asked, found.broker, order.fields, detail)
        if refusal is not None:
            return refusal
        return Verdict(True, broker=found.broker, route_rule=found.rule, detail=detail)

    def replace(self, asked: Asked, broker: str, body: Pairs) -> Verdict:
        """Risk on the terms the order would have, and the broker must be there to take the request."""
        refusal, detail = self._refusal(asked, broker)
        if refusal is not None:
            return refusal
        if not self.is_up(broker):
            text = f"route: {broker} session logged out, the replace did not leave"
            return Verdict(False, "route", text, BROKER_OPTION, detail=detail)
        facts = self._terms.brokers[broker]
        kind = "D" if facts.cancel_new else "G"
        unknown = unknown_fields(facts, kind, frozenset([tag for tag, _ in body])) or refused(facts, kind, body)
        if unknown:
            return Verdict(False, "route", f"route: {broker} {unknown}", BROKER_OPTION, detail=detail)
        return self._limited(asked, broker, body, detail) or Verdict(True, broker=broker, detail=detail)

    def _limited(self, asked: Asked, broker: str, fields: Pairs, detail: dict[str, Any]) -> Verdict | None:
        """The refusal by a limit on a projection, now that the broker is known; None where all are kept."""
        if self.exposure is None:
            return None
        instrument = self._terms.instruments.get(asked.symbol)
        about = {
            "client": asked.client,
            "account": asked.account,
            "trader": asked.trader,
            "symbol": asked.symbol,
            "asset_class": instrument.asset_class if instrument is not None else "",
            "broker": broker,
            "currency": instrument.currency if instrument is not None else "",
        }
        findings = self._limits.judge(asked, about, instrument, fields, self.exposure)
        detail["checks"] += [[finding.rule, finding.ok, finding.text] for finding in findings]
        if not findings or findings[-1].ok:
            return None
        last = findings[-1]
        return Verdict(False, last.rule, f"{last.rule}: {last.text}", last.ord_rej_reason, detail=detail)


class RecordedJudge:
    """Repeats the decision that the journal holds for the event in hand."""

    def __init__(self) -> None:
        self.detail: Mapping[str, Any] = {}
        self.exposure: Exposure | None = None  # what was judged by it is in the journal

    def _verdict(self) -> Verdict:
        found = self.detail.get("verdict", {})
        kept = {key: self.detail[key] for key in ("checks", "route") if key in self.detail}
        return Verdict(
            bool(found.get("ok")),
            found.get("rule", ""),
            found.get("text", ""),
            found.get("ord_rej_reason", ""),
            found.get("broker", ""),
            found.get("route_rule", ""),
            kept,
        )

    def new_order(self, asked: Asked, order: Routable, skip: frozenset[str]) -> Verdict:
        """As it was."""
        return self._verdict()

    def replace(self, asked: Asked, broker: str, body: Pairs) -> Verdict:
        """As it was."""
        return self._verdict()

    def is_up(self, broker: str) -> bool:
        """As it was when a cancel asked; a mass cancel asks about several brokers."""
        up = self.detail.get("brokers_up", {}).get(broker)
        return bool(self.detail.get("broker_up", True) if up is None else up)

    def recall(self, broker: str, trade_date: date, exec_id: str) -> Recalled:
        """As it was."""
        found = self.detail.get("recalled") or (None, None)
        return Recalled(*(None if values is None else Word.of_record(values) for values in found))
