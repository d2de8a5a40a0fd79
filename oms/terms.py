"""The configuration in the core's own words: plain values, made once at a start and read by the core alone."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import timedelta

from oms.config.load import Config
from oms.config.outbound import ReplaceDiscipline
from oms.config.rules import LimitRule
from oms.config.sessions import SessionSpec
from oms.core import terms as core_terms
from oms.core.disconnect import Grace
from oms.fix.encode import allowed_tags, refusals


def core_terms_of(config: Config) -> core_terms.Terms:
    """The configuration in the core's own words."""
    age = timedelta(seconds=config.max_price_age) if config.max_price_age else None
    instruments = {
        symbol: core_terms.Instrument(**one.model_dump(), max_price_age=age)
        for symbol, one in config.instruments.items()
    }
    accounts = {name: core_terms.Account(**one.model_dump()) for name, one in config.accounts.items()}
    return core_terms.Terms(
        trading=config.gateway.trading == "on",
        instruments=instruments,
        accounts=accounts,
        limits=rules_of(config.limits),
        routes=routes_of(config),
        brokers=brokers_of(config),
        limit_rows=config.limit_rows,
        replace_rules=tuple(map(_replace_rule, config.replace_discipline)),
        markets={name: market.core() for name, market in config.markets.items()},
        keep_positions=config.gateway.keep_positions,
        require_row=config.require_row,
    )


def rules_of(rules: Iterable[LimitRule]) -> tuple[core_terms.LimitRule, ...]:
    """Limits per order, most specific first; rules aimed equally stay in the order of the file."""
    return tuple(
        core_terms.LimitRule(str(one), one.client, one.account, one.symbol, one.max_order_qty, one.max_order_notional)
        for one in sorted(rules, key=lambda rule: rule.specificity, reverse=True)
    )


def routes_of(config: Config) -> tuple[core_terms.RouteRule, ...]:
    """The route rules, in the order of the file."""
    return tuple(
        core_terms.RouteRule(
            one.name,
            one.client,
            one.account,
            one.symbol,
            one.security_exchange,
            one.ord_type,
            one.ex_destination,
            one.broker,
            one.fallbacks,
        )
        for one in config.routes
    )


def brokers_of(config: Config) -> dict[str, core_terms.BrokerFacts]:
    """What the brokers of a configuration can do, by name."""
    return {spec.name: _broker(spec) for spec in config.role("broker")}


def _replace_rule(one: ReplaceDiscipline) -> core_terms.ReplaceRule:
    return core_terms.ReplaceRule(
        one.name,
        one.client,
        one.account,
        one.symbol,
        one.broker,
        timedelta(milliseconds=one.min_interval_ms),
        one.min_ticks,
        one.min_qty_percent,
        one.one_outstanding,
        timedelta(milliseconds=one.pause_after_fill_ms),
        one.also_reducing,
    )


def _broker(spec: SessionSpec) -> core_terms.BrokerFacts:
    """What a broker's dialect says that it can do."""
    allowed = {kind: tags for kind in ("D", "G") if (tags := allowed_tags(spec, kind)) is not None}
    dialect = spec.dialect
    limit = dialect.outbound.max_messages_per_second
    wait = dialect.outbound.max_wait_seconds if limit else 0
    return core_terms.BrokerFacts(
        dialect.ord_types,
        dialect.times_in_force,
        dialect.status_requests,
        allowed,
        mass_cancel=dialect.mass_cancel,
        acknowledge_seconds=_with_wait(dialect.acknowledge_seconds, wait),
        answer_seconds=_with_wait(dialect.answer_seconds, wait),
        cancel_new=dialect.replace == "cancel_new",
        mass_status=dialect.mass_status,
        status_requests_per_second=min(dialect.status_requests_per_second, limit or sys.maxsize),
        status_answer_seconds=dialect.status_answer_seconds,
        quiet_seconds=dialect.quiet_seconds,
        unknown_asks=dialect.unknown_asks,
        adopts=dialect.unknown_orders == "adopt",
        round_every=dialect.reconcile.every,
        round_times=dialect.reconcile.at,
        avg_px_decimals=dialect.reconcile.avg_px_decimals,
        refuses=refusals(spec),
    )


def _with_wait(seconds: int, wait: int) -> int:
    """How long an answer may take, counted from the decision: what a message may wait for its turn comes on top."""
    return seconds + wait if seconds else 0


def graces_of(config: Config) -> dict[str, Grace]:
    """The clients whose orders are canceled when they stay away."""
    clients = config.role("client")
    return {one.name: Grace(one.cancel_after, one.cancel_exempt) for one in clients if one.cancel_after is not None}
