"""Base models: where they come from, what they are made of, and their head."""
