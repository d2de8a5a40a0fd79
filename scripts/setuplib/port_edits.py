"""What is changed in QuickFIX's source about ports: a session may come to one that is open already.

An acceptor had the sessions of its ports from its start to its end. Any session of the process can be served by any
connection, though, whoever made it; only the set of a port said who may log on there. So the set may grow now, under
a lock: the session is made by an acceptor of its own, which is never started, and then let in at another's port. No
session is put into an acceptor that runs, so nothing that goes through an acceptor's sessions can meet one.
The acceptor that opened the port must have ended before the one that made the session does.
"""

from __future__ import annotations

from setuplib.session_edits import BINDING, Edit


def _lets_in(kind: str) -> tuple[Edit, ...]:
    """The set of a port is read, and added to, under a lock that is held for nothing else."""
    acceptor = f"{kind}Acceptor"
    return (
        Edit(
            f"C++/{acceptor}.h",
            "  bool readSettings(const SessionSettings &);\n",
            "  bool letIn(int port, const SessionID &sessionID) override;\n",
        ),
        Edit(
            f"C++/{acceptor}.h",
            "  Mutex m_mutex;\n",
            "  Mutex m_mutex;\n  Mutex m_portMutex; // nobody waits for anything while it is held\n",
        ),
        Edit(
            f"C++/{acceptor}.cpp",
            f"bool {acceptor}::onPoll() {{ return false; }}\n",
            f"""bool {acceptor}::onPoll() {{ return false; }}

bool {acceptor}::letIn(int port, const SessionID &sessionID) {{
  Locker l(m_portMutex);
  PortToSessions::iterator i = m_portToSessions.find((short)port);
  if (isStopped() || i == m_portToSessions.end()) {{
    return false;
  }}
  i->second.insert(sessionID);
  return true;
}}
""",
        ),
        Edit(
            f"C++/{acceptor}.cpp",
            "    Sessions sessions = pAcceptor->m_portToSessions[port];\n",
            """    Sessions sessions;
    {
      Locker l(pAcceptor->m_portMutex);
      sessions = pAcceptor->m_portToSessions[port];
    }
""",
        ),
    )


def _looks_among_its_own(connection: str, text: str) -> Edit:
    """A session of another port was looked at, and taken for a moment, before it was found to be one."""
    return Edit(
        f"C++/{connection}.cpp",
        f"  m_pSession = Session::lookupSession({text}, true);\n",
        f"  m_pSession = Session::lookupSession({text}, true, &m_sessions);\n",
    )


PORT_EDITS = (
    Edit(
        "C++/Acceptor.h",
        "  bool isStopped() const { return m_stop; }\n",
        """  bool isStopped() const { return m_stop; }

  /// Let a session log on at an open port, whoever made it; false where this acceptor does not have the port open.
  virtual bool letIn(int port, const SessionID &sessionID) { return false; }
""",
    ),
    *_lets_in("ThreadedSocket"),
    *_lets_in("ThreadedSSLSocket"),
    Edit(
        "C++/Session.h",
        "  static Session *lookupSession(const std::string &, bool reverse = false);\n",
        """  static Session *lookupSession(
      const std::string &,
      bool reverse = false,
      const std::set<SessionID> *among = nullptr);
""",
    ),
    Edit(
        "C++/Session.cpp",
        "Session *Session::lookupSession(const std::string &string, bool reverse) {\n",
        "Session *Session::lookupSession(const std::string &string, bool reverse, "
        "const std::set<SessionID> *among) {\n",
    ),
    Edit(
        "C++/Session.cpp",
        """      return lookupSession(SessionID(beginString, SenderCompID(targetCompID), TargetCompID(senderCompID)));
""",
        """      const SessionID sessionID(beginString, SenderCompID(targetCompID), TargetCompID(senderCompID));
      if (among != nullptr && among->find(sessionID) == among->end()) {
        return nullptr; // not touched: it may be on its end
      }
      return lookupSession(sessionID);
""",
    ),
    _looks_among_its_own("ThreadedSocketConnection", "msg"),
    _looks_among_its_own("ThreadedSSLSocketConnection", "message"),
    # Where one session could not be made, those before it were still found by their ids, without an application.
    Edit(
        "C++/Acceptor.cpp",
        """      m_sessions[*i] = factory.create(*i, m_settings.get(*i));
""",
        """      try {
        Session *session = factory.create(*i, m_settings.get(*i));
        m_sessions[*i] = session;
      } catch (...) {
        for (const Sessions::value_type &one : m_sessions) {
          delete one.second;
        }
        throw;
      }
""",
    ),
    Edit(
        BINDING,
        "SWIGINTERN PyObject *_wrap_Acceptor_isStopped(PyObject *self, PyObject *args) {\n",
        """static PyObject *acceptor_let_in(PyObject *, PyObject *args) {
  PyObject *given[2] = {nullptr, nullptr};
  int port = 0;
  if (!PyArg_ParseTuple(args, "OiO", &given[0], &port, &given[1])) {
    return nullptr;
  }
  void *acceptor = nullptr;
  void *session_id = nullptr;
  if (!SWIG_IsOK(SWIG_ConvertPtr(given[0], &acceptor, SWIGTYPE_p_FIX__Acceptor, 0)) || acceptor == nullptr
      || !SWIG_IsOK(SWIG_ConvertPtr(given[1], &session_id, SWIGTYPE_p_FIX__SessionID, 0)) || session_id == nullptr) {
    PyErr_SetString(PyExc_TypeError, "an Acceptor, a port and a SessionID are needed");
    return nullptr;
  }
  return PyBool_FromLong(reinterpret_cast<FIX::Acceptor *>(acceptor)->letIn(
      port, *reinterpret_cast<FIX::SessionID *>(session_id)));
}

SWIGINTERN PyObject *_wrap_Acceptor_isStopped(PyObject *self, PyObject *args) {
""",
    ),
    Edit(
        BINDING,
        '\t { "Acceptor_isStopped", _wrap_Acceptor_isStopped, METH_O, NULL},\n',
        '\t { "Acceptor_isStopped", _wrap_Acceptor_isStopped, METH_O, NULL},\n'
        '\t { "acceptor_let_in", acceptor_let_in, METH_VARARGS, NULL},\n',
    ),
)
