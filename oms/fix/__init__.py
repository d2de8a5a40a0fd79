"""The FIX edge: everything that speaks FIX, and the only package that imports `quickfix`.

`engine` wraps QuickFIX sessions, `dictionary` reads data dictionaries, `decode` turns raw text into the core's
messages, `encode` turns the core's messages into text for one counterparty, `store` reads QuickFIX's file
stores before the engine opens them, `endpoint` joins sessions to the inbox.
"""
