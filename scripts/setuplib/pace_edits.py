"""What is changed in QuickFIX's source about time: how often its threads look at the clock, and what is read twice.

A connection's thread looked once a second whether a logout was asked for, and an initiator's once a second whether
it was to end: an orderly stop took two to three seconds, and a reconnect came up to a second late. A tenth costs
nothing that can be measured. And every acceptor and initiator read each dictionary for itself; that of FIX 5.0 SP2
takes more than a second of CPU time.
"""

from __future__ import annotations

from setuplib.session_edits import Edit

PACE_EDITS = (
    Edit(
        "C++/ThreadedSocketConnection.cpp",
        "  int timeout = 1000; // 1000ms = 1 second\n",
        "  int timeout = 100;\n",
    ),
    Edit(
        "C++/ThreadedSSLSocketConnection.cpp",
        "  struct timeval timeout = {1, 0};\n",
        "  struct timeval timeout = {0, 100000};\n",
    ),
    Edit("C++/ThreadedSocketInitiator.cpp", "    process_sleep(1);\n", "    process_sleep(0.1);\n"),
    Edit("C++/ThreadedSSLSocketInitiator.cpp", "    process_sleep(1);\n", "    process_sleep(0.1);\n"),
    # One reading for the process, as long as the file is the same. Sessions go on having copies of their own.
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
static const size_t DICTIONARIES_KEPT = 8;

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
  return text.str();
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
""",
        """  static Dictionaries kept;
  bool preserveMsgFldsOrder = false;
  if (settings.has(PRESERVE_MESSAGE_FIELDS_ORDER)) {
    preserveMsgFldsOrder = settings.getBool(PRESERVE_MESSAGE_FIELDS_ORDER);
  }
  const std::string identity = identity_of(path, preserveMsgFldsOrder);
  {
    Locker l(dictionaries_mutex);
    Dictionaries::iterator i = kept.find(identity);
    if (i != kept.end()) {
      pDD = i->second;
    } else {
      pDD = std::shared_ptr<DataDictionary>(new DataDictionary(path, preserveMsgFldsOrder));
      if (kept.size() >= DICTIONARIES_KEPT) {
        kept.clear();
      }
      kept[identity] = pDD;
    }
  }
""",
    ),
)
