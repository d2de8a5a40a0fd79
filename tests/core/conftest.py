"""The desk that the core's tests trade at; afterwards every test's events are replayed with their decisions (I7)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.core.desk import Desk


@pytest.fixture
def desk() -> Iterator[Desk]:
    """Two clients, two brokers, everybody logged on, trading on."""
    desk = Desk()
    yield desk
    desk.replayed()
