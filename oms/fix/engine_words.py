"""What the lines of the engine's log say: QuickFIX tells some things by nothing else."""

from __future__ import annotations

# In the engine's log lines: it will not take the message in hand, and sends no Reject(3).
_COMPLAINTS = (
    "Invalid message",
    "Incorrect data format",
    "Field not found",
    "is not valid",
    "MsgSeqNum too low",
    "Deny connections",
    "outside of valid logon time",
    "Session is not enabled for logon",
    "Required field missing from logon",
)

# In the engine's log lines: a session's store could not be written. The engine sends nothing that it could not
# store, says `False`, and never writes to that file again, also when there is room: only a new start opens it anew.
STORE_FAILED = ("Unable to write to", "Unable to flush", "Cannot seek to end of", "Unable to get file pointer")

ALLOWS = "Allows connections to the acceptor from "  # before the first message of a connection is taken
ACCEPTED = "Accepted connection from "  # .. on port N: the thread that listens took it, whatever became of it


def complains(text: str) -> bool:
    """Whether a log line says that a message was not taken. What gets a Reject(3) is told by that."""
    return not text.strip() or (not text.startswith("Message ") and any(words in text for words in _COMPLAINTS))
