"""The benchmark behind ``scripts/bench``: load generator, baseline relay, measuring, report."""
