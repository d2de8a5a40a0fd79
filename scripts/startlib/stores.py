"""A session's message store as QuickFIX leaves it, with as many entries as messages were sent.

The engine reads the whole `.header` when it starts, so that has every entry; the `.body` holds the texts of those
messages alone that the gateway will look for, the others share one text.
"""

from __future__ import annotations

from oms.config.sessions import SessionSpec

SOH = "\x01"
STARTED = "20260101-00:00:00"


class Store:
    """Writes one session's store, a message after the other."""

    def __init__(self, spec: SessionSpec) -> None:
        self._spec = spec
        self._prefix = spec.store_path / spec.store_prefix
        spec.store_path.mkdir(parents=True, exist_ok=True)
        self._header = self._file("header").open("w", encoding="ascii")
        self._body = self._file("body").open("wb")
        self._offset = 0
        self._last = 0
        self._common = self._write(self._framed(1, f"35=0{SOH}"))

    def _file(self, ending: str):  # type: ignore[no-untyped-def]
        return self._prefix.with_name(f"{self._prefix.name}.{ending}")

    def _framed(self, number: int, text: str) -> bytes:
        spec = self._spec
        kind, _, body = text.partition(SOH)
        head = f"34={number}{SOH}49={spec.sender_comp_id}{SOH}52=20260101-00:00:00.000{SOH}56={spec.target_comp_id}"
        content = f"{kind}{SOH}{head}{SOH}{body}"
        return f"8={spec.begin_string}{SOH}9={len(content)}{SOH}{content}10=000{SOH}".encode()

    def _write(self, raw: bytes) -> tuple[int, int]:
        place = (self._offset, len(raw))
        self._body.write(raw)
        self._offset += len(raw)
        return place

    def add(self, number: int, text: str) -> None:
        """The next message; with '' for its text it is not looked for."""
        offset, size = self._write(self._framed(number, text)) if text else self._common
        self._header.write(f"{number},{offset},{size} ")
        self._last = number

    def close(self, next_target: int) -> None:
        """The numbers that follow, and the time at which they began."""
        self._header.close()
        self._body.close()
        self._file("seqnums").write_text(f"{self._last + 1:010d} : {next_target:010d}", encoding="ascii")
        self._file("session").write_text(STARTED, encoding="ascii")
