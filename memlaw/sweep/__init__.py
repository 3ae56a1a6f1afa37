"""From a grid of cells to trained cells."""
