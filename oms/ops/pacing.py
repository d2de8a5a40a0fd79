"""What the metrics show of brokers that take so many messages a second. Read from any thread."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic
from typing import Any

from oms.outbox import Sender
from oms.paced import PacedSender


def pacing(senders: Mapping[str, Sender]) -> dict[str, dict[tuple[str, ...], Any]]:
    """Samples by metric, of the paced sessions among these."""
    paced = {name: one for name, one in senders.items() if isinstance(one, PacedSender)}
    return {
        "oms_outbound_waiting": {
            (name, urgency): number for name, one in paced.items() for urgency, number in one.waiting().items()
        },
        "oms_outbound_oldest_seconds": {(name,): one.oldest_seconds() for name, one in paced.items()},
        "oms_outbound_limit": {(name,): one.pace.full for name, one in paced.items()},
        "oms_outbound_rate": {(name,): one.pace.rate(monotonic()) for name, one in paced.items()},
        "oms_outbound_too_fast_total": {(name,): one.pace.complaints for name, one in paced.items()},
    }
