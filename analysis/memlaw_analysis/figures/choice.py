"""Which figures a condition or a comparison of methods gets, and their captions. No I/O."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from memlaw_analysis.figures.bits import bits_figure
from memlaw_analysis.figures.fit_quality import prediction_figure, residual_figure
from memlaw_analysis.figures.heat_maps import exact_figure, loss_heat_map
from memlaw_analysis.figures.law import collapse_figure, law_figure, models_figure, surface_figure
from memlaw_analysis.figures.methods import convergence_figure, methods_figure
from memlaw_analysis.figures.tokens import (
    curves_figure,
    failures_figure,
    positions_figure,
    probability_figure,
    recall_figure,
    transition_figure,
)
from memlaw_analysis.findings import Findings, Tokens
from memlaw_analysis.recall.dynamics import telling_length
from memlaw_analysis.recall.methods import Comparison, compared
from memlaw_analysis.recall.transition import wrong_positions

CAPTIONS = {
    "law": "ΔL against rank and against length, the fitted law dashed (paper, figure 1)",
    "surface": "ΔL over rank and length: the fitted surface and the cells (paper, figure 2)",
    "prediction": "Predicted against true ΔL (paper, figure 3)",
    "residuals": "Relative residuals over length",
    "loss": "Final loss over rank and length (paper, figure 4)",
    "exact": "Exact match over rank and length (paper, figures 4 and 10)",
    "probability": "How the tokens' probabilities evolve, by rank (paper, figure 5)",
    "transition": "P(argmax right | p), and the first failure against its lower bound (paper, figure 6)",
    "failures": "Where failures fall along the target (paper, figure 7)",
    "positions": "Probability at every position, by rank (paper, figure 8)",
    "curves": "Learning curves (paper, figure 9)",
    "recall": "Recalled tokens, and text before the first failure, against ΔL/L0",
    "collapse": "ΔL/L0 of all cells as one curve of r^κ/ℓ",
    "bits": "Memorized bits against bits offered, per trainable and per effective parameter",
    "methods": "Every measure of every cell, by training method",
    "convergence": "How the methods converge (paper, figure 9)",
    "models": "ΔL against tokens per rank, by model",
}
"""Name of a figure → what it shows."""


def figures(findings: Findings) -> dict[str, Figure]:
    """Draw every figure that the findings allow; names are those of `CAPTIONS`."""
    cells, fitted, title = findings.cells, findings.usable.cells, findings.title
    law = findings.law.fit if findings.law else None
    line = law if law and law.form.needs is None else None  # a law with the model's size is not a line over rank
    drawn: dict[str, Figure] = {}
    if len(fitted):
        drawn["law"] = law_figure(fitted, line, title)
    if cells["loss_nats"].notna().any():
        drawn["loss"] = loss_heat_map(cells, title)
    if law:
        fits = [law, findings.saturating] if findings.saturating else [law]
        drawn |= {"prediction": prediction_figure(fits, title), "residuals": residual_figure(fits, title)}
        if line:
            drawn["surface"] = surface_figure(fitted, fits[-1], title)
    if findings.collapse:
        drawn["collapse"] = collapse_figure(fitted, findings.collapse, title)
    if findings.capacity:
        both = (findings.capacity, findings.effective_capacity)
        drawn["bits"] = bits_figure([capacity for capacity in both if capacity], title)
    if "base_parameters" in fitted and fitted["base_parameters"].nunique() > 1:
        drawn["models"] = models_figure(fitted, title)
    return drawn | _token_figures(cells, findings.tokens, title) if findings.tokens else drawn


def method_figures(comparison: Comparison) -> dict[str, Figure]:
    """Draw every figure that a comparison of methods allows."""
    drawn = {"methods": methods_figure(comparison)}
    if comparison.cells["exact"].notna().any():
        drawn["exact"] = exact_figure(comparison.cells, comparison.title)
    return drawn if comparison.history.empty else {**drawn, "convergence": convergence_figure(comparison)}


def _token_figures(cells: pd.DataFrame, tokens: Tokens, title: str) -> dict[str, Figure]:
    length = telling_length(cells)
    chosen = cells[cells["target_tokens"] == length]
    first = chosen[chosen["seed"] == chosen["seed"].min()]
    ranks: Mapping[str, float] = dict(zip(first["cell"], first["lora.rank"].astype(float), strict=True))
    methods = dict(zip(first["cell"], first["method.name"], strict=True))
    at = f"{title}, ℓ = {length:g}"
    return {
        "exact": exact_figure(compared(cells), title),
        "transition": transition_figure(tokens.transition, tokens.failures, title),
        "failures": failures_figure(wrong_positions(tokens.last), tokens.failures, title),
        "recall": recall_figure(cells, title),
        "positions": positions_figure(tokens.last, ranks, at),
        "probability": probability_figure(tokens.history, ranks, at),
        "curves": curves_figure(tokens.history, ranks, methods, at),
    }
