"""Prometheus metrics of the gateway (to be filled in)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from oms.config.load import Config
from oms.inbox import Heard, Inbox
from oms.ledger.batch import Batch
from oms.outbox import Message


class Metrics:
    """Counters and gauges."""

    def __init__(self, config: Config, inbox: Inbox) -> None:
        self._inbox = inbox

    def start(self) -> None:
        """Open the endpoint."""

    def stop(self) -> None:
        """Close the endpoint."""

    def decided(self, batch: Batch, messages: list[Message], heard: list[Heard]) -> None:
        """A batch was worked through."""

    def committed(self, batch: Batch, committed_at: datetime, seconds: float) -> None:
        """A batch is committed."""

    def watch(self, **sources: Any) -> None:
        """Where else to ask for statistics."""
