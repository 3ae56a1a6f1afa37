"""The numbers of a report in full precision: the content of `law.json` and `methods.json`, which `--check` compares."""

import hashlib
from collections.abc import Mapping
from importlib.metadata import version

import pandas as pd

from memlaw_analysis.findings import Findings, Tokens
from memlaw_analysis.law.capacity import Capacity
from memlaw_analysis.law.uncertainty import Interval
from memlaw_analysis.law.unintended import Unintended
from memlaw_analysis.recall.methods import PLACE, TIME, Comparison
from memlaw_analysis.recall.transition import decoupled, lucky_share, violations
from memlaw_analysis.report.strict import strict

_INPUTS = ("lora.rank", "target_tokens", "seed", "base_loss_nats", "delta_loss_nats", "trainable_parameters")
_PACKAGES = ("numpy", "scipy", "pandas", "lmfit")


def law_record(findings: Findings) -> dict[str, object]:
    """Record a condition's findings in full precision, and every choice made: the content of `law.json`.

    The same cells give the same record. A number that is not finite is None. `left_out` is present only where fits
    leave out more than saturated cells, `effective_capacity` only where enough cells know their effective parameters,
    `unintended` only where the entropy of the source is known.
    """
    left_out = findings.usable.record()
    base: dict[str, object] = {
        "condition": findings.title,
        "cells": len(findings.cells),
        "inputs": inputs_hash(findings.cells),
        "tokens": _tokens(findings.tokens),
        "capacity": _capacity(findings.capacity),
        **({"effective_capacity": _capacity(findings.effective_capacity)} if findings.effective_capacity else {}),
        **({"unintended": _unintended(findings.unintended)} if findings.unintended else {}),
        "versions": versions(),
        **({"left_out": left_out} if left_out else {}),
    }
    return {name: strict(value) for name, value in {**base, **_law(findings)}.items()}


def _law(findings: Findings) -> dict[str, object]:
    if not findings.law:
        return {"fitted": False, "reason": findings.missing["law"]}
    fit = findings.law.fit
    assert findings.rivals is not None
    return {
        "fitted": True,
        "form": f"delta_loss_nats = {fit.form.formula}",
        "parameters": {
            name: {
                "value": value,
                "stderr": stderr,
                "profile_95": _sides(findings.law.profile, name),
                "bootstrap_95": _sides(findings.law.resampled, name),
            }
            for name, (value, stderr) in fit.parameters.items()
        },
        "alpha_over_beta": {"value": fit.exponent_ratio, "bootstrap_95": _sides(findings.law.resampled, "alpha/beta")},
        "identified": not fit.not_identified,
        "not_identified": list(fit.not_identified),
        "cautions": list(fit.cautions),
        "r_squared": fit.r_squared,
        "r_squared_log": fit.r_squared_log,
        "mape": fit.mean_relative_error,
        "cells_used": len(fit.used),
        "cells_excluded": len(fit.excluded),
        "saturation_rule": str(fit.rule),
        "saturating": findings.saturating.values if findings.saturating else None,
        "unseen_error": {row["form"]: row["error"] for row in findings.rivals.to_dict("records")},
        "rivals": findings.rivals.to_dict("records"),
        "sensitivity": [] if findings.sensitivity is None else findings.sensitivity.to_dict("records"),
        "collapse_kappa": findings.collapse.kappa if findings.collapse else None,
        "residual_rms_nats": findings.law.residuals.rms_nats,
        "bootstrap_draws": findings.law.draws,
        "used": _points(fit.used),
        "excluded": _points(fit.excluded),
    }


def _points(cells: pd.DataFrame) -> list[list[float]]:
    return sorted([float(r), float(l)] for r, l in zip(cells["lora.rank"], cells["target_tokens"], strict=True))


def _capacity(capacity: Capacity | None) -> dict[str, object] | None:
    if not capacity:
        return None
    return {
        "best_bits_per_parameter": capacity.best,
        "slope": capacity.slope,
        "slope_95": list(capacity.slope_interval),
        "plateau": capacity.plateau if capacity.reached else None,
        "plateau_95": list(capacity.plateau_interval) if capacity.reached else None,
    }


def _unintended(unintended: Unintended) -> dict[str, object]:
    return {
        "cells": len(unintended.free),
        "nats_by_rank": [[float(rank), float(nats)] for rank, nats in unintended.by_rank.items()],
        "slope": unintended.slope,
        "slope_95": list(unintended.slope_interval),
    }


def _tokens(tokens: Tokens | None) -> dict[str, object] | None:
    if not tokens:
        return None
    return {
        "tokens": len(tokens.last),
        "violations": len(violations(tokens.last)),
        "lucky_share": lucky_share(tokens.last),
        "failing_pairs": int((tokens.failures["first_wrong"] < tokens.failures["length"]).sum()),
        "mean_loss_nats": float(tokens.last["nll"].astype(float).mean()),
        "decoupled": decoupled(tokens.last),
    }


def _sides(intervals: Mapping[str, Interval], name: str) -> list[float] | None:
    return list(intervals[name]) if name in intervals else None


def methods_record(comparison: Comparison) -> dict[str, object]:
    """Record means and differences of methods: the content of `methods.json`.

    Wall times are left out, for they differ from run to run.
    """
    names = [metric.column for metric in comparison.metrics if metric.column != TIME]
    means = comparison.cells.groupby([*PLACE, "method"])[names].mean().reset_index()
    entries = [entry for entry in comparison.differences if entry.metric.column in names]
    record = {
        "condition": comparison.title,
        "cells": len(comparison.cells),
        "methods": comparison.methods,
        "means": means.to_dict("records"),
        "differences": [
            {
                "metric": entry.metric.column, "unit": entry.metric.unit,
                "method": entry.method, "reference": entry.reference,
                "mean": entry.mean, "low": entry.low, "high": entry.high,
                "pairs": entry.pairs, "seeds": entry.seeds,
            }
            for entry in entries
        ],
    }  # fmt: skip
    return {name: strict(value) for name, value in record.items()}


def inputs_hash(cells: pd.DataFrame) -> str:
    """Hash the numbers that fits use, in any order of cells: sixteen digits of SHA-256."""
    names = [name for name in _INPUTS if name in cells]
    rows = sorted(repr([float(value) for value in row]) for row in cells[names].itertuples(index=False))
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]


def versions() -> dict[str, str]:
    """Return the versions of the packages that a fit may depend on."""
    return {name: version(name) for name in _PACKAGES}
