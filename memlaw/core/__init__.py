"""Errors, files, paths, seeds and words. Every other package may use them."""
