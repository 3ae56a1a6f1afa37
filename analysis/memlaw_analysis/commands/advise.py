"""`memlaw advise runs/STUDY --tokens 500 --recall 0.99`: which rank does a text of this length need?

The answer comes from a fit of the law, and from the link between mean loss and recalled share in the study's own cells.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from memlaw.core.errors import refuse
from memlaw_analysis.advice.advice import RECALL, Question, check_positive, check_share
from memlaw_analysis.advice.link import NoAdvice
from memlaw_analysis.advice.rank_advice import EXTRAPOLATION, advise
from memlaw_analysis.advice.train_command import train_command
from memlaw_analysis.law.fits import Fits
from memlaw_analysis.tables.conditions import conditions
from memlaw_analysis.tables.studies import NoCells, load_studies


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="memlaw advise", description=__doc__)
    parser.add_argument("study", type=Path, help="a study's directory, e.g. runs/default")
    subject = parser.add_mutually_exclusive_group(required=True)
    subject.add_argument("--tokens", type=_number(check_positive), help="tokens of the text; asks for the rank")
    subject.add_argument("--rank", type=_number(check_positive), help="LoRA rank; asks for the length")
    goal = parser.add_mutually_exclusive_group()
    goal.add_argument("--recall", type=_number(check_share), help=f"share of tokens with p > 0.5 (default {RECALL:g})")
    goal.add_argument("--delta-loss", type=_number(check_positive), help="ΔL to reach in nats per token, instead")
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
    question = Question(tokens=given.tokens, rank=given.rank, recall=given.recall, delta_loss=given.delta_loss)
    try:
        table = load_studies([given.study])
    except (NoCells, OSError) as error:
        refuse(error)
    answered = False
    for label, cells in conditions(table):
        if label:
            print(f"{label}:")
        try:
            advice = advise(Fits(cells), question, given.extrapolate)
        except NoAdvice as error:
            print(f"No answer: {error}", file=sys.stderr)
            continue
        answered = True
        print("\n".join(advice.sentences()))
        if advice.next_cells:
            print("  These cells would narrow the interval most, per token trained:")
            for rank, length in advice.next_cells:
                print(f"    {train_command(cells, given.study, [rank], [length])}")
    sys.exit(0 if answered else 1)


if __name__ == "__main__":
    main()
