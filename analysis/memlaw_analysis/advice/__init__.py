"""Which rank a text needs, and which cells to train next."""
