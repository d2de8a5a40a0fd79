"""Where reference prices come from while the gateway runs: sources of several kinds behind one small interface.

A source reads in a thread of its own and gives what it read to the feed; the feed decides which of it the core is to
hear, seldom enough for a journal. The core decides whether a price is used (`oms.core.prices`).
"""
