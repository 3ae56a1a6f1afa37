"""Measure how far the law misses where advice carries it over: `python docs/measure_errors.py` (part of `make docs`).

From the kept cells of docs/study/ and the records of docs/experiments/ it writes `data/measured_errors.json` of the
analysis package, which advice quotes, and the tables of docs/study/bits.md.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "analysis")]  # an uninstalled checkout

from memlaw_analysis.advice import translation  # noqa: E402
from memlaw_analysis.advice.rank_advice import saturating_fit  # noqa: E402
from memlaw_analysis.experiments.markdown import table  # noqa: E402
from memlaw_analysis.law.fits import Fits  # noqa: E402
from memlaw_analysis.tables.studies import load_studies  # noqa: E402

STUDIES = [ROOT / "docs/study" / name for name in ("smollm2", "smollm2_mixed")]
PAGE = ROOT / "docs/study/bits.md"
DATA = ROOT / "analysis/memlaw_analysis/data/measured_errors.json"
STEPS = 200
NAMES = {
    "data.random_ratio": "ρ", "target_tokens": "ℓ", "lora.rank": "r", "base_loss_nats": "L0", "share": "measured ΔL/L0",
    "fails": "not at r", "recalls": "recalled at r", "by bits": "rank by bits", "by tokens": "rank by tokens",
}  # fmt: skip
"""Column → how the page heads it."""


def studied() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return predictions of the stored share, errors of each way, and ranks, from the kept cells."""
    cells = load_studies([study for study in STUDIES if study.is_dir()])
    cells = cells[cells["steps"] == STEPS]
    is_random = cells["data.random_ratio"] == 1
    fitted, others = cells[is_random], cells[~is_random]
    fit = saturating_fit(Fits(fitted))
    predicted = translation.predictions(fit, fitted, others)
    return predicted, translation.errors(predicted), translation.ranks(fit, fitted, others)


def measured() -> dict[str, Any]:
    """Return what advice quotes."""
    predicted, errors, _ = studied()
    best = errors.loc[translation.BITS]
    return {
        "bits": {
            "mean": round(float(best["mean"]), 4),
            "worst": round(float(best["worst"]), 4),
            "cells": int(predicted["telling"].sum()),
            "source": "docs/study/bits.md",
        },
        "places": {"ratio": round(largest_ratio(_record("placement")), 2), "source": "docs/experiments/placement.md"},
        "pairs": _pairs(_record("pairs")),
    }


def largest_ratio(record: dict[str, Any]) -> float:
    """Return the largest ratio of bits per parameter among places that were compared at one length."""
    ratios = []
    for rows in record["tables"].values():
        bits = pd.DataFrame(rows).groupby("ℓ")["bits per parameter"] if rows else None
        ratios += list(bits.max() / bits.min()) if bits is not None else []
    return float(max(ratios))


def _pairs(record: dict[str, Any]) -> dict[str, Any] | None:
    ratio = record.get("numbers", {}).get("ratio")
    if ratio is None:
        return None
    tables = " and ".join(f"{pairs:g}" for pairs in record["numbers"]["pairs"])
    return {"ratio": [round(value, 3) for value in ratio], "tables": tables, "source": "docs/experiments/pairs.md"}


def _record(name: str) -> dict[str, Any]:
    file = ROOT / "docs/experiments" / f"{name}.json"
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else {}


def filled(page: str) -> str:
    """Return the page of bits with its tables written anew."""
    predicted, errors, ranks = studied()
    telling = predicted[predicted["telling"]].sort_values(["data.random_ratio", "target_tokens", "lora.rank"])
    cells = telling[["data.random_ratio", "target_tokens", "lora.rank", "base_loss_nats", "share", *translation.WAYS]]
    missed = errors.map(lambda share: f"{share:.1%}").rename_axis("way").reset_index()
    missed = missed.rename(columns={"mean": "mean error of ΔL/L0", "worst": "largest"})
    tables = {"errors": missed, "cells": cells.rename(columns=NAMES), "ranks": ranks.rename(columns=NAMES)}
    for name, rows in tables.items():
        part = f"<!-- {name} -->\n{table(rows)}\n<!-- end of {name} -->"
        page = re.sub(rf"<!-- {name} -->.*?<!-- end of {name} -->", lambda _, part=part: part, page, flags=re.DOTALL)
    return page


def written() -> str:
    """Return the content of the data file."""
    return json.dumps(measured(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    DATA.write_text(written(), encoding="utf-8")
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
