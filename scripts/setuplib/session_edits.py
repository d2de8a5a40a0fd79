"""What is changed in QuickFIX's source about who may log on, and where passwords go.

Applied with the others by `engine_edits`; a Logon(A) is the one message that tells a secret and undoes numbers.
"""

from __future__ import annotations

from typing import NamedTuple

BINDING = "C++/QuickfixPython.cpp"


class Edit(NamedTuple):
    """One replacement in one file of the source."""

    file: str
    before: str
    after: str


def listens_on(acceptor: str) -> tuple[Edit, Edit]:
    """A listening thread ended for ever when one connection failed early, or when no descriptor was left."""
    return (
        Edit(
            acceptor,
            """  while ((!pAcceptor->isStopped() && (socket = socket_accept(s)) != INVALID_SOCKET_HANDLE)) {
""",
            """  while (!pAcceptor->isStopped()) {
    socket = socket_accept(s);
    if (socket == INVALID_SOCKET_HANDLE) {
      if (pAcceptor->isStopped() || errno == EBADF || errno == EINVAL || errno == ENOTSOCK) {
        break;
      }
      process_sleep(0.1);
      continue;
    }
""",
        ),
        Edit(
            acceptor,
            """#include "Utility.h"

namespace FIX {
""",
            """#include "Utility.h"
#include <cerrno>

namespace FIX {
""",
        ),
    )


SESSION_EDITS = (
    # A Logon(A) set the numbers back, and emptied the store, before anybody was asked whether it is let in.
    Edit(
        "C++/Session.cpp",
        """  ResetSeqNumFlag resetSeqNumFlag(false);
  logon.getFieldIfSet(resetSeqNumFlag);
  m_state.receivedReset(resetSeqNumFlag);
""",
        """  if (!m_state.initiate()) {
    m_application.fromAdmin(logon, m_sessionID);
  }

  ResetSeqNumFlag resetSeqNumFlag(false);
  logon.getFieldIfSet(resetSeqNumFlag);
  m_state.receivedReset(resetSeqNumFlag);
""",
    ),
    # The store got the password of a Logon(A) of ours. A session message is never sent again: it is kept without.
    Edit(
        "C++/Session.cpp",
        """      message.toString(messageString);

      if (!num) {
        persist(message, messageString);
      }

      if (msgType == MsgType_Logon || msgType == MsgType_Logout || msgType == MsgType_ResendRequest
""",
        """      message.toString(messageString);

      if (!num && msgType == MsgType_Logon) {
        Message kept(message);
        std::string keptString;
        kept.removeField(FIELD::Password);
        kept.removeField(FIELD::RawDataLength);
        kept.removeField(FIELD::RawData);
        kept.toString(keptString);
        persist(kept, keptString);
      } else if (!num) {
        persist(message, messageString);
      }

      if (msgType == MsgType_Logon || msgType == MsgType_Logout || msgType == MsgType_ResendRequest
""",
    ),
    *listens_on("C++/ThreadedSocketAcceptor.cpp"),
)
