"""Write docs/architectures.md: `python tests/helpers/architectures/table.py`, about five minutes."""

import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[2])]

from transformers import __version__

from helpers.architectures.examine import COLUMNS, Row, examine
from helpers.architectures.sizes import MODEL_TYPES

INTRODUCTION = """# Architectures

What memlaw makes of each of the {types} causal LMs that transformers {version} knows, tried with three tiny layers of
random weights: {trains} train, {refused} are refused with the reason, {missing} cannot be made so small here. One that
trains has done so in a pack of two ranks on several pairs of different lengths, with the prefix cached where it can
be. Its losses, with and without the adapter, are those of the model's own logits and of the exported adapter in PEFT,
a pair at a time; and what it decodes is what teacher forcing predicts. Nothing is special-cased: the same trials are
made before any sweep is queued, and again on the model's own weights before it trains.

- *the default adapts*: `lora.target_modules=auto` in the last layer. Experts that are fused into one parameter cannot
  be adapted yet; neither can modules to which PEFT gives another name.
- *prefix cached*: `inside` is everything before the first adapter; `none` means that later layers need more of the
  first ones than their output, so that every step runs the whole model.
- *recall decodes*: `cache` with a KV cache; `rows` by whole rows, since with a cache the model computes something
  else (padding or positions ignored, or a cache that this small stack cannot make).

`python tests/helpers/architectures/table.py` makes this page; the slow tests hold it true.
"""


def row_line(row: Row) -> str:
    """The row as a line of a Markdown table."""
    return f"| `{row.model_type}` | {row.verdict} | {row.adapted} | {row.prefix} | {row.recall} |"


def document(rows: Sequence[Row]) -> str:
    """The whole page."""
    kinds = Counter(row.verdict.split(":")[0].split(" when")[0] for row in rows)
    introduction = INTRODUCTION.format(
        types=len(rows),
        version=__version__,
        trains=kinds["trains"],
        refused=kinds["refused"],
        missing=kinds["not built"],
    )
    header = [f"| {' | '.join(COLUMNS)} |", "|" + "---|" * len(COLUMNS)]
    return "\n".join([introduction, *header, *map(row_line, rows)]) + "\n"


def main() -> None:
    """Examine all architectures and write the page."""
    with tempfile.TemporaryDirectory() as runs:
        rows = [examine(model_type, Path(runs) / model_type) for model_type in MODEL_TYPES]
    page = Path(__file__).parents[3] / "docs" / "architectures.md"
    page.write_text(document(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
