"""The work of scripts/takeover."""
