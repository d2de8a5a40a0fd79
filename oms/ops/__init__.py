"""Instruments for operators: metrics, logs, control."""
