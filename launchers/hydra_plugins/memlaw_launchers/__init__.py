"""Hydra launchers that train cells in packs."""
