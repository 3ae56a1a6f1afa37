"""The law and its rivals: ΔL as a function of rank, length and base loss. Pure.

Shapes: all arrays [K], one element per cell.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

Array = np.ndarray


def power(r: Array, l: Array, base_loss: Array, C: float, alpha: float, beta: float, b: float = 0.0) -> Array:
    """The Parametric Memory Law: ΔL = C · r^α · ℓ^(−β) + b, nats per token (paper, eq. 3)."""
    return C * r**alpha * l**-beta + b


def log_linear(r: Array, l: Array, base_loss: Array, a: float, c: float, d: float) -> Array:
    """ΔL = a + c · ln r − d · ln ℓ: what the law becomes when C and −b grow without end."""
    return a + c * np.log(r) - d * np.log(l)


def interaction(
    r: Array, l: Array, base_loss: Array, C: float, alpha: float, beta: float, gamma: float, b: float
) -> Array:
    """ΔL = C · r^(α + γ ln ℓ) · ℓ^(−β) + b: the gain by rank depends on the length."""
    return C * r ** (alpha + gamma * np.log(l)) * l**-beta + b


def saturating(
    r: Array, l: Array, base_loss: Array, C: float, alpha: float, beta: float, q: float, b: float = 0.0
) -> Array:
    """ΔL = L0 · x / (1 + x^q)^(1/q) with x = (C · r^α · ℓ^(−β) + b) / L0: the law far below L0, and never above it."""
    x = np.maximum(power(r, l, base_loss, C, alpha, beta, b) / base_loss, 0.0)
    with np.errstate(divide="ignore", over="ignore"):
        return base_loss * (1 + np.where(x > 0, x, np.inf) ** -q) ** (-1 / q) * (x > 0)


@dataclass(frozen=True)
class Form:
    """A candidate for ΔL(r, ℓ).

    Attributes:
        name: key in tables and on the command line.
        formula: as people write it.
        function: (r, l, base_loss, **parameters) → ΔL in nats per token.
        starts: values from which fits start, per parameter; the scale C, or a, is found from the data.
        bounds: allowed range per parameter; that of b is in units of the largest L0.
        saturates: whether it describes cells near L0, so that none needs to be left out.
    """

    name: str
    formula: str
    function: Callable[..., Array]
    starts: Mapping[str, tuple[float, ...]]
    bounds: Mapping[str, tuple[float, float]]
    saturates: bool = False

    @property
    def scale(self) -> str:
        """The parameter in which the form is linear at its start."""
        return "a" if "a" in self.bounds else "C"


_EXPONENTS = {"alpha": (0.3, 1.0), "beta": (0.3, 1.0)}
_POWER = {"C": (0.0, np.inf), "alpha": (0.0, 5.0), "beta": (0.0, 5.0)}

FORMS = {
    form.name: form
    for form in (
        Form("power", "C·r^α·ℓ^(−β) + b", power, {**_EXPONENTS, "b": (0.0,)}, {**_POWER, "b": (-1.0, 1.0)}),
        Form("power_no_offset", "C·r^α·ℓ^(−β)", power, _EXPONENTS, _POWER),
        Form(
            "log_linear",
            "a + c·ln r − d·ln ℓ",
            log_linear,
            {"c": (1.0,), "d": (1.0,)},
            {"a": (-np.inf, np.inf), "c": (-np.inf, np.inf), "d": (-np.inf, np.inf)},
        ),
        Form(
            "interaction",
            "C·r^(α + γ·ln ℓ)·ℓ^(−β) + b",
            interaction,
            {**_EXPONENTS, "gamma": (0.0,), "b": (0.0,)},
            {**_POWER, "gamma": (-1.0, 1.0), "b": (-1.0, 1.0)},
        ),
        Form(
            "saturating_no_offset",
            "L0·x/(1+x^q)^(1/q), x = C·r^α·ℓ^(−β)/L0",
            saturating,
            {**_EXPONENTS, "q": (1.0, 4.0)},
            {**_POWER, "q": (0.2, 50.0)},
            saturates=True,
        ),
        Form(
            "saturating",
            "L0·x/(1+x^q)^(1/q), x = (C·r^α·ℓ^(−β) + b)/L0",
            saturating,
            {**_EXPONENTS, "q": (1.0, 4.0), "b": (0.0,)},
            {**_POWER, "q": (0.2, 50.0), "b": (-1.0, 1.0)},
            saturates=True,
        ),
    )
}
"""The paper's law first, then its rivals."""

POWER = FORMS["power"]
