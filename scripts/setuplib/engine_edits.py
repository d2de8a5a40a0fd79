"""What is changed in QuickFIX's source before it is built: two places where a few bytes end the whole process.

Each edit names a file of the source, the text as it is and as it becomes. An edit whose text is not found stops
the build, so that a new version of QuickFIX is looked at again. docs/decisions/quickfix.md tells of both.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from setuplib.running import SetupFailed


class Edit(NamedTuple):
    """One replacement in one file of the source."""

    file: str
    before: str
    after: str


EDITS = (
    # The first message of a connection is read outside every handler: one bad field aborted the process.
    Edit(
        "C++/Session.cpp",
        """  Message message;
  if (!message.setStringHeader(string)) {
    return nullptr;
  }
""",
        """  Message message;
  try {
    if (!message.setStringHeader(string)) {
      return nullptr;
    }
  } catch (InvalidMessage &) {
    return nullptr;
  }
""",
    ),
    # The length of a data field was believed: a large or negative one read outside the message.
    Edit(
        "C++/Message.cpp",
        """      soh = valueStart + IntConvertor::convert(fieldLength.getString());
""",
        """      const long length = IntConvertor::convert(fieldLength.getString());
      if (length < 0 || length >= std::distance(valueStart, strEnd)) {
        throw InvalidMessage("Data length is outside the message");
      }
      soh = valueStart + length;
""",
    ),
)


def apply_edits(source: Path) -> None:
    """Make the edits in an unpacked source. Raises SetupFailed where a text is not there exactly once."""
    for edit in EDITS:
        path = source / edit.file
        text = path.read_text(encoding="utf-8")
        if text.count(edit.before) != 1:
            raise SetupFailed(f"QuickFIX's {edit.file} is not as scripts/setuplib/engine_edits.py expects it")
        path.write_text(text.replace(edit.before, edit.after), encoding="utf-8")
