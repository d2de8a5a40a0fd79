"""oms: an open FIX order gateway.

Buy-side clients connect over FIX; their orders are validated, risk-checked and routed to brokers as child
orders over FIX; what the brokers report comes back into a Postgres ledger and out to the client, each
fact exactly once.
"""

from __future__ import annotations

__version__ = "0.1.0"
