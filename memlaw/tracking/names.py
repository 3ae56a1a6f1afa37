"""Names that are short enough for a service, and still distinct."""

import hashlib


def shortened(name: str, limit: int = 128) -> str:
    """Cut a name longer than `limit` characters, and end it with `-` and 8 hex digits of its SHA-256."""
    if len(name) <= limit:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: limit - len(digest) - 1]}-{digest}"
