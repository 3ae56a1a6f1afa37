"""From studies, kept studies and W&B runs to one table of cells."""
