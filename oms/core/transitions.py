"""THE table: the life of an order as (state, event) -> state.

Law: whatever moves an order from one state of its life to another is written here and nowhere else.
Life is one of three machines. Pending cancels and replaces are a list beside it (`order.Request`), filled and
partially filled follow from the quantities (`order.cum_qty`), and OrdStatus(39) is computed from all three
(`status`). An event that has no row changes nothing and becomes an exception item.

A pair listed in CONTRADICTIONS is applied, because what a broker reports is a fact, and raised as an exception
item as well, because it should not have happened.
"""

from __future__ import annotations

from typing import Final

# States of life. Those the standard does not have: received, routed, unknown.
RECEIVED: Final = "received"  # accepted by us, not yet with a broker
ROUTED: Final = "routed"  # sent to a broker that has not answered
PENDING_NEW: Final = "pending_new"  # the broker has it, and has not accepted it
WORKING: Final = "working"  # accepted: New(0), filled or not
STOPPED: Final = "stopped"  # price and size guaranteed
SUSPENDED: Final = "suspended"
DONE_FOR_DAY: Final = "done_for_day"
CALCULATED: Final = "calculated"
CANCELED: Final = "canceled"
EXPIRED: Final = "expired"
REJECTED: Final = "rejected"
UNKNOWN: Final = "unknown"  # we do not know whether the broker has it; being asked

# Events.
ROUTE: Final = "route"
LOSE: Final = "lose"  # the outcome of sending is not known
ACKNOWLEDGE: Final = "acknowledge"  # ExecType A
ACCEPT: Final = "accept"  # ExecType 0
REJECT: Final = "reject"  # ExecType 8, or a rule of ours
TRADE: Final = "trade"  # ExecType F
AMEND: Final = "amend"  # ExecType G or H: a trade corrected or busted
CANCEL: Final = "cancel"  # ExecType 4
REPLACE: Final = "replace"  # ExecType 5
EXPIRE: Final = "expire"  # ExecType C
FINISH_DAY: Final = "finish_day"  # ExecType 3
STOP: Final = "stop"  # ExecType 7
SUSPEND: Final = "suspend"  # ExecType 9
CALCULATE: Final = "calculate"  # ExecType B
RESTATE: Final = "restate"  # ExecType D

EVENTS: Final = (
    ROUTE, LOSE, ACKNOWLEDGE, ACCEPT, REJECT, TRADE, AMEND, CANCEL, REPLACE, EXPIRE, FINISH_DAY, STOP,
    SUSPEND, CALCULATE, RESTATE,
)  # fmt: skip

# What a broker may report of an order it holds, in any state in which it holds it.
_HELD: Final = {
    TRADE: WORKING,
    AMEND: WORKING,
    ACCEPT: WORKING,
    REJECT: REJECTED,  # refused late, by the trader or the exchange, after New had been sent
    CANCEL: CANCELED,
    REPLACE: WORKING,
    EXPIRE: EXPIRED,
    FINISH_DAY: DONE_FOR_DAY,
    STOP: STOPPED,
    SUSPEND: SUSPENDED,
    CALCULATE: CALCULATED,
    RESTATE: WORKING,
}

TABLE: Final[dict[str, dict[str, str]]] = {
    RECEIVED: {ROUTE: ROUTED, REJECT: REJECTED, CANCEL: CANCELED},
    ROUTED: {
        **_HELD,
        ROUTE: ROUTED,  # did not leave for the first broker, goes to a fallback
        ACKNOWLEDGE: PENDING_NEW,
        LOSE: UNKNOWN,
        RESTATE: WORKING,  # an order given by voice may first be seen as a restatement
    },
    PENDING_NEW: {**_HELD, ACKNOWLEDGE: PENDING_NEW, LOSE: UNKNOWN},
    WORKING: {**_HELD, ACKNOWLEDGE: WORKING},  # a late pending new takes nothing back
    STOPPED: {**_HELD, TRADE: STOPPED, AMEND: STOPPED, ACKNOWLEDGE: STOPPED},
    SUSPENDED: {**_HELD, TRADE: SUSPENDED, AMEND: SUSPENDED, ACKNOWLEDGE: SUSPENDED},
    DONE_FOR_DAY: {
        **_HELD,
        TRADE: DONE_FOR_DAY,  # reported late in the day
        AMEND: DONE_FOR_DAY,
        RESTATE: WORKING,  # a GTC order renewed next morning
        ACKNOWLEDGE: DONE_FOR_DAY,
    },
    CALCULATED: {**_HELD, TRADE: CALCULATED, AMEND: CALCULATED, ACKNOWLEDGE: CALCULATED},
    CANCELED: {
        TRADE: CANCELED,  # a fill that crossed the cancel on its way: a fact, even late
        AMEND: CANCELED,
        ACCEPT: CANCELED,  # acknowledgement and cancel crossed
        ACKNOWLEDGE: CANCELED,
        CANCEL: CANCELED,
        FINISH_DAY: CANCELED,
        RESTATE: CANCELED,
    },
    EXPIRED: {
        TRADE: EXPIRED,
        AMEND: EXPIRED,
        ACCEPT: EXPIRED,  # acknowledgement and end crossed
        ACKNOWLEDGE: EXPIRED,
        CANCEL: EXPIRED,
        EXPIRE: EXPIRED,
        RESTATE: EXPIRED,
    },
    REJECTED: {
        TRADE: WORKING,  # the broker fills what it refused: it holds the order after all
        AMEND: REJECTED,
        REJECT: REJECTED,
        ACKNOWLEDGE: REJECTED,  # older than the reject; an acceptance after it would be a contradiction
    },
    # No way to another broker from here: the one that was asked may have the order.
    UNKNOWN: {**_HELD, ACKNOWLEDGE: PENDING_NEW, LOSE: UNKNOWN},
}

CONTRADICTIONS: Final = frozenset({(CANCELED, TRADE), (EXPIRED, TRADE), (REJECTED, TRADE)})

TERMINAL: Final = frozenset({CANCELED, EXPIRED, REJECTED})
NOT_WORKING: Final = TERMINAL | {DONE_FOR_DAY, CALCULATED}
UNACKNOWLEDGED: Final = frozenset({RECEIVED, ROUTED, PENDING_NEW, UNKNOWN})

EVENT_OF_EXEC_TYPE: Final[dict[str, str]] = {
    "A": ACKNOWLEDGE,
    "0": ACCEPT,
    "8": REJECT,
    "F": TRADE,
    "G": AMEND,
    "H": AMEND,
    "4": CANCEL,
    "5": REPLACE,
    "C": EXPIRE,
    "3": FINISH_DAY,
    "7": STOP,
    "9": SUSPEND,
    "B": CALCULATE,
    "D": RESTATE,
}


def next_state(state: str, event: str) -> str | None:
    """The state that follows, or None where the table does not allow the event."""
    return TABLE[state].get(event)
