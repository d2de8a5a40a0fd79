"""What is changed in QuickFIX's source about time: how often its threads look at the clock, and what is read twice.

A connection's thread looked once a second whether a logout was asked for, and an initiator's once a second whether
it was to end: an orderly stop took two to three seconds, and a reconnect came up to a second late. A tenth costs
nothing that can be measured. And every acceptor and initiator read each dictionary for itself; that of FIX 5.0 SP2
takes more than a second of CPU time.
"""

from __future__ import annotations

from setuplib.session_edits import BINDING, Edit

PACE_EDITS = (
    Edit(
        "C++/ThreadedSocketConnection.cpp",
        "  int timeout = 1000; // 1000ms = 1 second\n",
        "  int timeout = 100;\n",
    ),
    *(
        Edit(
            f"C++/Threaded{kind}SocketInitiator.cpp",
            "    process_sleep(1);\n",
            "    turnUnconnected();\n    process_sleep(0.1);\n",
        )
        for kind in ("", "SSL")
    ),
    # A thread that hangs, or is no more, told nobody. Every session says when a thread was at work for it last: that
    # of its connection, or the one that connects, for a session of an initiator that is not connected.
    Edit(
        "C++/Session.h",
        "#include <functional>\n#include <map>\n",
        "#include <atomic>\n#include <chrono>\n#include <functional>\n#include <map>\n",
    ),
    Edit(
        "C++/Session.h",
        """  void setResponder(Responder *pR) {
""",
        """  void turn() { m_turned = std::chrono::steady_clock::now().time_since_epoch().count(); }
  // Seconds since the last turn, less than 0 before the first one.
  double idleSeconds() const {
    const std::chrono::steady_clock::rep turned = m_turned;
    if (turned == 0) {
      return -1.0;
    }
    const std::chrono::steady_clock::duration idle
        = std::chrono::steady_clock::now().time_since_epoch() - std::chrono::steady_clock::duration(turned);
    return std::max(0.0, std::chrono::duration<double>(idle).count());
  }

  // Under the session's lock: who sends asks for the responder and uses it, while its connection may be on its end.
  void setResponder(Responder *pR) {
    Locker l(m_mutex);
""",
    ),
    Edit(
        "C++/Session.h",
        "  Responder *m_pResponder;\n",
        "  Responder *m_pResponder;\n  std::atomic<std::chrono::steady_clock::rep> m_turned{0};\n",
    ),
    Edit(
        "C++/Session.cpp",
        """void Session::next(const std::string &msg, const UtcTimeStamp &now, bool queued) {
""",
        """void Session::next(const std::string &msg, const UtcTimeStamp &now, bool queued) {
  turn();
""",
    ),
    Edit(
        "C++/Session.cpp",
        "bool Session::resend(Message &message) {\n",
        "bool Session::resend(Message &message) {\n  turn();\n",
    ),
    Edit(
        "C++/ThreadedSocketConnection.cpp",
        "bool ThreadedSocketConnection::read() {\n",
        "bool ThreadedSocketConnection::read() {\n  if (m_pSession) {\n    m_pSession->turn();\n  }\n",
    ),
    Edit(
        "C++/Initiator.h",
        "  void connect();\n",
        "  void connect();\n  void turnUnconnected();\n",
    ),
    Edit(
        "C++/Initiator.cpp",
        "void Initiator::setPending(const SessionID &sessionID) {\n",
        """void Initiator::turnUnconnected() {
  Locker l(m_mutex);

  for (const Sessions::value_type &one : m_sessions) {
    if (m_connected.find(one.first) == m_connected.end()) {
      one.second->turn();
    }
  }
}

void Initiator::setPending(const SessionID &sessionID) {
""",
    ),
    Edit(
        BINDING,
        "SWIGINTERN PyObject *_wrap_Session_isEnabled(PyObject *self, PyObject *args) {\n",
        """static PyObject *session_idle_seconds(PyObject *, PyObject *session) {
  void *pointer = nullptr;
  if (!SWIG_IsOK(SWIG_ConvertPtr(session, &pointer, SWIGTYPE_p_FIX__Session, 0)) || pointer == nullptr) {
    PyErr_SetString(PyExc_TypeError, "a Session is needed");
    return nullptr;
  }
  return PyFloat_FromDouble(reinterpret_cast<FIX::Session *>(pointer)->idleSeconds());
}

SWIGINTERN PyObject *_wrap_Session_isEnabled(PyObject *self, PyObject *args) {
""",
    ),
    Edit(
        BINDING,
        '\t { "Session_isEnabled", _wrap_Session_isEnabled, METH_O, NULL},\n',
        '\t { "Session_isEnabled", _wrap_Session_isEnabled, METH_O, NULL},\n'
        '\t { "session_idle_seconds", session_idle_seconds, METH_O, NULL},\n',
    ),
    # One reading for the process, as long as the file is the same, and one dictionary in memory for all sessions
    # whose settings agree: each had a copy of its own. The order of a group's fields is worked out at its first use,
    # by whichever thread comes first. (All at once would take gigabytes: each is as long as its highest tag.)
    Edit(
        "C++/DataDictionary.cpp",
        "#include <fstream>\n#include <memory>\n",
        "#include <fstream>\n#include <memory>\n#include <mutex>\n",
    ),
    Edit(
        "C++/DataDictionary.cpp",
        "DataDictionary &DataDictionary::operator=(const DataDictionary &rhs) {\n",
        """static std::mutex first_use_mutex;

DataDictionary &DataDictionary::operator=(const DataDictionary &rhs) {
""",
    ),
    Edit(
        "C++/DataDictionary.cpp",
        "  m_orderedFieldsArray = rhs.m_orderedFieldsArray;\n",
        """  {
    std::lock_guard<std::mutex> l(first_use_mutex);
    m_orderedFieldsArray = rhs.m_orderedFieldsArray;
  }
""",
    ),
    Edit(
        "C++/DataDictionary.cpp",
        "message_order const &DataDictionary::getOrderedFields() const {\n",
        """message_order const &DataDictionary::getOrderedFields() const {
  std::lock_guard<std::mutex> l(first_use_mutex);
""",
    ),
    Edit(
        "C++/SessionFactory.cpp",
        "#include <memory>\n",
        "#include <memory>\n\n#include <sys/stat.h>\n",
    ),
    Edit(
        "C++/SessionFactory.cpp",
        """std::shared_ptr<DataDictionary> SessionFactory::createDataDictionary(
    const SessionID &sessionID,
""",
        """static Mutex dictionaries_mutex;
static const size_t DICTIONARIES_KEPT = 16;

static std::string identity_of(const std::string &path, bool preserveMsgFldsOrder) {
  struct stat status;
  std::stringstream text;
  text << path << '|' << preserveMsgFldsOrder;
  if (::stat(path.c_str(), &status) == 0) {
    text << '|' << status.st_dev << '|' << status.st_ino << '|' << status.st_size << '|' << status.st_mtime;
#ifdef __linux__
    text << '|' << status.st_mtim.tv_nsec;
#endif
  }
  text << '|';
  return text.str();
}

static bool set_or(const Dictionary &settings, const std::string &key, bool otherwise) {
  return settings.has(key) ? settings.getBool(key) : otherwise;
}

std::shared_ptr<DataDictionary> SessionFactory::createDataDictionary(
    const SessionID &sessionID,
""",
    ),
    Edit(
        "C++/SessionFactory.cpp",
        """  Dictionaries::iterator i = m_dictionaries.find(path);
  if (i != m_dictionaries.end()) {
    pDD = i->second;
  } else {
    bool preserveMsgFldsOrder = false;
    if (settings.has(PRESERVE_MESSAGE_FIELDS_ORDER)) {
      preserveMsgFldsOrder = settings.getBool(PRESERVE_MESSAGE_FIELDS_ORDER);
    }
    pDD = std::shared_ptr<DataDictionary>(new DataDictionary(path, preserveMsgFldsOrder));
    m_dictionaries[path] = pDD;
  }

  std::shared_ptr<DataDictionary> pCopyOfDD = std::shared_ptr<DataDictionary>(new DataDictionary(*pDD));

  if (settings.has(VALIDATE_FIELDS_OUT_OF_ORDER)) {
    pCopyOfDD->checkFieldsOutOfOrder(settings.getBool(VALIDATE_FIELDS_OUT_OF_ORDER));
  }
  if (settings.has(VALIDATE_FIELDS_HAVE_VALUES)) {
    pCopyOfDD->checkFieldsHaveValues(settings.getBool(VALIDATE_FIELDS_HAVE_VALUES));
  }
  if (settings.has(VALIDATE_USER_DEFINED_FIELDS)) {
    pCopyOfDD->checkUserDefinedFields(settings.getBool(VALIDATE_USER_DEFINED_FIELDS));
  }
  if (settings.has(ALLOW_UNKNOWN_MSG_FIELDS)) {
    pCopyOfDD->allowUnknownMsgFields(settings.getBool(ALLOW_UNKNOWN_MSG_FIELDS));
  }

  return pCopyOfDD;
}
""",
        """  const bool preserve = set_or(settings, PRESERVE_MESSAGE_FIELDS_ORDER, false);
  const bool outOfOrder = set_or(settings, VALIDATE_FIELDS_OUT_OF_ORDER, true);
  const bool haveValues = set_or(settings, VALIDATE_FIELDS_HAVE_VALUES, true);
  const bool userDefined = set_or(settings, VALIDATE_USER_DEFINED_FIELDS, true);
  const bool unknown = set_or(settings, ALLOW_UNKNOWN_MSG_FIELDS, false);
  const std::string identity = identity_of(path, preserve);
  std::stringstream key;
  key << identity << outOfOrder << haveValues << userDefined << unknown;

  static Dictionaries kept;
  Locker l(dictionaries_mutex);
  Dictionaries::iterator i = kept.find(key.str());
  if (i != kept.end()) {
    pDD = i->second;
  } else {
    i = kept.lower_bound(identity);
    const bool is_read = i != kept.end() && i->first.compare(0, identity.size(), identity) == 0;
    pDD.reset(is_read ? new DataDictionary(*i->second) : new DataDictionary(path, preserve));
    pDD->checkFieldsOutOfOrder(outOfOrder);
    pDD->checkFieldsHaveValues(haveValues);
    pDD->checkUserDefinedFields(userDefined);
    pDD->allowUnknownMsgFields(unknown);
    if (kept.size() >= DICTIONARIES_KEPT) {
      kept.clear();
    }
    kept[key.str()] = pDD;
  }
  // with the order of fields kept, more is worked out at its first use: a copy for each session
  return preserve ? std::make_shared<DataDictionary>(*pDD) : pDD;
}
""",
    ),
)
