"""The command line, one file per command group; `main` is the entry point of `oms`."""

from __future__ import annotations

from oms.cli.main import main
