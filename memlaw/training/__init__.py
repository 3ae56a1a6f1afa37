"""Trains a pack, from its base model to finished cells."""
