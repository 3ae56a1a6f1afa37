"""memlaw: measure how much a LoRA adapter can memorize verbatim.

    import memlaw
    study = memlaw.load_study("runs/default")
    print(memlaw.fit(study).summary)
    print(memlaw.advise(study, tokens=500, recall=0.99))

Importing the package imports nothing else; a function's module is imported when the function is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.api import advise, fit, load_study

__version__ = "0.1.0"
__all__ = ["__version__", "advise", "fit", "load_study"]

_HOMES = {"advise": "analysis.api", "fit": "analysis.api", "load_study": "analysis.api"}
"""Exported function → module that defines it."""


def __getattr__(name: str) -> Any:
    """Import an exported function on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
