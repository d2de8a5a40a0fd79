"""What is changed in QuickFIX's source about TLS: a thread for each connection, as without TLS.

The acceptor with TLS that the Python binding knows serves all its clients from one thread. Whoever connected and did
not begin a handshake stopped all of them for ten seconds; a client that was made to wait made all wait; and a quiet
client got no heartbeats while another was busy. The source has acceptors and initiators with a thread for each
connection too; the binding is given those. They are corrected where the ones without TLS were (see `engine_edits`);
they ask AllowedRemoteAddresses, which no TLS connection did; and their sockets do not block, so that half a record
holds up nobody, and a handshake that does not go on ends.
"""

from __future__ import annotations

from setuplib.session_edits import BINDING, Edit, listens_on

_CONNECTION = "C++/ThreadedSSLSocketConnection.cpp"
_ACCEPTOR = "C++/ThreadedSSLSocketAcceptor.cpp"
_INITIATOR = "C++/ThreadedSSLSocketInitiator.cpp"

_STOP_BEFORE = "    ssl_socket_close(i->first.first, i->first.second);\n"
_STOP_AFTER = """    if (i->first.second == 0) {
      socket_close(i->first.first);
    } else {
      shutdown(i->first.first, 2);
    }
"""

TLS_EDITS = (
    Edit(
        BINDING,
        "#include <SSLSocketConnection.h>\n",
        """#include <ThreadedSSLSocketAcceptor.h>
#include <ThreadedSSLSocketInitiator.h>
#define SSLSocketAcceptor ThreadedSSLSocketAcceptor
#define SSLSocketInitiator ThreadedSSLSocketInitiator
""",
    ),
    # No descriptor sets, which end at 1024.
    Edit(
        _CONNECTION,
        """  FD_ZERO(&m_fds);
  FD_SET(m_socket, &m_fds);
}
""",
        """  socket_setnonblock(m_socket);
}
""",
    ),
    Edit(
        _CONNECTION,
        """  FD_ZERO(&m_fds);
  FD_SET(m_socket, &m_fds);
  if (m_pSession) {
""",
        """  if (m_pSession) {
""",
    ),
    Edit(
        _CONNECTION,
        """  struct timeval timeout = {1, 0};
  fd_set readset = m_fds;

  try {
    // Wait for input (1 second timeout)
    int result = select(1 + m_socket, &readset, 0, 0, &timeout);
""",
        """  struct pollfd pfd = {m_socket, POLLIN | POLLPRI, 0};
  if (m_pSession) {
    m_pSession->turn();
  }

  try {
    int result = poll(&pfd, 1, 100);
    if (result < 0 && errno == EINTR) {
      return !m_disconnect;
    }
""",
    ),
    Edit(
        _CONNECTION,
        """#include "ThreadedSSLSocketInitiator.h"
#include "Utility.h"
""",
        """#include "ThreadedSSLSocketInitiator.h"
#include "Utility.h"
#include <cerrno>
#include <poll.h>
""",
    ),
    Edit(
        _CONNECTION,
        """        errno = EINTR;
        sent = 0;
      } else {
""",
        """        sent = 0;
        if (m_disconnect) {
          return false;
        }
        const short wanted = errCodeSSL == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT;
        struct pollfd pfd = {m_socket, wanted, 0};
        poll(&pfd, 1, 100);
      } else {
""",
    ),
    # Ended by whoever owns it, and never beside a read or a write of the same connection.
    Edit(
        _CONNECTION,
        """  m_disconnect = true;
  ssl_socket_close(m_socket, m_ssl);
""",
        """  m_disconnect = true;
  Locker locker(m_mutex);
  if (SSL_is_init_finished(m_ssl)) {
    SSL_shutdown(m_ssl);
    ERR_clear_error();
  }
  shutdown(m_socket, 2);
""",
    ),
    Edit(
        _CONNECTION,
        """  try {
    return m_parser.readFixMessage(message);
  } catch (MessageParseError &) {}
  return true;
""",
        """  while (true) {
    try {
      return m_parser.readFixMessage(message);
    } catch (MessageParseError &) {
      // what could not be read has left the buffer
    }
  }
""",
    ),
    Edit(
        _CONNECTION,
        """        disconnect();
        continue;
""",
        """        disconnect();
        return;
""",
    ),
    Edit(
        _CONNECTION,
        """  m_pSession->setResponder(this);
  return true;
}
""",
        """  if (m_pSession->isAcceptor()) {
    const std::string address = socket_peername(m_socket);
    if (!m_pSession->getAllowedRemoteAddresses().empty() && !m_pSession->inAllowedRemoteAddresses(address)) {
      m_pSession->getLog()->onEvent("Deny connections to the acceptor from " + address);
      return false;
    }
    m_pSession->getLog()->onEvent("Allows connections to the acceptor from " + address);
  }

  m_pSession->setResponder(this);
  return true;
}
""",
    ),
    Edit(_ACCEPTOR, _STOP_BEFORE, _STOP_AFTER),
    Edit(_INITIATOR, _STOP_BEFORE, _STOP_AFTER),
    *listens_on(_ACCEPTOR),
    # The address to connect from was read and not used.
    Edit(
        _INITIATOR,
        """    socket_handle socket = socket_createConnector();
""",
        """    socket_handle socket = socket_createConnector();
    if (!host.sourceAddress.empty() || host.sourcePort) {
      socket_bind(socket, host.sourceAddress.c_str(), host.sourcePort);
    }
""",
    ),
    # A broker that takes connections and begins no handshake was waited for without limit.
    Edit(
        _INITIATOR,
        """  int rc = SSL_connect(pConnection->sslObject());
  if (rc <= 0) {
    int err = SSL_get_error(pConnection->sslObject(), rc);
""",
        """  socket_setnonblock(socket);
  const time_t patience = ::time(0) + 10;
  int rc = 0;
  int err = 0;
  while ((rc = SSL_connect(pConnection->sslObject())) <= 0) {
    err = SSL_get_error(pConnection->sslObject(), rc);
    const bool waits = err == SSL_ERROR_WANT_READ || err == SSL_ERROR_WANT_WRITE;
    if (!waits || ::time(0) > patience || pInitiator->isStopped()) {
      break;
    }
    const short wanted = err == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT;
    struct pollfd pfd = {socket, wanted, 0};
    ::poll(&pfd, 1, 100);
  }
  if (rc <= 0) {
""",
    ),
    # While an initiator stops, this thread must be one that is waited for until it no longer uses it.
    *(
        Edit(
            _INITIATOR,
            f"""    pInitiator->removeThread(SocketKey(socket, ssl));
    pInitiator->setDisconnected(sessionID);
    return 0;
  }}

{follows}""",
            f"""    pInitiator->setDisconnected(sessionID);
    pInitiator->removeThread(SocketKey(socket, ssl));
    return 0;
  }}

{follows}""",
        )
        for follows in ("  // Do the SSL handshake.\n", "  pInitiator->setConnected(sessionID);\n")
    ),
    Edit(
        _INITIATOR,
        """  if (!pInitiator->isStopped()) {
    pInitiator->removeThread(SocketKey(socket, ssl));
  }

  pInitiator->setDisconnected(sessionID);
""",
        """  pInitiator->setDisconnected(sessionID);
  pInitiator->removeThread(SocketKey(socket, ssl));
""",
    ),
    Edit(
        _INITIATOR,
        """#include "ThreadedSSLSocketInitiator.h"
""",
        """#include "ThreadedSSLSocketInitiator.h"
#include <poll.h>
""",
    ),
)
