"""Names that a service takes: cut where they are too long, and still told apart."""

import hashlib


def shortened(name: str, limit: int = 128) -> str:
    """A name of at most `limit` characters: itself, or cut and ended with `-` and 8 hex digits of its SHA-256."""
    if len(name) <= limit:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: limit - len(digest) - 1]}-{digest}"
