"""The pure core: what an order is, how it changes, whether it may, and where it goes.

Nothing here reads a clock, a file, a socket or a random number. Time, sequence numbers and configuration come
in with the event; what comes out is `Effects`: messages to send and rows to write. The same events therefore
always give the same effects, which is what replay and verification stand on.
"""
