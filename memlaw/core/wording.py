"""Write durations and counts in words."""


def duration(seconds: float) -> str:
    """Write a time for a reader: `12 s`, `34 min`, `5.6 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def count(number: int, noun: str) -> str:
    """Write a number with its noun: `1 cell`, `2 cells`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
