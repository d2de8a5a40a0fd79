"""`python -m oms` is `oms`."""

from __future__ import annotations

from oms.cli.main import main

if __name__ == "__main__":
    main()
