"""How long a start takes on a ledger with a long history: filled, started as a process, measured step by step."""
