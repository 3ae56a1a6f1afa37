"""Fit, compare and report; reads `memlaw.study.records` and imports no torch."""
