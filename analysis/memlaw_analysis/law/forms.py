"""The law and its rivals: ΔL as a function of rank, length, base loss and sizes. Pure.

Shapes: all arrays [K], one element per cell.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

Array = np.ndarray

MODEL_UNIT = 1e8
"""Unit of the base model's parameters. C is then the scale of a model of 10⁸ parameters."""


@dataclass(frozen=True)
class Inputs:
    """The quantities that ΔL may depend on.

    Attributes:
        r: LoRA rank.
        l: target tokens over all pairs, ℓ.
        base_loss: L0, nats per token.
        parameters: N, trainable parameters of the adapter.
        base_parameters: M, parameters of the base model.
        source_entropy: H, entropy of the source of the target, nats per token.
    """

    r: Array
    l: Array
    base_loss: Array
    parameters: Array | None = None
    base_parameters: Array | None = None
    source_entropy: Array | None = None

    @classmethod
    def of(cls, cells: pd.DataFrame) -> "Inputs":
        """Take the columns of a table of cells; a size or entropy without a column is None."""

        def column(name: str) -> Array | None:
            return cells[name].to_numpy(float) if name in cells else None

        r, l, base_loss = (cells[name].to_numpy(float) for name in ("lora.rank", "target_tokens", "base_loss_nats"))
        sizes = (column("trainable_parameters"), column("base_parameters"))
        return cls(r, l, base_loss, *sizes, column("source_entropy_nats"))

    @classmethod
    def grid(cls, r: Array | float, l: Array | float, base_loss: Array | float) -> "Inputs":
        """Take numbers or arrays that broadcast, for forms in rank and length."""
        return cls(*np.broadcast_arrays(*(np.asarray(value, dtype=float) for value in (r, l, base_loss))))


Predict = Callable[[Inputs], Array]
"""A law with its parameters: inputs → ΔL in nats per token."""


def power(x: Inputs, C: float, alpha: float, beta: float, b: float = 0.0) -> Array:
    """Return the Parametric Memory Law, ΔL = C · r^α · ℓ^(−β) + b, nats per token (paper, eq. 3)."""
    return C * x.r**alpha * x.l**-beta + b


def power_in_parameters(x: Inputs, C: float, alpha: float, beta: float, b: float = 0.0) -> Array:
    """Return the law in N in place of r: ΔL = C · N^α · ℓ^(−β) + b."""
    assert x.parameters is not None
    return C * x.parameters**alpha * x.l**-beta + b


def power_with_model(x: Inputs, C: float, alpha: float, beta: float, gamma: float, b: float = 0.0) -> Array:
    """Return the law with the base model's size: ΔL = C · r^α · ℓ^(−β) · (M/10⁸)^γ + b."""
    assert x.base_parameters is not None
    return C * x.r**alpha * x.l**-beta * (x.base_parameters / MODEL_UNIT) ** gamma + b


def log_linear(x: Inputs, a: float, c: float, d: float) -> Array:
    """Return ΔL = a + c · ln r − d · ln ℓ, the limit of the law when C and −b grow without end."""
    return a + c * np.log(x.r) - d * np.log(x.l)


def interaction(x: Inputs, C: float, alpha: float, beta: float, gamma: float, b: float) -> Array:
    """Return ΔL = C · r^(α + γ ln ℓ) · ℓ^(−β) + b: the gain by rank depends on the length."""
    return C * x.r ** (alpha + gamma * np.log(x.l)) * x.l**-beta + b


def saturate(delta_loss: Array, base_loss: Array, q: float) -> Array:
    """Return L0 · x / (1 + x^q)^(1/q) with x = ΔL / L0: ΔL itself far below L0, and never more than L0."""
    x = np.maximum(delta_loss / base_loss, 0.0)
    with np.errstate(divide="ignore", over="ignore"):
        return base_loss * (1 + np.where(x > 0, x, np.inf) ** -q) ** (-1 / q) * (x > 0)


def saturating(x: Inputs, C: float, alpha: float, beta: float, q: float, b: float = 0.0) -> Array:
    """Return the law, saturated at L0."""
    return saturate(power(x, C, alpha, beta, b), x.base_loss, q)


def saturating_in_parameters(x: Inputs, C: float, alpha: float, beta: float, q: float, b: float = 0.0) -> Array:
    """Return the law in N, saturated at L0."""
    return saturate(power_in_parameters(x, C, alpha, beta, b), x.base_loss, q)


def saturating_with_model(x: Inputs, C: float, alpha: float, beta: float, gamma: float, q: float, b: float) -> Array:
    """Return the law with the base model's size, saturated at L0."""
    return saturate(power_with_model(x, C, alpha, beta, gamma, b), x.base_loss, q)


def information(x: Inputs, C: float, alpha: float, q: float, beta: float = 1.0) -> Array:
    """Return (L0 − H) + C · r^α · ℓ^(−β), its second term saturated at H.

    The first term is won by learning the source alone, without one token by heart. The second, times ℓ, is the
    information about the target: with β = 1, C nats at rank 1, at any length.
    """
    assert x.source_entropy is not None
    return x.base_loss - x.source_entropy + saturate(C * x.r**alpha * x.l**-beta, x.source_entropy, q)


@dataclass(frozen=True)
class Form:
    """A candidate for ΔL(r, ℓ).

    Attributes:
        name: key in tables and on the command line.
        formula: the formula for people.
        function: (inputs, **parameters) → ΔL in nats per token.
        starts: values from which fits start, per parameter; the start of the scale comes from the data.
        bounds: allowed range per parameter; that of b is in units of the largest L0.
        saturates: whether it describes cells near L0 too, so that none is left out.
        needs: column that it needs beside rank, length and base loss; None for none.
    """

    name: str
    formula: str
    function: Callable[..., Array]
    starts: Mapping[str, tuple[float, ...]]
    bounds: Mapping[str, tuple[float, float]]
    saturates: bool = False
    needs: str | None = None

    def can_describe(self, cells: pd.DataFrame) -> bool:
        """Return whether all cells have what it needs. The base model's size must also vary among them."""
        if self.needs is None:
            return True
        if self.needs not in cells or cells[self.needs].isna().any():
            return False
        return cells[self.needs].nunique() > (self.needs == "base_parameters")

    @property
    def scale(self) -> str:
        """Name of the parameter that scales the form, C, or a where the form has it."""
        return "a" if "a" in self.bounds else "C"


_EXPONENTS = {"alpha": (0.3, 1.0), "beta": (0.3, 1.0)}
_POWER = {"C": (0.0, np.inf), "alpha": (0.0, 5.0), "beta": (0.0, 5.0)}
_OFFSET = {"b": (-1.0, 1.0)}
_GAMMA = {"gamma": (-1.0, 1.0)}
_BEND = {"q": (0.2, 50.0)}
_FREE = (-np.inf, np.inf)
_START = {**_EXPONENTS, "b": (0.0,)}
_BENT_START = {**_EXPONENTS, "q": (1.0, 4.0)}
_SATURATED = "L0·x/(1+x^q)^(1/q), x = "
_SATURATED_INFORMATION = "H·z/(1+z^q)^(1/q), z = "

FORMS = {
    form.name: form
    for form in (
        Form("power", "C·r^α·ℓ^(−β) + b", power, _START, {**_POWER, **_OFFSET}),
        Form("power_no_offset", "C·r^α·ℓ^(−β)", power, _EXPONENTS, _POWER),
        Form(
            "power_parameters",
            "C·N^α·ℓ^(−β) + b",
            power_in_parameters,
            _START,
            {**_POWER, **_OFFSET},
            needs="trainable_parameters",
        ),
        Form(
            "power_model",
            "C·r^α·ℓ^(−β)·(M/10⁸)^γ + b",
            power_with_model,
            {**_START, "gamma": (0.0,)},
            {**_POWER, **_GAMMA, **_OFFSET},
            needs="base_parameters",
        ),
        Form(
            "log_linear",
            "a + c·ln r − d·ln ℓ",
            log_linear,
            {"c": (1.0,), "d": (1.0,)},
            {"a": _FREE, "c": _FREE, "d": _FREE},
        ),
        Form(
            "interaction",
            "C·r^(α + γ·ln ℓ)·ℓ^(−β) + b",
            interaction,
            {**_START, "gamma": (0.0,)},
            {**_POWER, **_GAMMA, **_OFFSET},
        ),
        Form(
            "saturating_no_offset",
            f"{_SATURATED}C·r^α·ℓ^(−β)/L0",
            saturating,
            _BENT_START,
            {**_POWER, **_BEND},
            saturates=True,
        ),
        Form(
            "saturating",
            f"{_SATURATED}(C·r^α·ℓ^(−β) + b)/L0",
            saturating,
            {**_BENT_START, "b": (0.0,)},
            {**_POWER, **_BEND, **_OFFSET},
            saturates=True,
        ),
        Form(
            "saturating_parameters",
            f"{_SATURATED}(C·N^α·ℓ^(−β) + b)/L0",
            saturating_in_parameters,
            {**_BENT_START, "b": (0.0,)},
            {**_POWER, **_BEND, **_OFFSET},
            saturates=True,
            needs="trainable_parameters",
        ),
        Form(
            "saturating_model",
            f"{_SATURATED}(C·r^α·ℓ^(−β)·(M/10⁸)^γ + b)/L0",
            saturating_with_model,
            {**_BENT_START, "gamma": (0.0,), "b": (0.0,)},
            {**_POWER, **_GAMMA, **_BEND, **_OFFSET},
            saturates=True,
            needs="base_parameters",
        ),
        Form(
            "information",
            f"L0 − H + {_SATURATED_INFORMATION}C·r^α/(ℓ·H)",
            information,
            {"alpha": (0.3, 1.0), "q": (1.0, 4.0)},
            {"C": (0.0, np.inf), "alpha": (0.0, 5.0), **_BEND},
            saturates=True,
            needs="source_entropy_nats",
        ),
        Form(
            "information_free",
            f"L0 − H + {_SATURATED_INFORMATION}C·r^α·ℓ^(−β)/H",
            information,
            _BENT_START,
            {**_POWER, **_BEND},
            saturates=True,
            needs="source_entropy_nats",
        ),
    )
}
"""The paper's law first, then its rivals."""

POWER = FORMS["power"]
