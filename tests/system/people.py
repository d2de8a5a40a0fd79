"""Two operators of a gateway that runs in the test's process: each command is given as one of them.

The kernel's word on who is at the other end of the control socket is replaced, as if the callers were these users;
`test_two_users` shows the kernel's own word.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from oms.ops import control

ANN, BOB, CARL = 61_001, 61_002, 61_003
OPERATORS = f"[operators]\nusers = {{ ann = {ANN}, bob = {BOB} }}\n"


class Terminal:
    """Who sits at the terminal."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._user = ANN
        monkeypatch.setattr(control, "_user_of", lambda connection: self._user)

    @contextmanager
    def of(self, user: int) -> Iterator[None]:
        """Within, commands come from this user."""
        before, self._user = self._user, user
        yield
        self._user = before
