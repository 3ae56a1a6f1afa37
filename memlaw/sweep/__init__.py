"""Train a grid of cells."""
