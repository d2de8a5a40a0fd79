"""Where operators come in: the socket on this machine and, where it is configured, TLS for those who are elsewhere.

Both ask the same access, so that it makes no difference for what somebody may do through which of them they came.
"""

from __future__ import annotations

from oms.config.load import Config
from oms.errors import OmsError
from oms.ops.commands import Commands
from oms.ops.control import Calls, ControlServer, socket_path
from oms.ops.remote import RemoteServer


class Doors:
    """Of one gateway."""

    def __init__(self, config: Config, commands: Commands) -> None:
        self._access, people = commands.access(), commands.people
        calls = Calls(self._access, people, self._access.refused)
        self._control = ControlServer(
            socket_path(config.gateway.state_dir), self._access, people, self._access.refused
        )
        self._remote = RemoteServer(config.control, calls)
        self._state_dir = config.gateway.state_dir

    def start(self) -> None:
        """Open them, what was looked at before on record. Raises OperatorError where one cannot be opened."""
        self._access.looked(self._state_dir)
        self._control.start()
        try:
            self._remote.start()
        except OmsError:
            self._control.stop()
            raise

    def stop(self) -> None:
        """Close them."""
        self._remote.stop()
        self._control.stop()

    def note(self) -> None:
        """Hand over what was only counted so far, while it can still be written down."""
        self._access.stop()
