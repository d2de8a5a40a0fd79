"""Fuzzing: what scripts/fuzz does. Messages are made in `mutate`, judged in `core` and `sessions`."""
