"""Counterparties for the codec's tests: an encoder per FIX version and dialect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from oms.config.dialects import Dialect
from oms.config.dictionaries import STANDARD_DIRECTORY, STANDARD_NAMES
from oms.config.sessions import SessionSpec
from oms.fix.encode import Encoder

VERSIONS = {"4.2": "FIX.4.2", "4.4": "FIX.4.4", "5.0SP2": "FIX.5.0SP2"}
HANDL_INST = {"set": {"21": "1"}}


def session_spec(version: str, **tags: Any) -> SessionSpec:
    """A session of a version with the standard dictionary; `tags` are its dialect's tag rules."""
    transport = version == "5.0SP2"
    path = STANDARD_DIRECTORY / STANDARD_NAMES[VERSIONS[version]]
    rules = HANDL_INST | tags if version == "4.2" else tags
    return SessionSpec(
        name="THEM",
        role="client",
        begin_string="FIXT.1.1" if transport else VERSIONS[version],  # type: ignore[arg-type]
        appl_ver_id=VERSIONS[version],  # type: ignore[arg-type]
        sender_comp_id="US",
        target_comp_id="THEM",
        qualifier="",
        session_id="",
        transport_dictionary=STANDARD_DIRECTORY / "FIXT11.xml" if transport else None,
        application_dictionary=path,
        dialect=Dialect(name="test", ord_types=["limit"], times_in_force=["day"], tags=rules),  # type: ignore[arg-type]
        store_path=Path(),
        host="",
        port=0,
        tls=False,
        settings={},
    )


def encoder(version: str, **tags: Any) -> Encoder:
    """The encoder of such a session."""
    return Encoder(session_spec(version, **tags))
