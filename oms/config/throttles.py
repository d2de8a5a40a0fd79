"""How many messages a second a client session may send, and what becomes of more: ``OmsMaxRate`` and its kin.

The keys stand in the client's section of sessions.cfg, or in [DEFAULT] for every client. A rate holds for a session;
rates of accounts, desks and so on are ``max_order_rate`` rows of the limits. Their form is checked by
``session_keys.py``; here is what they mean together. What is done at run time is in ``oms/throttle.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

Policy = Literal["reject", "delay", "disconnect"]
POLICIES: tuple[Policy, ...] = ("reject", "delay", "disconnect")
DISCONNECT_AFTER = 100
LOGON_AFTER_SECONDS = 60

_NEEDS = (  # a key, and the one value of OmsOverRate with which it means something
    ("OmsMaxDelayed", "delay"),
    ("OmsDisconnectAfter", "disconnect"),
    ("OmsLogonAfterSeconds", "disconnect"),
)


class Rate(NamedTuple):
    """What a client session may send a second, cancels not counted, and what becomes of more.

    `most_delayed`: with 'delay', how many may wait before the oldest is refused; None for a second's worth.
    `refusals`: with 'disconnect', after so many within a second it is logged out, for `out_seconds`.
    """

    per_second: int
    policy: Policy = "reject"
    most_delayed: int | None = None
    refusals: int = DISCONNECT_AFTER
    out_seconds: int = LOGON_AFTER_SECONDS


def rate_of(values: Mapping[str, str]) -> dict[str, Any]:
    """``rate`` of a session's spec from the keys of its section, nothing where it has none."""
    if "OmsMaxRate" not in values:
        return {}
    most = values.get("OmsMaxDelayed")
    return {
        "rate": Rate(
            int(values["OmsMaxRate"]),
            values.get("OmsOverRate", "reject"),  # type: ignore[arg-type]  # one of the three, checked before
            None if most is None else int(most),
            int(values.get("OmsDisconnectAfter", DISCONNECT_AFTER)),
            int(values.get("OmsLogonAfterSeconds", LOGON_AFTER_SECONDS)),
        )
    }


def contradictions(own: Mapping[str, str], values: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Key, problem and remedy of what the section itself says (`own`) and all that holds for it contradicts."""
    if "OmsOverRate" in own and "OmsMaxRate" not in values:
        yield "OmsOverRate", "without OmsMaxRate", "add for example OmsMaxRate=50, or remove it"
    policy = values.get("OmsOverRate", "reject")
    for name, wanted in _NEEDS:
        if name in own and (policy != wanted or "OmsMaxRate" not in values):
            yield name, f"without OmsMaxRate and OmsOverRate={wanted}", "add them, or remove it"
