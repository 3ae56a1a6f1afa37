"""Base models: their sources, their parts and their head."""
