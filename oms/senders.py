"""A sender for each session: paced where the broker takes so many messages a second, else in the journal's order."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from oms.config.load import Config
from oms.config.sessions import SessionSpec
from oms.inbox import Inbox
from oms.outbox import Sender
from oms.pace import Pace, TooFast
from oms.paced import PacedSender
from oms.startup import Recovered

Send = Callable[[str, list[str]], list[str]]


def make_senders(
    config: Config,
    send: Callable[[SessionSpec], Send],
    inbox: Inbox,
    ledger_url: str,
    recovered: Recovered,
    why_not: Callable[[str], str],
    holds: Callable[[], bool],
) -> dict[str, Sender]:
    """By session. `send` gives the engine's way out; `why_not` and `holds` are asked before each message."""
    made: dict[str, Sender] = {}
    for name, spec in config.sessions.items():
        seconds = spec.dialect.resend_window_seconds if spec.role == "broker" else 0
        cursor = recovered.out_positions[name][0]
        of_sender = (
            name, spec.role, send(spec), inbox, ledger_url, cursor, timedelta(seconds=seconds), why_not, holds
        )  # fmt: skip
        if not spec.paced:
            made[name] = Sender(*of_sender)
            continue
        limit = spec.dialect.outbound
        too_fast = [TooFast(one.msg_type, str(one.tag), one.value) for one in limit.too_fast]
        made[name] = PacedSender(
            *of_sender,
            pace=Pace(limit.max_messages_per_second, limit.at_once, limit.recover_seconds, too_fast),
            max_wait=timedelta(seconds=limit.max_wait_seconds),
            settled=frozenset(one.seq for one in recovered.settled if one.session == name),
        )
    return made


def too_fast_watches(senders: dict[str, Sender]) -> dict[str, Callable[[str], str]]:
    """By broker, what its messages are shown to: who is told that it gets too many."""
    return {name: one.slow_down for name, one in senders.items() if isinstance(one, PacedSender) and one.pace.listens}


def outbound_of(senders: dict[str, Sender]) -> Callable[[str], dict[str, Any] | None]:
    """What an operator sees of how fast a session's messages leave; None of one without a limit."""

    def look(name: str) -> dict[str, Any] | None:
        one = senders.get(name)
        return one.outbound() if isinstance(one, PacedSender) else None

    return look
