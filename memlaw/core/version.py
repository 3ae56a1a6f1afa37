"""The version of memlaw. Each cell's result records it."""

__version__ = "0.1.0"
