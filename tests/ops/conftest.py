"""A flow to watch, and a way to read what the instruments show."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests.ops.desk import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    """The process's logging is left as it was found."""
    root, ours = logging.getLogger(), logging.getLogger("oms")
    handlers, levels = list(root.handlers), (root.level, ours.level)
    yield
    for handler in [one for one in root.handlers if one not in handlers]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(levels[0])
    ours.setLevel(levels[1])
    logging.captureWarnings(False)
    structlog.reset_defaults()
