"""The crash matrix: what scripts/crash_matrix does. Built on the storm's house of processes and relays."""
