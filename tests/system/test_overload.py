"""One client of five floods: the others are served, the flood gets throttle rejects, nothing is lost (I2, I10)."""

from __future__ import annotations

from overloadlib.house import FLOOD, REJECT, STEADY
from overloadlib.run import overload

RATE, OFFERED = 60, 5000
TARGET_MS = 5000.0  # on a machine that does other work besides; scripts/overload measures


def test_a_flood_is_refused_by_its_rate_while_others_trade_and_the_ledger_has_every_message(
    postgres_url: str,
) -> None:
    outcome = overload(REJECT, RATE, OFFERED, quiet=0.5, burst=2.0, target_ms=TARGET_MS, url=postgres_url)
    assert outcome.problems == []
    flooder = outcome.tallies[FLOOD]
    assert flooder.throttled > 0
    assert flooder.filled <= RATE * (2 + outcome.drained_seconds + 1)
    assert flooder.orders == flooder.accepted + flooder.throttled
    assert flooder.cancelled == flooder.cancels == 20  # placed before; refused for no rate
    assert set(flooder.texts) == {
        f"max_order_rate: {number} orders in one second exceeds {RATE} (client {FLOOD}, limits.csv line 2)"
        for number in range(RATE + 1, RATE + 1 + len(flooder.texts))
    }
    for name in STEADY:
        tally = outcome.tallies[name]
        assert (tally.throttled, tally.unanswered, tally.accepted) == (0, 0, tally.orders), name
