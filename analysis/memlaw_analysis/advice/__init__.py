"""Advice: which rank a text needs, and which cells to train next."""
