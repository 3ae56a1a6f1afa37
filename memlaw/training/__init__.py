"""One pack, from its base model to finished cells."""
