"""memlaw: measure how much a LoRA adapter can memorize verbatim.

    import memlaw
    study = memlaw.load_study(memlaw.train(["lora.rank=1,4,16", "seq_len=64,256"]))
    print(memlaw.fit(study).summary)
    print(memlaw.advise(study, tokens=500, recall=0.99))
    print(memlaw.verify(None, "my-adapter", "facts.jsonl").verdict)

Importing the package imports nothing else; a function's module is imported when the function is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from memlaw.core.version import __version__

if TYPE_CHECKING:
    from memlaw_analysis.api import advise, fit, load_study

    from memlaw.sweep.program import train
    from memlaw.verification.verification import verify

__all__ = ["__version__", "advise", "fit", "load_study", "train", "verify"]

_HOMES = {
    "advise": "memlaw_analysis.api",
    "fit": "memlaw_analysis.api",
    "load_study": "memlaw_analysis.api",
    "train": "memlaw.sweep.program",
    "verify": "memlaw.verification.verification",
}
"""Exported function → module that defines it."""


def __getattr__(name: str) -> Any:
    """Import an exported function on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from memlaw.core.paths import add_checkout

    add_checkout()
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
