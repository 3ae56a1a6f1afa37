"""Chooses the tokens and pairs that a step trains on: SFT, MemFT and its curriculum."""
