"""A look again and again, from a thread of its own: what the watches over lines, ports and threads share."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod


class Watch(ABC):
    """Calls `look` every `pause` seconds from `start` to `stop`; its thread is called `name`."""

    def __init__(self, name: str, pause: float) -> None:
        self._pause = pause
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to look; nothing where it looks already, or is to look no more."""
        if not self._thread.is_alive() and not self._ended.is_set():
            self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(self._pause):
            self.look()

    @abstractmethod
    def look(self) -> None:
        """Look once."""
