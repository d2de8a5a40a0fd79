"""What is changed in QuickFIX's source before it is built.

Two places where a few bytes end the whole process are corrected, and those that close a connection's descriptor
while its thread still reads it, by when the number may be another connection's. And the Python binding crosses
into Python six times for a message that came and left; each crossing waits for the interpreter, which a busy core
thread holds. Two are enough: the text of a message that came is kept beside its thread until the callback that
needs it, and a send of our own makes no callbacks; it is asked only, under the session's lock, whether the session
is still on. Many messages of a session leave in one call, for one crossing.

Each edit names a file of the source, the text as it is and as it becomes. An edit whose text is not found stops
the build, so that a new version of QuickFIX is looked at again. docs/decisions/quickfix.md tells of all.
"""

from __future__ import annotations

from pathlib import Path

from setuplib.pace_edits import PACE_EDITS
from setuplib.port_edits import PORT_EDITS
from setuplib.running import SetupFailed
from setuplib.session_edits import BINDING, SESSION_EDITS, Edit
from setuplib.store_edits import STORE_EDITS
from setuplib.tls_edits import TLS_EDITS


def _keeps_interpreter(call: str) -> Edit:
    """A short call of the binding does not let go of the interpreter, so it need not wait to have it again."""
    lines = (
        "        SWIG_PYTHON_THREAD_BEGIN_ALLOW;",
        f"            {call}",
        "            SWIG_PYTHON_THREAD_END_ALLOW;",
    )
    return Edit(BINDING, "\n".join(lines) + "\n", f"            {call}\n")


def _tells_text_first(callback: str) -> Edit:
    """A callback that may need the text of the message in hand tells it to Python before."""
    before = f"void SwigDirector_{callback} {{\n  SWIG_PYTHON_THREAD_BEGIN_BLOCK;\n"
    return Edit(BINDING, before, before + "  tell_incoming();\n")


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
    # After a length that is no number, the text of the message before was taken once more.
    Edit(
        "C++/ThreadedSocketConnection.cpp",
        """  try {
    return m_parser.readFixMessage(msg);
  } catch (MessageParseError &) {}
  return true;
""",
        """  while (true) {
    try {
      return m_parser.readFixMessage(msg);
    } catch (MessageParseError &) {
      // what could not be read has left the buffer
    }
  }
""",
    ),
    # A Reject(3) after a lost message moved the number expected past it, and it was never asked for again.
    Edit(
        "C++/Session.cpp",
        """  if (!verify(reject, false, true)) {
""",
        """  if (!verify(reject, true, true)) {
""",
    ),
    # A connection was closed where it was to be disconnected: its own thread went on polling and reading a number
    # that was by then another session's, or the database's, and took its bytes. Whoever owns it closes it, once.
    Edit(
        "C++/ThreadedSocketConnection.cpp",
        """  m_disconnect = true;
  socket_close(m_socket);
""",
        """  m_disconnect = true;
  shutdown(m_socket, 2);
""",
    ),
    Edit(
        "C++/ThreadedSocketConnection.cpp",
        """    processStream();
    return true;
""",
        """    processStream();
    return !m_disconnect;
""",
    ),
    Edit(
        "C++/ThreadedSocketConnection.cpp",
        """        disconnect();
        continue;
""",
        """        disconnect();
        return;
""",
    ),
    Edit(
        "C++/ThreadedSocketConnection.cpp",
        """    ssize_t sent = socket_send(m_socket, msg.c_str() + totalSent, msg.length());
""",
        """    ssize_t sent = socket_send(m_socket, msg.c_str() + totalSent, msg.length() - totalSent);
""",
    ),
    Edit(
        "C++/ThreadedSocketAcceptor.cpp",
        """  while (pConnection->read()) {}
  delete pConnection;
  if (!pAcceptor->isStopped()) {
    pAcceptor->removeThread(socket);
  }
  return 0;
""",
        """  while (pConnection->read()) {}
  delete pConnection;
  pAcceptor->removeThread(socket);
  socket_close(socket);
  return 0;
""",
    ),
    Edit(
        "C++/ThreadedSocketAcceptor.cpp",
        """    socket_close(i->first);
  }
  for (i = threads""",
        """    if (m_sockets.count(i->first)) {
      socket_close(i->first);
    } else {
      shutdown(i->first, 2);
    }
  }
  for (i = threads""",
    ),
    Edit(
        "C++/ThreadedSocketInitiator.cpp",
        """    socket_close(i->first);
  }

  for (i = threads""",
        """    shutdown(i->first, 2);
  }

  for (i = threads""",
    ),
    Edit(
        "C++/ThreadedSocketInitiator.cpp",
        """        delete pConnection;
        setDisconnected(s);
""",
        """        delete pConnection;
        setDisconnected(s);
        socket_close(socket);
""",
    ),
    Edit(
        "C++/ThreadedSocketInitiator.cpp",
        """    delete pConnection;
    pInitiator->removeThread(socket);
    pInitiator->setDisconnected(sessionID);
    return 0;
""",
        """    delete pConnection;
    pInitiator->setDisconnected(sessionID);
    pInitiator->removeThread(socket);
    socket_close(socket);
    return 0;
""",
    ),
    Edit(
        "C++/ThreadedSocketInitiator.cpp",
        """  delete pConnection;
  if (!pInitiator->isStopped()) {
    pInitiator->removeThread(socket);
  }

  pInitiator->setDisconnected(sessionID);
""",
        """  delete pConnection;
  pInitiator->setDisconnected(sessionID);
  pInitiator->removeThread(socket);
  socket_close(socket);
""",
    ),
    *SESSION_EDITS,
    *PACE_EDITS,
    *TLS_EDITS,
    Edit(
        BINDING,
        "SwigDirector_Log::SwigDirector_Log(PyObject *self): FIX::Log(), Swig::Director(self) {\n",
        "// The session through which this thread sends a message of Python's making, "
        "and how to set it for one call.\n"
        """static thread_local FIX::Session *sending_session = nullptr;

namespace {
struct Sending {
  explicit Sending(FIX::Session *session) { sending_session = session; }
  ~Sending() { sending_session = nullptr; }
};
} // namespace

// The last text that came on this thread, and the log that is yet to be told of it.
static thread_local SwigDirector_Log *incoming_log = nullptr;
static thread_local std::string incoming_text;
static thread_local bool telling_incoming = false;

static void tell_incoming() {
  if (incoming_log == nullptr) {
    return;
  }
  SwigDirector_Log *log = incoming_log;
  incoming_log = nullptr;
  telling_incoming = true;
  log->onIncoming(incoming_text);
  telling_incoming = false;
}

SwigDirector_Log::SwigDirector_Log(PyObject *self): FIX::Log(), Swig::Director(self) {
""",
    ),
    Edit(
        BINDING,
        "void SwigDirector_Log::onIncoming(std::string const &arg0) {\n",
        """void SwigDirector_Log::onIncoming(std::string const &arg0) {
  if (!telling_incoming) {
    incoming_log = this;
    incoming_text = arg0;
    return;
  }
""",
    ),
    Edit(
        BINDING,
        "void SwigDirector_Log::onOutgoing(std::string const &arg0) {\n",
        """void SwigDirector_Log::onOutgoing(std::string const &arg0) {
  if (sending_session != nullptr) {
    return;
  }
""",
    ),
    Edit(
        BINDING,
        "void SwigDirector_Application::toApp(FIX::Message &arg0,FIX::SessionID const &arg1) {\n",
        """void SwigDirector_Application::toApp(FIX::Message &arg0,FIX::SessionID const &arg1) {
  if (sending_session != nullptr) {
    if (!sending_session->isLoggedOn()) {
      throw FIX::DoNotSend();
    }
    return;
  }
""",
    ),
    Edit(
        BINDING,
        "            result = (bool)(arg1)->send(*arg2);\n",
        "            Sending sending(arg1);\n            result = (bool)(arg1)->send(*arg2);\n",
    ),
    # A list of texts leaves in one call: made into messages with the session's own dictionaries, and sent, without
    # the interpreter, which every other way takes and gives back for each message.
    Edit(
        BINDING,
        "SWIGINTERN PyObject *_wrap_Session_send(PyObject *self, PyObject *args) {\n",
        """// Texts that left, as they left, and why the next one is no message ('' if it is, but the session is off).
static PyObject *send_texts(FIX::Session *session, PyObject *list) {
  std::vector<std::string> texts, left;
  std::string not_text, problem;
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list) && not_text.empty(); ++i) {
    std::string *text = nullptr;
    const int kind = SWIG_AsPtr_std_string(PyList_GET_ITEM(list, i), &text);
    if (!SWIG_IsOK(kind) || text == nullptr) {
      PyErr_Clear();
      not_text = "it is no text that can be encoded";
      continue;
    }
    texts.push_back(*text);
    if (SWIG_IsNewObj(kind)) {
      delete text;
    }
  }
  {
    SWIG_PYTHON_THREAD_BEGIN_ALLOW;
    try {
      Sending sending(session);
      const FIX::DataDictionaryProvider &provider = session->getDataDictionaryProvider();
      const FIX::SessionID &id = session->getSessionID();
      const FIX::DataDictionary &transport = provider.getSessionDataDictionary(id.getBeginString());
      const FIX::DataDictionary &application = id.isFIXT()
          ? provider.getApplicationDataDictionary(FIX::ApplVerID(session->getSenderDefaultApplVerID()))
          : transport;
      for (const std::string &text : texts) {
        FIX::Message message;
        message.setString(text, false, &transport, &application);
        if (!session->send(message)) {
          not_text.clear();
          break;
        }
        left.push_back(message.toString());
      }
      problem = not_text;
    } catch (std::exception &error) {
      problem = error.what();
    }
    SWIG_PYTHON_THREAD_END_ALLOW;
  }
  PyObject *sent = PyList_New(0);
  for (const std::string &text : left) {
    PyObject *one = SWIG_From_std_string(text);
    if (sent == nullptr || one == nullptr || PyList_Append(sent, one) != 0) {
      Py_XDECREF(one);
      Py_XDECREF(sent);
      return nullptr;
    }
    Py_DECREF(one);
  }
  return Py_BuildValue("(NN)", sent, SWIG_From_std_string(problem));
}

SWIGINTERN PyObject *_wrap_Session_send(PyObject *self, PyObject *args) {
""",
    ),
    Edit(
        BINDING,
        """  res2 = SWIG_ConvertPtr(swig_obj[1], &argp2, SWIGTYPE_p_FIX__Message,  0 );
  if (!SWIG_IsOK(res2)) {
    SWIG_exception_fail(SWIG_ArgError(res2), "in method '" "Session_send" \
"', argument " "2"" of type '" "FIX::Message &""'");\x20
""",
        """  if (PyList_Check(swig_obj[1])) {
    return send_texts(arg1, swig_obj[1]);
  }
  res2 = SWIG_ConvertPtr(swig_obj[1], &argp2, SWIGTYPE_p_FIX__Message,  0 );
  if (!SWIG_IsOK(res2)) {
    SWIG_exception_fail(SWIG_ArgError(res2), "in method '" "Session_send" \
"', argument " "2"" of type '" "FIX::Message &""'");\x20
""",
    ),
    _tells_text_first("Log::onEvent(std::string const &arg0)"),
    _tells_text_first("Application::toAdmin(FIX::Message &arg0,FIX::SessionID const &arg1)"),
    _tells_text_first("Application::fromAdmin(FIX::Message const &arg0,FIX::SessionID const &arg1)"),
    _tells_text_first("Application::fromApp(FIX::Message const &arg0,FIX::SessionID const &arg1)"),
    _keeps_interpreter("result = ((FIX::Message const *)arg1)->toString();"),
    *STORE_EDITS,
    *PORT_EDITS,
)


def apply_edits(source: Path) -> None:
    """Make the edits in an unpacked source. Raises SetupFailed where a text is not there exactly once."""
    for edit in EDITS:
        path = source / edit.file
        text = path.read_text(encoding="utf-8")
        if text.count(edit.before) != 1:
            raise SetupFailed(f"QuickFIX's {edit.file} is not as scripts/setuplib/engine_edits.py expects it")
        path.write_text(text.replace(edit.before, edit.after), encoding="utf-8")
