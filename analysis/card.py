"""The fit card: what must be known of a fit to judge and repeat it, as "(Mis)Fitting: A Survey of Scaling Laws" asks
(arXiv 2502.18969): data, protocol, choices, optimizer, uncertainty, error on unseen cells, versions, hash of inputs."""

import hashlib
from collections.abc import Mapping
from importlib.metadata import version

import numpy as np
import pandas as pd

from analysis.compare import FOLDS
from analysis.findings import Findings
from analysis.forms import FORMS
from analysis.sections import show
from analysis.uncertainty import DRAWS, Interval

_INPUTS = ("lora.rank", "target_tokens", "seed", "base_loss_nats", "delta_loss_nats", "trainable_parameters")
_PROTOCOL = (
    "method.name", "steps", "epochs", "batch_size", "optimizer.lr", "optimizer.weight_decay", "optimizer.clip_norm",
    "lora.placement", "lora.scaling", "lora.lora_alpha", "lora.target_modules", "adapted_layers", "dtype",
    "stop.when_recalled", "data.random_ratio",
)  # fmt: skip
_PACKAGES = ("numpy", "scipy", "pandas", "lmfit")


def inputs_hash(cells: pd.DataFrame) -> str:
    """SHA-256, sixteen digits, of the numbers that fits rest on, whatever the order of cells."""
    names = [name for name in _INPUTS if name in cells]
    rows = sorted(repr([float(value) for value in row]) for row in cells[names].itertuples(index=False))
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]


def versions() -> dict[str, str]:
    """Versions of what a fit may depend on."""
    return {name: version(name) for name in _PACKAGES}


def record(found: Findings) -> dict[str, object]:
    """The findings in full precision and every choice made, for `law.json`; the same cells give the same record."""
    base: dict[str, object] = {"condition": found.title, "cells": len(found.cells), "inputs": inputs_hash(found.cells)}
    if not found.law:
        return {**base, "fitted": False, "reason": found.missing["law"], "versions": versions()}
    fit = found.law.fit
    assert found.rivals is not None
    return {
        **base,
        "fitted": True,
        "form": f"delta_loss_nats = {fit.form.formula}",
        "parameters": {
            name: {
                "value": value,
                "stderr": stderr,
                "profile_95": _sides(found.law.profile, name),
                "bootstrap_95": _sides(found.law.resampled, name),
            }
            for name, (value, stderr) in fit.parameters.items()
        },
        "alpha_over_beta": {"value": fit.exponent_ratio, "bootstrap_95": _sides(found.law.resampled, "alpha/beta")},
        "identified": not fit.not_identified,
        "not_identified": list(fit.not_identified),
        "cautions": list(fit.cautions),
        "r_squared": fit.r_squared,
        "r_squared_log": _finite(fit.r_squared_log),
        "cells_used": len(fit.used),
        "cells_excluded": len(fit.excluded),
        "saturation_rule": str(fit.rule),
        "saturating": found.saturating.values if found.saturating else None,
        "unseen_error": {row["form"]: _finite(row["error"]) for row in found.rivals.to_dict("records")},
        "bootstrap_draws": DRAWS,
        "versions": versions(),
    }


def _sides(intervals: Mapping[str, Interval], name: str) -> list[float] | None:
    found = intervals.get(name)
    return list(found) if found and all(np.isfinite(side) for side in found) else None


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def card(found: Findings) -> dict[str, str]:
    """Field → what to say."""
    cells = found.cells
    protocol = [f"{name}={_values(cells, name)}" for name in _PROTOCOL if name in cells]
    lines = {
        "Condition": found.title,
        "Data": f"{len(cells)} cells; ranks {_values(cells, 'lora.rank')}; lengths {_values(cells, 'target_tokens')} "
                f"target tokens; seeds {_values(cells, 'seed')}; L0 {cells['base_loss_nats'].min():.3f} to "
                f"{cells['base_loss_nats'].max():.3f} nats per token",
        "Protocol": "; ".join(protocol) or "not recorded",
        "Quantity": "ΔL = L0 − L, mean over target tokens, nats per token; after the last step",
    }  # fmt: skip
    if "model_fingerprint" in cells:
        lines["Model"] = (
            f"{_values(cells, 'model.name')}, weights {_values(cells, 'model_fingerprint')}, "
            f"commit {_values(cells, 'model_commit') if 'model_commit' in cells else '–'}"
        )
    if found.law:
        lines |= _fit_lines(found)
    else:
        lines["Fit"] = f"none: {found.missing['law']}"
    lines["Versions"] = ", ".join(f"{name} {number}" for name, number in versions().items())
    lines["Inputs"] = f"SHA-256 {inputs_hash(cells)} of rank, length, seed, L0, ΔL and N of every cell"
    return lines


def _fit_lines(found: Findings) -> dict[str, str]:
    assert found.law is not None
    assert found.rivals is not None
    fit = found.law.fit
    starts = int(np.prod([len(values) for values in FORMS[fit.form.name].starts.values()]))
    p = {name: show(value, "{:.4g}") for name, value in fit.values.items()}
    error = found.rivals[found.rivals["form"] == fit.form.name]["error"].iloc[0]
    return {
        "Cells used": f"{len(fit.used)}; excluded: {_names(fit.excluded)} (rule: {fit.rule})",
        "Form": f"ΔL = {fit.form.formula}",
        "Result": ", ".join(f"{name} = {value}" for name, value in p.items()) + f"; R² = {fit.r_squared:.4f} on ΔL"
                  + ("" if not fit.not_identified else "; NOT IDENTIFIED: " + "; ".join(fit.not_identified)),
        "Objective": "least squares on ΔL, every cell with the same weight; robust and other ways under sensitivity",
        "Optimizer": f"Levenberg–Marquardt (lmfit, MINPACK), {starts} starts, C from the data; |b| ≤ largest L0, "
                     "0 ≤ α, β ≤ 5",
        "Uncertainty": f"standard errors from the covariance; profile likelihood, 95 %; bootstrap over grid points and "
                       f"their seeds, {DRAWS} draws, seed 0",
        "Error on unseen cells": f"{show(100 * error, '{:.1f}')} % of ΔL on average over the longest lengths, the "
                                 f"largest ranks, both, the smallest rank and {FOLDS} random folds",
    }  # fmt: skip


def _values(cells: pd.DataFrame, name: str) -> str:
    distinct = sorted(cells[name].dropna().unique().tolist(), key=lambda value: (str(type(value)), value))
    words = [f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
             for value in distinct]  # fmt: skip
    return ", ".join(words[:20]) + (", …" if len(words) > 20 else "") or "–"


def _names(cells: pd.DataFrame) -> str:
    if cells.empty:
        return "none"
    return f"{len(cells)}: " + ", ".join(
        f"({r:g}, {l:g})" for r, l in sorted(set(zip(cells["lora.rank"], cells["target_tokens"], strict=True)))
    )


def markdown(lines: Mapping[str, str]) -> str:
    """The card as Markdown."""
    return "\n".join(["# Fit card", "", *(f"- **{name}**: {text}" for name, text in lines.items()), ""])
