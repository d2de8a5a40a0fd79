"""The gateway's acceptor, as `oms run` configures it, in every session-level situation of `situations/`.

The ids name the version and the file: fix44-2c_number_too_low. How files are read is in situation.py.
"""

from __future__ import annotations

from concurrent.futures import Future

import pytest

from tests.session_level.conftest import CASES


@pytest.mark.parametrize("case", CASES)
def test_the_gateway_answers_as_the_situation_says(case: str, played: dict[str, Future[None]]) -> None:
    played[case].result(timeout=100)
