"""Which tokens and pairs a step trains on: SFT, MemFT and its curriculum."""
