"""The standard's order state scenarios as files, and what runs them against a gateway."""
