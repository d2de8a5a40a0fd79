"""Overload and soak of a running gateway; see scripts/overload and scripts/soak."""
