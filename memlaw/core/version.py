"""The version of memlaw, which records carry."""

__version__ = "0.1.0"
