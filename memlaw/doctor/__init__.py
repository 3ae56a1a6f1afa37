"""Checks this machine, its installation and its cluster before a sweep."""
