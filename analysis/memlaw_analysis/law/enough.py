"""Whether cells can determine a form: how many there are, over what, and whether they differ at all."""

import numpy as np
import pandas as pd

MIN_SPARE = 1
"""Grid points needed beyond the number of parameters."""

ROUNDING = 1e-9
"""Two numbers that differ by less than this share of ΔL are equal up to rounding."""


class TooFewCells(ValueError):
    """The cells cannot determine the form; the message says what is missing."""


def grid_point(cells: pd.DataFrame) -> list[str]:
    """Name the columns that tell grid points apart; cells that differ only in the seed share a grid point."""
    return [name for name in ("model.name", "lora.rank", "target_tokens") if name in cells]


def distinct_points(cells: pd.DataFrame) -> int:
    """Count the grid points of cells."""
    return len(cells[grid_point(cells)].drop_duplicates())


def check_enough(used: pd.DataFrame, excluded: pd.DataFrame, parameters: int) -> None:
    """Refuse cells that cannot determine so many parameters.

    Args:
        used: the cells to fit.
        excluded: the saturated cells; the message counts them.
        parameters: number of parameters that the fit varies.

    Raises:
        TooFewCells: fewer grid points than parameters + 1, or fewer than two ranks or lengths.
    """
    ranks, lengths = used["lora.rank"].nunique(), used["target_tokens"].nunique()
    points, needed = distinct_points(used), parameters + MIN_SPARE
    if points < needed or ranks < 2 or lengths < 2:
        raise TooFewCells(
            f"{points} unsaturated cells over {ranks} ranks and {lengths} lengths; {parameters} parameters need "
            f"{needed} over 2 ranks and 2 lengths ({len(excluded)} saturated cells are left out). Add longer lengths "
            "or smaller ranks."
        )


def check_varied(delta_loss: np.ndarray) -> None:
    """Refuse cells that all have the same ΔL, nats per token: any flat curve fits them.

    Raises:
        TooFewCells: ΔL is the same in all cells, up to rounding.
    """
    if np.ptp(delta_loss) <= ROUNDING * delta_loss.max():
        raise TooFewCells(
            f"ΔL is the same {delta_loss.max():.3g} nats in all of {len(delta_loss)} cells: it depends on "
            "neither rank nor length, so there is no law to fit."
        )
