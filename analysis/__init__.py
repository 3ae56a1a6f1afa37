"""Fit, compare and report; reads `memlaw.records` and imports no torch."""
