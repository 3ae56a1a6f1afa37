"""`memlaw advise runs/STUDY --data facts.jsonl --recall 0.99`: which rank does this memory need?

The answer comes from a fit of the law, and from the link between mean loss and recalled share in the study's own cells.
Of data it counts the bits that the study's base model does not know.
"""

import argparse
import sys
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import pandas as pd

from memlaw.core.errors import ConfigError, refuse
from memlaw.core.wording import count
from memlaw_analysis.advice.advice import RECALL, Question, check_positive, check_share
from memlaw_analysis.advice.data_bits import DataBits, score_data
from memlaw_analysis.advice.link import NoAdvice
from memlaw_analysis.advice.rank_advice import EXTRAPOLATION, advise
from memlaw_analysis.advice.train_command import base_model, train_command
from memlaw_analysis.law.fits import Fits
from memlaw_analysis.tables.conditions import conditions
from memlaw_analysis.tables.studies import NoCells, load_studies


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="memlaw advise", description=__doc__)
    parser.add_argument("study", type=Path, help="a study's directory, e.g. runs/default")
    subject = parser.add_mutually_exclusive_group(required=True)
    subject.add_argument("--data", type=Path, help="rows or a text, as `memlaw verify` reads them; asks for the rank")
    subject.add_argument("--bits", type=_number(check_positive), help="bits of a memory that the base model does not "
                         "know; asks for the rank")  # fmt: skip
    subject.add_argument("--tokens", type=_number(check_positive), help="tokens of a text like the study's; asks for "
                         "the rank")  # fmt: skip
    subject.add_argument("--rank", type=_number(check_positive), help="LoRA rank; asks for the length")
    goal = parser.add_mutually_exclusive_group()
    goal.add_argument("--recall", type=_number(check_share), help=f"share of tokens with p > 0.5 (default {RECALL:g})")
    goal.add_argument("--delta-loss", type=_number(check_positive), help="ΔL to reach in nats per token, instead")
    parser.add_argument("--parameters-per-rank", type=_number(check_positive), help="trainable parameters per rank of "
                        "your adapter: Σ (inputs + outputs) of its modules (default: the study's)")  # fmt: skip
    parser.add_argument(
        "--extrapolate", action="store_true", help=f"answer also beyond {EXTRAPOLATION:g} times the measured range"
    )
    return parser


def _number(check: Callable[[float], float]) -> Callable[[str], float]:
    """Return the type of an option: a number that passes the check."""

    def parse(text: str) -> float:
        try:
            return check(float(text))
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return parse


def main() -> None:
    """Print the answer of each condition; exit code 2 for what the user can mend, 1 where no condition has one."""
    given = _parser().parse_args()
    answered, score = False, cache(partial(score_data, given.data))
    try:
        table = load_studies([given.study])
        for label, cells in conditions(table):
            if label:
                print(f"{label}:")
            data = score(base_model(cells)) if given.data else None
            answered |= _answer(cells, given, data)
    except (NoCells, ConfigError, OSError) as error:
        refuse(error)
    sys.exit(0 if answered else 1)


def _answer(cells: pd.DataFrame, given: argparse.Namespace, data: DataBits | None) -> bool:
    """Print the answer of a condition and the cells to train next; return whether there is an answer."""
    question = Question(
        tokens=given.tokens,
        bits=data.bits if data else given.bits,
        pairs=data.pairs if data else 1,
        rank=given.rank,
        recall=given.recall,
        delta_loss=given.delta_loss,
        parameters_per_rank=given.parameters_per_rank,
    )
    if data:
        print(f"{data.path}: {count(data.pairs, 'pair')}, {data.tokens:,} target tokens, {data.bits:,.0f} bits that "
              f"{base_model(cells)} does not know.")  # fmt: skip
    try:
        advice = advise(Fits(cells), question, given.extrapolate)
    except NoAdvice as error:
        print(f"No answer: {error}", file=sys.stderr)
        if data:
            _print_sweep(cells, given.study, data, float(cells["lora.rank"].median()))
        return False
    print("\n".join(advice.sentences()))
    if advice.next_cells:
        print("  These cells would narrow the interval most, per token trained:")
        for rank, length in advice.next_cells:
            print(f"    {train_command(cells, given.study, [rank], [length])}")
    if data:
        _print_sweep(cells, given.study, data, advice.value)
    return True


def _print_sweep(cells: pd.DataFrame, study: Path, data: DataBits, rank: float) -> None:
    """Print the command that trains on the data itself, which alone is free of what was carried over."""
    print("  Only a sweep on the data itself, with your lora.target_modules and lora.layers, is free of these errors:")
    print(f"    {train_command(cells, study, *data.sweep(rank), on=data.trainable)}")


if __name__ == "__main__":
    main()
