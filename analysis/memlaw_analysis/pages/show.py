"""Values of tables as text."""

import pandas as pd


def show(value: object, form: str | None) -> str:
    """Return a value of a table as text; a dash for a missing or infinite one."""
    if value is None or (pd.api.types.is_scalar(value) and (pd.isna(value) or value in (float("inf"), float("-inf")))):
        return "–"
    return form.format(value) if form and not isinstance(value, str) else str(value)
