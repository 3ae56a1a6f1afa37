"""Judge whether adapters recall your data, and why not: `memlaw verify --adapter DIR --data FILE`.

An adapter is a PEFT checkpoint, a memlaw cell, a model that an adapter was merged into, or `none` for the base alone.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from memlaw_analysis.verification.page import write_page
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from memlaw.core.errors import ConfigError, leave_interrupted, refuse
from memlaw.core.wording import count
from memlaw.data.prompt import CHAT_TEMPLATES, Prompt
from memlaw.study.verification import BASE, VerificationPaths
from memlaw.verification.batches import Batch
from memlaw.verification.judging import How
from memlaw.verification.material import Where
from memlaw.verification.rules import REQUIRED
from memlaw.verification.verification import Verification, verify


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="memlaw verify", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--adapter", nargs="+", required=True, metavar="DIR", help="what to judge; several at once")
    parser.add_argument("--data", required=True, help="rows (.jsonl, .json, .csv, .parquet), a text, or a data set")
    parser.add_argument("--model", help="base model: a path, an option of conf/model, or a Hub id (default: the one "
                        "that the first adapter names)")  # fmt: skip
    rows = parser.add_argument_group("which part of the data is what; guessed by the names of the fields")
    rows.add_argument("--query-field", help="field of the query")
    rows.add_argument("--target-field", help="field of the target")
    rows.add_argument("--query", help="the query of a text file, which has none")
    rows.add_argument("--subset", help="configuration of a data set")
    rows.add_argument("--split", default="train", help="split of a data set (default %(default)s)")
    asking = parser.add_argument_group("how to ask and to compute")
    asking.add_argument("--chat-template", choices=CHAT_TEMPLATES, default="auto", help="default %(default)s")
    asking.add_argument("--system-prompt", help="text of a system turn before the query")
    asking.add_argument("--template-arguments", type=_arguments, metavar="JSON", help="arguments of the chat template, "
                        """such as '{"enable_thinking": false}'""")  # fmt: skip
    asking.add_argument("--precision", choices=("fp32", "bf16", "auto"), default="fp32", help="default %(default)s")
    asking.add_argument("--device", default="auto", help="a name of torch's (default %(default)s)")
    asking.add_argument("--merge", action="store_true", help="add adapters to the weights first, as for serving")
    asking.add_argument("--no-decode", action="store_true", help="score only; write nothing from the queries")
    results = parser.add_argument_group("results")
    results.add_argument("--out", type=Path, help="write tables and a page here; run again, it goes on")
    results.add_argument("--json", action="store_true", help="print one JSON object")
    results.add_argument("--require-recall", type=_share, metavar="SHARE", help="exit with code 1 unless each adapter "
                         f"recalls this share of the pairs (a verdict asks for {REQUIRED:g})")  # fmt: skip
    return parser


def _arguments(text: str) -> dict[str, Any]:
    try:
        arguments = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not JSON: {error}") from error
    if not isinstance(arguments, dict):
        raise argparse.ArgumentTypeError("not a JSON object")
    return arguments


def _share(text: str) -> float:
    share = float(text)
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not a share: above 0 and at most 1")
    return share


def show_progress(batches: Sequence[Batch]) -> Iterator[Batch]:
    """Show on the error stream how far the batches have come, and how long the rest takes."""
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn(), TimeElapsedColumn(),
               TextColumn("ETA"), TimeRemainingColumn())  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield from progress.track(batches, description="batches")


_COLUMNS = {
    "base_loss_nats": ".3f",
    "loss_nats": ".3f",
    "base_bits": ",.0f",
    "stored_bits": ",.0f",
    "bits_per_parameter": ".2g",
    "recalled_share": ".1%",
    "recalled_pairs": ".1%",
}
"""Values of a summary in the order of the table → their format."""


def _shown(value: float | None, form: str) -> str:
    return "–" if value is None else f"{value:{form}}"


def show(found: Verification, console: Console) -> None:
    """Print what was judged, a table of adapters, and each verdict with its evidence."""
    data = found.record["data"]
    console.print(
        f"{data['pairs']} pairs, {data['target_tokens']} target tokens; query: {data['query_from']}; "
        f"target: {data['target_from']}; asked by {found.record['prompt']}",
        soft_wrap=True,
        markup=False,
    )
    if data["contradictions"]:
        rows = count(data["contradictions"], "row")
        console.print(
            f"{rows} with the query of an earlier row and another target: at most one of them can be recalled"
        )
    table = Table(box=None, pad_edge=False)
    table.add_column("adapter", overflow="fold")
    for heading in ("L0", "L", "bits asked", "stored", "bits/par", "p>0.5", "pairs recalled", "verdict"):
        table.add_column(heading, justify="right")
    for adapter in found.record["adapters"]:
        shown = {name: _shown(adapter["summary"][name], form) for name, form in _COLUMNS.items()}
        table.add_row(escape(adapter["name"]), *shown.values(), adapter["verdict"]["kind"])
    console.print(table)
    for name, verdict in found.verdicts.items():
        console.print(f"\n{name}: {verdict.text}", soft_wrap=True, highlight=False, markup=False)
        for line in verdict.evidence:
            console.print(f"  {line}", soft_wrap=True, highlight=False, markup=False)
        for line in verdict.remedies:
            console.print(f"  → {line}", soft_wrap=True, highlight=False, markup=False)


def main() -> None:
    """Run the command; exit code 2 for what the user can mend, 1 where `--require-recall` is not met."""
    given = _parser().parse_args()
    where = Where(given.data, given.query_field, given.target_field, given.query, given.subset, given.split)
    try:
        how = How(
            Prompt(given.chat_template, given.system_prompt, given.template_arguments),
            given.precision,
            given.device,
            given.merge,
            not given.no_decode,
        )
        command = shlex.join(["memlaw", "verify", *sys.argv[1:]])
        found = verify(given.model, given.adapter, where, how, given.out, show_progress, command)
    except ConfigError as error:
        refuse(error)
    except KeyboardInterrupt:
        leave_interrupted("Interrupted. Run the same command again" + (" to go on." if given.out else "."))
    if given.out:
        write_page(given.out)
    if given.json:
        print(json.dumps(found.record, indent=1))
    else:
        show(found, Console())
        if given.out:
            print(f"\nPage: {VerificationPaths(given.out).page}")
    asked = {name: share for name, share in found.recalled_pairs.items() if name != BASE}
    missed = [name for name, share in asked.items() if share < (given.require_recall or 0)]
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
