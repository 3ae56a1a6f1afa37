"""The commands that add the cells that a condition lacks most."""

from pathlib import Path

import numpy as np

from memlaw_analysis.advice.next_cells import longer, most_informative
from memlaw_analysis.advice.train_command import train_command
from memlaw_analysis.findings import Findings
from memlaw_analysis.law.saturation import DEFAULT


def next_commands(findings: Findings, study: Path) -> list[str]:
    """Return the commands to run next: cells that narrow α most, else cells that would be unsaturated.

    Args:
        findings: of a condition with usable cells.
        study: the directory that gets the cells.
    """
    fit = findings.saturating
    if not fit or not has_exponents(findings):
        return [longer_command(findings, study)]
    gradient = np.array([float(name == "alpha") for name in fit.result.var_names])
    chosen = most_informative(fit, findings.usable.cells, gradient)
    return sorted({train_command(findings.cells, study, [rank], [length]) for rank, length in chosen})


def has_exponents(findings: Findings) -> bool:
    """Return whether the saturating form is identified, so that cells can be chosen to narrow α."""
    return bool(findings.saturating and not findings.saturating.not_identified)


def longer_command(findings: Findings, study: Path) -> str:
    """Return the command that trains cells that would be unsaturated."""
    cells = findings.usable.cells
    return train_command(findings.cells, study, *longer(cells, DEFAULT.excludes(cells)))
