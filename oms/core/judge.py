"""Who decides: the live judge asks risk and routing, the recorded judge repeats what the journal says.

Replay must end in the same tables although limits, routes and sessions have changed since, so every decision
that depends on them passes through a judge and is written into the journal row of its event.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from datetime import date, datetime
from typing import Any, NamedTuple, Protocol

from oms.core import replace_discipline
from oms.core.breaker_live import BreakerSide, RecordedBreakers
from oms.core.breaker_rules import PREFIX as BROKEN
from oms.core.copies import Recalled, Word
from oms.core.exposure import Exposure
from oms.core.kill import POSITION, Kill, covering, reduces
from oms.core.limits import SOFT, LimitBook
from oms.core.messages import Pairs, Prices, PriceSource
from oms.core.order import ZERO, Order
from oms.core.prices import Facts, PriceBook
from oms.core.risk import BROKER_OPTION, Asked, RiskBook
from oms.core.routing import Routable, refused, route, unknown_fields
from oms.core.terms import BrokerFacts, Limit, LimitRule, RouteRule, Terms

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


class Prepared(NamedTuple):
    """Other limits, ready to be judged by. `exposure`: the present one where it has all that they look at."""

    sha256: str
    terms: Terms
    risk: RiskBook
    limits: LimitBook
    exposure: Exposure | None


class Judge(Protocol):
    """What the core asks before it lets risk out. `exposure`: the totals that limits look at, None where none do."""

    exposure: Exposure | None
    breakers: BreakerSide | None  # None where no rule and none open

    def new_order(self, asked: Asked, order: Routable, skip: frozenset[str]) -> Verdict:
        """Whether a new order may go, and to which broker."""

    def replace(self, asked: Asked, broker: str, body: Pairs) -> Verdict:
        """Whether an order may take these terms."""

    def undisciplined(self, order: Order, asked: Asked, broker: str) -> Verdict | None:
        """The refusal of a replace that comes too soon or moves too little; None where it may be judged."""

    def is_up(self, broker: str) -> bool:
        """Whether a broker's session is logged on now."""

    def priced(self, seq: int, now: datetime, msg: Prices, accept: bool) -> Facts:
        """Which prices are taken, held and refused, and the exception items that follow."""

    def price_source(self, seq: int, msg: PriceSource) -> Facts:
        """The exception item that a source's state opens or closes."""

    def recall(self, broker: str, trade_date: date, exec_id: str) -> Recalled:
        """What the ledger has of an execution that memory let go."""

    def take_limits(self, sha256: str) -> None:
        """From now on judge by the limits that were prepared under this hash."""


class LiveJudge:
    """Risk first, then routing, by the configuration in force."""

    def __init__(
        self,
        terms: Terms,
        is_up: Callable[[str], bool],
        kills: Callable[[], tuple[Kill, ...]] = tuple,
        recall: Callable[[str, date, str], Recalled] = lambda *_: Recalled(None, None),
        trading: Callable[[], bool] | None = None,
    ) -> None:
        """`trading`: whether trading is switched on now; where it is not given, what the terms say."""
        self._terms = terms
        self._risk = RiskBook(terms, trading)
        self._kills = kills
        self.is_up = is_up
        self._trading = trading
        self._limits = LimitBook(terms.limit_rows)
        self.exposure: Exposure | None = _exposure(terms, self._limits)
        self.prepared: Prepared | None = None  # what the next command to change the limits is about
        self.recall = recall
        self.breakers: BreakerSide | None = None  # set by who makes the gateway, as is the next
        self.prices = PriceBook(dict(terms.instruments))  # set likewise, where prices come while it runs
        self.drained: Callable[[], Container[str]] = frozenset  # sessions that no new risk is taken from or given to

    def prepare(self, sha256: str, limits: tuple[LimitRule, ...], rows: tuple[Limit, ...], need: bool) -> Prepared:
        """Other limits made ready, from any thread; `need`: each order needs a row. Totals that are new are empty."""
        terms = self._terms._replace(limits=limits, limit_rows=rows, require_row=need)
        book, now = LimitBook(rows), self.exposure
        made = _exposure(terms, book)
        if made is not None and now is not None and now.covers(made):
            made = now
        return Prepared(sha256, terms, RiskBook(terms, self._trading), book, made)

    @property
    def routes(self) -> tuple[RouteRule, ...]:
        """The route rules in force."""
        return self._terms.routes

    def take_brokers(self, brokers: Mapping[str, BrokerFacts], routes: tuple[RouteRule, ...]) -> None:
        """Brokers that come while others trade, and the routes from now on."""
        self._terms = self._terms._replace(brokers={**self._terms.brokers, **brokers}, routes=routes)

    def take_limits(self, sha256: str) -> None:
        """Those prepared; nothing where others are, because then somebody has prepared again."""
        if (made := self.prepared) is None or made.sha256 != sha256:
            return
        if made.exposure is not None and self.exposure is not None:
            made.exposure.take_over(self.exposure)
        self._terms = made.terms._replace(brokers=self._terms.brokers, routes=self._terms.routes)
        self._risk, self._limits, self.exposure = made.risk, made.limits, made.exposure
        self.prepared = None

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

    def _broken(self, asked: Asked, broker: str, *, probe: bool) -> str:
        """The circuit breaker that stops it, as a reason; '' where none does, or it adds no risk."""
        if self.breakers is None or not asked.adds_risk:
            return ""
        why = self.breakers.refusal((asked.client, asked.account, asked.symbol, broker), probe)
        return f"{BROKEN}: {why}" if why else ""

    def _barred(self, asked: Asked, broker: str) -> str:
        """Why routing must pass a broker over, '' where it need not."""
        drained = "is drained" if broker in self.drained() else ""
        return self._killed(asked, broker) or drained or self._broken(asked, broker, probe=True)

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
        drained = self.drained()
        if asked.adds_risk and (asked.client in drained or broker in drained):
            name = asked.client if asked.client in drained else broker
            return Verdict(False, "drain", f"drain: {name} is drained, no new risk is taken", BROKER_OPTION), {}
        broken = self._broken(asked, broker, probe=not broker)
        if broken:
            return Verdict(False, BROKEN, broken, BROKER_OPTION), {}
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
        found = route(self._terms, order, self.is_up, skip, lambda broker: self._barred(asked, broker))
        detail["route"] = {"rule": found.rule, "broker": found.broker, "tried": list(found.tried)}
        if not found.broker and any(why.startswith(BROKEN) for _, why in found.tried):
            reasons = [why if why.startswith(BROKEN) else f"{broker} {why}" for broker, why in found.tried]
            text = f"{BROKEN}: " + "; ".join(why.removeprefix(f"{BROKEN}: ") for why in reasons)
            return Verdict(False, BROKEN, text, BROKER_OPTION, detail=detail)
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

    def undisciplined(self, order: Order, asked: Asked, broker: str) -> Verdict | None:
        """By the first rule of the replace discipline that matches the order."""
        rules = self._terms.replace_rules
        rule = replace_discipline.rule_for(rules, order, broker) if rules else None
        if rule is None or asked.at is None:
            return None
        wanted = replace_discipline.Wanted(asked.order_qty, asked.price, asked.stop_px, asked.at)
        found = replace_discipline.breach(rule, order, wanted, self._terms.instruments)
        return None if found is None else Verdict(False, found.check, f"{found.check}: {found.text}", BROKER_OPTION)

    def priced(self, seq: int, now: datetime, msg: Prices, accept: bool) -> Facts:
        """By the prices in use now."""
        return self.prices.take(seq, now, msg, accept)

    def price_source(self, seq: int, msg: PriceSource) -> Facts:
        """By what is known of the source."""
        return self.prices.told(seq, msg)

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
            "ord_type": asked.ord_type,
        }
        findings = self._limits.judge(asked, about, instrument, fields, self.exposure)
        detail["checks"] += [[finding.rule, finding.ok, finding.text] for finding in findings]
        if not findings or findings[-1].ok:
            return None
        last = findings[-1]
        return Verdict(False, last.rule, f"{last.rule}: {last.text}", last.ord_rej_reason, detail=detail)


def _exposure(terms: Terms, limits: LimitBook) -> Exposure | None:
    """Totals of all that these limits look at, empty; None where they look at none."""
    if not terms.limit_rows and not terms.keep_positions:
        return None
    kept = limits.projections | ({POSITION} if terms.keep_positions else set())
    return Exposure(kept, terms.instruments, limits.watched)


class RecordedJudge:
    """Repeats the decision that the journal holds for the event in hand."""

    def __init__(self) -> None:
        self.detail: Mapping[str, Any] = {}
        self.exposure: Exposure | None = None  # what was judged by it is in the journal
        self.breakers: BreakerSide | None = RecordedBreakers(lambda: self.detail)

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

    def undisciplined(self, order: Order, asked: Asked, broker: str) -> Verdict | None:
        """Nothing: a refusal is the verdict on the replace."""
        return None

    def take_limits(self, sha256: str) -> None:
        """Nothing: what was decided by them is in the journal."""

    def is_up(self, broker: str) -> bool:
        """As it was when a cancel asked; a mass cancel asks about several brokers."""
        up = self.detail.get("brokers_up", {}).get(broker)
        return bool(self.detail.get("broker_up", True) if up is None else up)

    def priced(self, seq: int, now: datetime, msg: Prices, accept: bool) -> Facts:
        """As it was."""
        found: Facts = self.detail.get("prices", {})
        return found

    def price_source(self, seq: int, msg: PriceSource) -> Facts:
        """As it was."""
        found: Facts = self.detail.get("prices", {})
        return found

    def recall(self, broker: str, trade_date: date, exec_id: str) -> Recalled:
        """As it was."""
        found = self.detail.get("recalled") or (None, None)
        return Recalled(*(None if values is None else Word.of_record(values) for values in found))
