"""The work of scripts/verify_speed."""
