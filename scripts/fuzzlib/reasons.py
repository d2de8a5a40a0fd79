"""Which refusals of the gateway to read a message are meant: everything else that it could not read is a finding.

A message that breaks our code is recorded, answered and survived, and looks to its sender like one that is refused
on purpose; only the reason tells them apart.
"""

from __future__ import annotations

import re
from typing import Final

PREFIX: Final = "the gateway could not read this message: "
MEANT: Final = re.compile(
    r"ValueError: (?:tag .{1,40} appears more than once|a tag is not a number|a tag begins with a zero"
    r"|data field \d+ is shorter than its length field says)"
)


def unmeant(reason: str) -> str:
    """Why it was not read, if that is not one of the reasons that are meant; '' if it is."""
    text = reason.removeprefix(PREFIX)
    return "" if MEANT.fullmatch(text) else text
