"""Named, independent random streams. The same seed gives the same numbers on every machine."""

import hashlib

import numpy as np


def stream_seed(seed: int, purpose: str) -> int:
    """Return a 63-bit seed for the stream called `purpose`, independent of every other purpose of `seed`."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{purpose}".encode()).digest()[:8], "little") >> 1


def stream(seed: int, purpose: str) -> np.random.Generator:
    """Return a numpy generator (PCG64) for the stream called `purpose`."""
    return np.random.Generator(np.random.PCG64(stream_seed(seed, purpose)))
