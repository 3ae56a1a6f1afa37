"""Whatever a table of cells holds, the analysis says something true of it or refuses it: it never breaks."""

import json
import re
from collections.abc import Iterator
from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from memlaw_analysis import findings
from memlaw_analysis.figures.drawing import svg
from memlaw_analysis.findings import Findings, find
from memlaw_analysis.law import capacity
from memlaw_analysis.law.uncertainty import bootstrap, resamples
from memlaw_analysis.report.card import card, markdown
from memlaw_analysis.report.page import page
from memlaw_analysis.report.part import findings_part
from memlaw_analysis.tables.points import load_points
from memlaw_analysis.tables.studies import NoCells

BASE_LOSS = 12.0
RANKS = [1.0, 2.0, 3.0, 4.0, 8.0, 16.0, 512.0]
LENGTHS = [1.0, 16.0, 64.0, 192.0, 256.0, 1024.0, 1e4, 1e6]
ODD = [0.0, -0.0, -1e-9, 1e-9, -50.0, 1e-7, 3.0, 3.0, 12.0, 12.5, float("nan"), float("inf"), float("-inf")]


def steadily(examples: int) -> settings:
    """As many examples, the same in every run."""
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(max_examples=examples, deadline=None, derandomize=True, suppress_health_check=slow)


@pytest.fixture(scope="module", autouse=True)
def few_draws() -> Iterator[None]:
    """Bootstraps draw four times: their number changes no path."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(findings, "bootstrap", partial(bootstrap, draws=4))
        patch.setattr(capacity, "resamples", partial(resamples, draws=4))
        yield


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    """Cells near a law, flat ones or mere noise, among which any number may be spoilt, repeated or alone."""
    ranks = draw(st.lists(st.sampled_from(RANKS), min_size=1, max_size=4, unique=True))
    lengths = draw(st.lists(st.sampled_from(LENGTHS), min_size=1, max_size=4, unique=True))
    seeds = draw(st.integers(1, 2))
    grid = [(r, l, seed) for r in ranks for l in lengths for seed in range(seeds)]
    r, l, seed = np.array(grid, dtype=float).T
    exponents = draw(st.tuples(st.sampled_from([0.0, 0.3, 0.7]), st.sampled_from([0.0, 0.3, 0.6])))
    scale, noise = draw(st.sampled_from([1e-5, 0.5, 3.0, 60.0])), draw(st.sampled_from([0.0, 1e-12, 0.1, 2.0]))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    delta = np.minimum(scale * r ** exponents[0] * l ** -exponents[1], BASE_LOSS) + noise * rng.standard_normal(len(r))
    spoilt = draw(st.dictionaries(st.integers(0, len(r) - 1), st.sampled_from(ODD), max_size=len(r)))
    for place, value in spoilt.items():
        delta[place] = value
    cells = pd.DataFrame({"lora.rank": r, "seq_len": l, "target_tokens": l, "seed": seed, "delta_loss_nats": delta})
    cells = cells.assign(base_loss_nats=BASE_LOSS, loss_nats=BASE_LOSS - delta)
    if draw(st.booleans()):
        cells["trainable_parameters"] = draw(st.sampled_from([1.0, 2112.0])) * r
    if draw(st.booleans()):
        cells["recalled_share"] = np.clip(delta / BASE_LOSS, 0, 1)
    if draw(st.integers(0, 4)) == 0:
        name = draw(st.sampled_from(["lora.rank", "target_tokens", "seed", "base_loss_nats", "loss_nats"]))
        cells.loc[draw(st.integers(0, len(r) - 1)), name] = draw(st.sampled_from([0.0, -1.0, np.nan, np.inf]))
    again = draw(st.lists(st.integers(0, len(r) - 1), max_size=4))
    return pd.concat([cells, cells.iloc[again]], ignore_index=True)


def strict_json(value: object) -> str:
    return json.dumps(value, allow_nan=False)


def check(found: Findings) -> None:
    """Everything that a report writes of a condition but its figures."""
    part = findings_part(found, None)
    strict_json(part.record)
    assert not re.search(r"\b(nan|inf)\b", " ".join(text for section in part.sections for _, text in section.notes))
    page("a page", "", [(part, {})], None, [])
    assert markdown(card(found)).startswith("# Fit card")
    used = len(found.usable.cells)
    if found.law:
        assert len(found.law.fit.used) + len(found.law.fit.excluded) == used
        assert (found.law.fit.used["delta_loss_nats"] > 0).all()
    else:
        assert found.missing["law"]


@steadily(25)
@given(tables())
def test_any_table_has_its_findings_and_strict_json(cells: pd.DataFrame):
    check(find(cells, "random", "", None))


@steadily(4)
@given(tables())
def test_any_table_has_its_figures(cells: pd.DataFrame):
    for name, figure in findings_part(find(cells, "random", "", None), None).draw().items():
        assert svg(figure, name).startswith("<svg"), name


NUMBERS = ["1", "2", "4", "64", "1e6", "0", "-3", "5.5", "1e-9", "nan", "", "inf", "abc", "5;0", "True", '"', "#", "é"]


@steadily(200)
@given(
    st.sampled_from(
        ["rank,seq_len,delta_loss_nats", "\ufeffrank,seq_len,delta_loss_nats,seed", "rank;seq_len", "rank"]
    ),
    st.lists(st.lists(st.sampled_from(NUMBERS), min_size=1, max_size=5), max_size=5),
)
def test_any_file_is_points_or_one_line(tmp_path_factory, header: str, rows: list[list[str]]):
    file = tmp_path_factory.getbasetemp() / "points.csv"
    file.write_text("\n".join([header, *(",".join(row) for row in rows)]), encoding="utf-8")
    points, refused = None, ""
    try:
        points = load_points(file, BASE_LOSS)
    except NoCells as error:
        refused = str(error)
    assert len(refused.splitlines()) == (points is None)
    if points is not None:
        assert np.isfinite(points.to_numpy(float)).all()
        assert (points[["lora.rank", "target_tokens", "delta_loss_nats"]] > 0).all(axis=None)
