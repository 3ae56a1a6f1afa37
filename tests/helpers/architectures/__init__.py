"""Tiny models of every architecture, and what memlaw makes of them."""
