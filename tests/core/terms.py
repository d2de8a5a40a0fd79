"""The configuration that the core's tests trade under: small numbers, so that a test's own say what they mean."""

from __future__ import annotations

from decimal import Decimal as D

from oms.core.terms import Account, BrokerFacts, Instrument, LimitRule, RouteRule, Terms

ANY = ("*",)
EVERY_TYPE = frozenset("1234")
EVERY_TIF = frozenset("0134")

INSTRUMENTS = {
    "IBM": Instrument("IBM", "N", "USD", D("0.01"), D(1), D(10), D(1), D(1000), True),
    "LOTS": Instrument("LOTS", "N", "USD", D("0.05"), D(100), D(10), None, None, True),
    "UNVALUED": Instrument("UNVALUED", "N", "USD", D("0.01"), D(1), None, None, None, True),
    "HALTED": Instrument("HALTED", "N", "USD", D("0.01"), D(1), D(10), None, None, False),
}
ACCOUNTS = {
    "FUND1": Account("FUND1", ("CLIENT*",), True),
    "FUND2": Account("FUND2", ("CLIENT2",), True),
    "CLOSED": Account("CLOSED", ("*",), False),
}
LIMITS = (LimitRule("limits", "*", "*", "*", D(100_000), D(10_000_000)),)
TO_BROKER1 = RouteRule("all", ANY, ANY, ANY, ANY, ANY, ANY, "BROKER1", ("BROKER2",))
BROKERS = {
    "BROKER1": BrokerFacts(EVERY_TYPE, EVERY_TIF, True),
    "BROKER2": BrokerFacts(EVERY_TYPE, EVERY_TIF, False),
}
TERMS = Terms(True, INSTRUMENTS, ACCOUNTS, LIMITS, (TO_BROKER1,), BROKERS)
