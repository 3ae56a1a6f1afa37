"""The numbers of an experiment in full precision: the content of its JSON file, which `--check` compares."""

from typing import Any

import numpy as np
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure

from memlaw_analysis.experiments.experiment import Outcome
from memlaw_analysis.experiments.grid import Coverage
from memlaw_analysis.report.record import inputs_hash, versions
from memlaw_analysis.report.strict import strict


def record(outcome: Outcome, coverage: Coverage) -> dict[str, Any]:
    """Record an outcome. The same rows give the same record. Numbers that are not finite are None."""
    rows = coverage.rows
    return strict(
        {
            "rows": {
                "count": len(rows),
                "declared": coverage.declared,
                "hash": inputs_hash(rows) if len(rows) else None,
            },
            "claims": [{"stance": claim.stance.name.lower(), "text": claim.text} for claim in outcome.claims],
            "numbers": outcome.numbers,
            "tables": {name: table.to_dict("records") for name, table in outcome.tables.items()},
            "drawn": drawn(outcome.figure) if outcome.figure else [],
            "versions": versions(),
        }
    )


def drawn(figure: Figure) -> list[list[Any]]:
    """Return the points and lines that a figure draws, per axes: what is compared in place of its pixels."""
    return [
        [np.column_stack(line.get_data()).tolist() for line in axes.lines]
        + [
            segment.tolist()
            for part in axes.collections
            if isinstance(part, LineCollection)
            for segment in part.get_segments()
        ]
        + [np.asarray(part.get_offsets()).tolist() for part in axes.collections if isinstance(part, PathCollection)]
        for axes in figure.axes
    ]
