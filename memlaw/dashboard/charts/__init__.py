"""Custom charts: Vega-Lite specifications beside this file, registered at W&B.

A chart's name at W&B ends in a hash of its specification. So a changed specification makes a new chart, and pushing an
unchanged one again changes nothing.
"""

import hashlib
from pathlib import Path
from typing import Any

SPECIFICATIONS = {path.stem: path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("*.json")}
"""Vega-Lite by chart, with W&B's placeholders `${field:…}` and `${string:…}`."""


def registered_name(chart: str) -> str:
    """Return W&B's name of a chart."""
    return f"memlaw-{chart}-{hashlib.sha256(SPECIFICATIONS[chart].encode()).hexdigest()[:8]}"


def register(api: Any, entity: str) -> dict[str, str]:
    """Register all charts for an entity.

    Args:
        api: a `wandb.Api`.
        entity: W&B team or user.

    Returns:
        The name of each chart in panels, `entity/name`.

    Raises:
        Exception: W&B refuses them; its errors have no common class.
    """
    return {chart: _register(api, entity, chart) for chart in SPECIFICATIONS}


def _register(api: Any, entity: str, chart: str) -> str:
    name = registered_name(chart)
    try:
        api.create_custom_chart(
            entity=entity,
            name=name,
            display_name=f"memlaw: {chart.replace('_', ' ')}",
            spec_type="vega2",
            access="private",
            spec=SPECIFICATIONS[chart],
        )
    except Exception as error:
        if not any(word in str(error).lower() for word in ("already exists", "duplicate", "unique")):
            raise
    return f"{entity}/{name}"
