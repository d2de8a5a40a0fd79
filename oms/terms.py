"""The configuration in the core's own words: plain values, made once at a start and read by the core alone."""

from __future__ import annotations

from oms.config.load import Config
from oms.config.sessions import SessionSpec
from oms.core import terms as core_terms
from oms.core.disconnect import Grace
from oms.fix.encode import allowed_tags, refusals


def core_terms_of(config: Config) -> core_terms.Terms:
    """The configuration in the core's own words."""
    instruments = {symbol: core_terms.Instrument(**one.model_dump()) for symbol, one in config.instruments.items()}
    accounts = {name: core_terms.Account(**one.model_dump()) for name, one in config.accounts.items()}
    return core_terms.Terms(
        trading=config.gateway.trading == "on",
        instruments=instruments,
        accounts=accounts,
        limits=tuple(
            core_terms.LimitRule(
                str(one), one.client, one.account, one.symbol, one.max_order_qty, one.max_order_notional
            )
            # Most specific first; rules aimed equally stay in the order of the file.
            for one in sorted(config.limits, key=lambda rule: rule.specificity, reverse=True)
        ),
        routes=tuple(
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
        ),
        brokers={spec.name: _broker(spec) for spec in config.role("broker")},
        limit_rows=config.limit_rows,
        keep_positions=config.gateway.keep_positions,
    )


def _broker(spec: SessionSpec) -> core_terms.BrokerFacts:
    """What a broker's dialect says that it can do."""
    allowed = {kind: tags for kind in ("D", "G") if (tags := allowed_tags(spec, kind)) is not None}
    dialect = spec.dialect
    return core_terms.BrokerFacts(
        dialect.ord_types,
        dialect.times_in_force,
        dialect.status_requests,
        allowed,
        mass_cancel=dialect.mass_cancel,
        acknowledge_seconds=dialect.acknowledge_seconds,
        answer_seconds=dialect.answer_seconds,
        cancel_new=dialect.replace == "cancel_new",
        mass_status=dialect.mass_status,
        status_requests_per_second=dialect.status_requests_per_second,
        status_answer_seconds=dialect.status_answer_seconds,
        quiet_seconds=dialect.quiet_seconds,
        unknown_asks=dialect.unknown_asks,
        adopts=dialect.unknown_orders == "adopt",
        refuses=refusals(spec),
    )


def graces_of(config: Config) -> dict[str, Grace]:
    """The clients whose orders are canceled when they stay away."""
    clients = config.role("client")
    return {one.name: Grace(one.cancel_after, one.cancel_exempt) for one in clients if one.cancel_after is not None}
