"""Every error the gateway raises on purpose, split by who must act.

The tree::

    OmsError
    ├── OperatorError         the operator acts: bad configuration or command; the message names the remedy
    │   └── ConfigError       a configuration that cannot be started with; carries every Problem found
    ├── PeerError             a counterparty acts: it sent what cannot be taken, and is answered
    ├── Unsendable            a message of ours that the FIX engine cannot make; it never leaves, and is answered
    ├── JournalFailure        the gateway halts: what happened could not be written down
    │   └── LeaseLost         the gateway ends at once and says nothing more: the ledger is another's
    ├── StoreFailure          the gateway halts: a session's message store cannot be written, so nothing can be sent
    └── InvariantBroken       the gateway halts: this should never happen

Business refusals (a risk reject, a replace below CumQty(14)) are values, not exceptions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # for the annotation only: the core imports this module and does no I/O
    from pathlib import Path


class OmsError(Exception):
    """Root of everything the gateway raises on purpose."""


class OperatorError(OmsError):
    """Bad configuration or a bad command. The message says what to do about it."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the configuration: where it is, what it is, and what mends it."""

    file: Path
    key: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        where = f"{self.file}: {self.key}" if self.key else str(self.file)
        return f"{where}: {self.problem}; {self.remedy}"


class ConfigError(OperatorError):
    """A configuration that stops start-up (I12).

    ``file``, ``key``, ``problem`` and ``remedy`` are those of the first problem; ``problems`` has all of
    them. ``str()`` is one line; ``report()`` is one line per problem.
    """

    def __init__(self, problems: Problem | Sequence[Problem]) -> None:
        self.problems = (problems,) if isinstance(problems, Problem) else tuple(problems)
        if not self.problems:
            raise ValueError("a ConfigError needs at least one Problem")
        first = self.problems[0]
        self.file, self.key, self.problem, self.remedy = first.file, first.key, first.problem, first.remedy
        super().__init__(*self.problems)

    def __str__(self) -> str:
        more = len(self.problems) - 1
        noun = "problem" if more == 1 else "problems"
        return str(self.problems[0]) + (f" (and {more} more {noun}: oms check shows all)" if more else "")

    def report(self) -> str:
        """All problems, one line each."""
        return "\n".join(str(problem) for problem in self.problems)


class PeerError(OmsError):
    """A counterparty sent what cannot be taken; the answer to it says so."""


class Unsendable(OmsError):
    """The FIX engine cannot make a message of this text. It never leaves; the core is told."""


class JournalFailure(OmsError):
    """The journal could not be written or read back. Nothing may leave; the gateway halts."""


class StoreFailure(OmsError):
    """A session's message store could not be written: nothing can be sent or counted. The gateway halts."""


class LeaseLost(JournalFailure):
    """Another gateway has the ledger, or may have it by now. Not a message more, not even a Logout(5)."""


class InvariantBroken(OmsError):
    """The gateway contradicts itself. This should never happen; it halts rather than guess."""
