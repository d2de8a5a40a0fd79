"""Simulators: brokers and clients that speak real FIX, for demos, paper trading, certification and tests.

`peer` is a scripted counterparty for tests, `broker` fills what it receives against a price model or a
script, `client` replays or generates an order flow. `record` reads what they wrote down, to compare it with
the ledger. Nothing here reads the gateway's ledger or its code beyond the FIX edge, so that an agreement of
the three means something.
"""

from __future__ import annotations
