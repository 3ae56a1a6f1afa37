"""Train a sweep: `memlaw train -m lora.rank=1,4,16 seq_len=64,256,1024`. Without `-m`, train a single cell."""

import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from memlaw.config.command_line import as_typed
from memlaw.sweep.application import run_application
from memlaw.sweep.program import train


class _Callable(ModuleType):
    """Python binds `memlaw.train` to this module once it is imported; `memlaw.train([...])` must still train."""

    def __call__(self, overrides: Sequence[str] = ()) -> Path:
        return train(overrides)


sys.modules[__name__].__class__ = _Callable


def main() -> None:
    """Run the command. It ends with exit code 1 when cells failed, and with 2 when the configuration is impossible.

    HYDRA_FULL_ERROR=1 shows a traceback first, as with Hydra.
    """
    run_application(as_typed(sys.argv[1:]))


if __name__ == "__main__":
    main()
