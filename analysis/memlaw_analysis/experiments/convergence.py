"""Steps and rate: whether the exponents move, the law at convergence and its cost, and better settings."""

import numpy as np
import pandas as pd

from memlaw.core.wording import count
from memlaw_analysis.experiments.convergence_figure import convergence_figure
from memlaw_analysis.experiments.estimate import CLOSE, Estimate
from memlaw_analysis.experiments.experiment import Claim, Experiment, Outcome, Stance, ordered
from memlaw_analysis.experiments.extrapolation import MIN_STEPS, SHARE, Convergence, extrapolate
from memlaw_analysis.experiments.laws import EXPONENTS, Law, difference
from memlaw_analysis.experiments.rows import over_seeds
from memlaw_analysis.experiments.settings import Compared, compare_settings, reference, with_setting
from memlaw_analysis.law.enough import TooFewCells
from memlaw_analysis.law.fits import Fits
from memlaw_analysis.law.rivals import compare_forms, ranked
from memlaw_analysis.law.saturation import DEFAULT

GRID = ["lora.rank", "target_tokens"]

GOAL = 0.05
"""Mean relative error on held-out cells that the law should keep to."""

ENOUGH = 12
"""Unsaturated cells below which held-out errors decide nothing: splits would hold out one or two."""


def analyze(rows: pd.DataFrame) -> Outcome:
    """Analyze the rows of the experiment `convergence`."""
    cells = with_setting(rows)
    base = reference(cells)
    trained = over_seeds(cells[cells["setting"] == base], [*GRID, "steps"])
    laws = [Law.of(f"{steps} steps", group) for steps, group in trained.groupby("steps") if _spans(group)]
    converged, reason = _converged(trained)
    if converged and converged.identified:
        laws.append(Law.of("extrapolated", converged.points))
    compared = compare_settings(cells)
    rivals, where = _rivals(trained)
    claims = [_exponents_claim(laws), *_convergence_claims(converged, reason), *_settings_claims(compared, base)]
    claims += _rivals_claims(rivals, where)
    return Outcome(
        claims=ordered(claims),
        numbers={
            "reference": base or "memlaw's defaults",
            "power": converged.power if converged else None,
            "residual_nats": converged.residual if converged else None,
            "min_steps": MIN_STEPS,
            "rivals_of": where,
            "exponents": [
                {
                    "name": law.name,
                    "alpha": law.exponent("alpha"),
                    "beta": law.exponent("beta"),
                    "ratio": law.exponent("alpha/beta"),
                }
                for law in laws
                if law.sound
            ],
            "moved": moved_exponents(laws),
        },
        tables={
            "laws": _laws_table(laws),
            "converged": _converged_table(converged),
            "settings": _settings_table(compared),
            "rivals": rivals,
        },
        figure=convergence_figure(trained, converged, compared),
    )


def _spans(cells: pd.DataFrame) -> bool:
    """Whether cells vary in rank and length, as a law needs."""
    return cells["lora.rank"].nunique() > 1 and cells["target_tokens"].nunique() > 1


def _converged(trained: pd.DataFrame) -> tuple[Convergence | None, str]:
    """The extrapolation of the cells that are not saturated, or why there is none."""
    points = trained[~DEFAULT.excludes(trained)]
    try:
        return extrapolate(points, GRID), ""
    except TooFewCells as error:
        return None, str(error)


def moved_exponents(laws: list[Law]) -> list[str] | None:
    """Name the exponents that move beyond the noise from the first to the last sound law; None without two of them."""
    sound = [law for law in laws if law.sound]
    if len(sound) < 2:
        return None
    return [symbol for name, symbol in EXPONENTS.items() if not difference(sound[-1], sound[0], name).includes(0)]


def _exponents_claim(laws: list[Law]) -> Claim:
    sound = [law for law in laws if law.sound]
    moved = moved_exponents(laws)
    if moved is None:
        reasons = "; ".join(f"{law.name}: {law.reason or 'not identified'}" for law in laws if not law.sound)
        text = f"Whether the exponents move with the steps is open: two laws are needed, {len(sound)} determined"
        return Claim(Stance.OPEN, f"{text} ({reasons})." if reasons else f"{text}.")
    first, last = sound[0], sound[-1]
    text = "; ".join(f"{symbol} by {difference(last, first, name)}" for name, symbol in EXPONENTS.items())
    span = f"from {first.name} to {last.name}"
    if moved:
        which = f"{' and '.join(moved)} move{'' if len(moved) > 1 else 's'} beyond the noise"
        head = "**The law's exponents depend on how long one trains**"
        return Claim(Stance.AGAINST, f"{head}: {span} {which} ({text}).")
    small = all(difference(last, first, name).within(CLOSE) for name in EXPONENTS)
    return Claim(Stance.FOR if small else Stance.OPEN, f"The exponents do not move beyond the noise {span} ({text}).")


def _convergence_claims(converged: Convergence | None, reason: str) -> list[Claim]:
    if converged is None:
        return [Claim(Stance.OPEN, f"ΔL at convergence is open: {reason}.")]
    if not converged.identified:
        reason = f"the rows do not determine the extrapolation's power, p = {converged.power}"
        return [Claim(Stance.OPEN, f"ΔL at convergence is open: {reason}.")]
    points = converged.points
    text = (
        f"the cells reach {points['reached'].min():.0%} to {points['reached'].max():.0%} of the extrapolated ΔL, and "
        f"{SHARE:.0%} of it takes {points['steps_needed'].min():.0f} to {points['steps_needed'].max():.0f} steps"
    )
    if points["reached"].min() < SHARE:
        return [Claim(Stance.AGAINST, f"**Training has not converged**: {text}.")]
    return [Claim(Stance.FOR, f"Training has converged: {text}.")]


def _settings_claims(compared: list[Compared], base: str) -> list[Claim]:
    """The best setting at the most steps with measured ratios."""
    measured = [each for each in compared if each.ratio]
    if not measured:
        return [Claim(Stance.OPEN, f"No other setting of the optimizer has two cells beside {base or 'the defaults'}.")]
    steps = max(each.steps for each in measured)
    best = max(
        (each for each in measured if each.steps == steps), key=lambda each: each.ratio.value if each.ratio else 0
    )
    assert best.ratio is not None
    text = f"at {steps} steps {best.setting} reaches {best.ratio} times the ΔL of {base}, over {best.pairs} pairs"
    if best.ratio.low > 1:
        return [Claim(Stance.AGAINST, f"**A better setting than the default exists**: {text}.")]
    stance = Stance.FOR if best.ratio.high < 1 + CLOSE else Stance.OPEN
    return [Claim(stance, f"No tried setting beats the default beyond the noise: {text}.")]


def _rivals(trained: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The forms of the law at the most steps that determine any, with their errors on held-out cells."""
    columns = ["form", "cells", "R²", "MAPE", "held-out error", "α/β"]
    for steps in sorted(trained["steps"].unique(), reverse=True):
        cells = trained[trained["steps"] == steps]
        table = ranked(compare_forms(Fits(cells))) if _spans(cells) else pd.DataFrame()
        if len(table) and table.get("error", pd.Series(dtype=float)).notna().any():
            shown = table[table["cells"].notna()]
            names = ["formula", "cells", "r_squared", "mape", "error", "alpha/beta"]
            return shown[names].set_axis(columns, axis=1), f"{steps} steps"
    return pd.DataFrame(columns=columns), ""


def _rivals_claims(rivals: pd.DataFrame, where: str) -> list[Claim]:
    if rivals.empty:
        return [Claim(Stance.OPEN, "No number of steps has enough cells to hold some out and predict them.")]
    best, law = rivals.iloc[0], rivals[rivals["form"] == "C·r^α·ℓ^(−β) + b"]
    text = f"at {where} the best form, {best['form']}, misses held-out cells by {best['held-out error']:.1%}"
    if law["held-out error"].notna().any():
        text += f", the law by {law['held-out error'].iloc[0]:.1%}"
    used = int(law["cells"].iloc[0]) if len(law) else 0
    if used < ENOUGH:
        few = f"{count(used, 'unsaturated cell')}, too few for a verdict, which needs {ENOUGH}"
        return [Claim(Stance.OPEN, f"{text[0].upper()}{text[1:]}, over {few}.")]
    kept = best["held-out error"] <= GOAL
    return [Claim(Stance.FOR if kept else Stance.AGAINST, f"{text[0].upper()}{text[1:]} (goal: {GOAL:.0%}).")]


def _laws_table(laws: list[Law]) -> pd.DataFrame:
    rows = []
    for law in laws:
        row: dict[str, object] = {"cells trained for": law.name}
        if law.fit is None:
            rows.append({**row, "remark": law.reason})
            continue
        row |= {"cells": len(law.fit.used), **{symbol: law.exponent(name) for name, symbol in EXPONENTS.items()}}
        remark = "; ".join(law.fit.not_identified) or ("" if law.sound else "too few draws could be fitted")
        rows.append({**row, "R²": law.fit.r_squared, "MAPE": law.fit.mean_relative_error, "remark": remark})
    return pd.DataFrame(rows, columns=["cells trained for", "cells", *EXPONENTS.values(), "R²", "MAPE", "remark"])


def _converged_table(converged: Convergence | None) -> pd.DataFrame:
    columns = ["r", "ℓ", "ΔL∞ (nats)", "reached", f"steps to {SHARE:.0%}"]
    if converged is None:
        return pd.DataFrame(columns=columns)
    rows = []
    for _, point in converged.points.iterrows():
        half = 1.96 * point["error"]
        level = Estimate(point["delta_loss_nats"], point["delta_loss_nats"] - half, point["delta_loss_nats"] + half)
        rows.append(
            [
                int(point["lora.rank"]),
                int(point["target_tokens"]),
                level,
                point["reached"],
                np.round(point["steps_needed"]),
            ]
        )
    return pd.DataFrame(rows, columns=columns)


def _settings_table(compared: list[Compared]) -> pd.DataFrame:
    rows = [[each.setting, each.steps, each.pairs, each.ratio or "–"] for each in compared]
    return pd.DataFrame(rows, columns=["setting", "steps", "pairs", "ΔL over that of the reference"])


CONVERGENCE = Experiment(
    "convergence",
    "Do the exponents move with the steps, and which rate is best?",
    "law",
    ("convergence", "convergence_long", "convergence_rate"),
    analyze,
)
