"""Checks before a sweep: what of this machine, its installation and its cluster would spoil it."""
