"""The demo: a gateway, two brokers and two clients on this machine, and proof that their views agree.

`plan` says what is traded, `place` where, `processes` runs the parts, `comparison` is the proof (a pure function over
the three views), `report` shows it. Nothing here is used by the gateway.
"""
