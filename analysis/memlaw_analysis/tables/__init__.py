"""Read studies, published points and W&B runs into one table of cells."""
