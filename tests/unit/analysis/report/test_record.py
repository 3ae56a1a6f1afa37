import json
from pathlib import Path

import pytest
from helpers.studies import write_study
from helpers.synthetic import synthetic
from memlaw_analysis.findings import find
from memlaw_analysis.law.fit import fit_law
from memlaw_analysis.report.points import points
from memlaw_analysis.report.record import inputs_hash, law_record
from memlaw_analysis.report.study_parts import condition_findings
from memlaw_analysis.tables.studies import load_studies


def test_the_hash_of_inputs_knows_every_number_and_no_order():
    cells = synthetic(0.1)
    assert inputs_hash(cells.sample(frac=1, random_state=1)) == inputs_hash(cells)
    assert inputs_hash(cells.assign(model="another")) == inputs_hash(cells)
    moved = cells.copy()
    moved.loc[3, "delta_loss_nats"] += 1e-12
    assert inputs_hash(moved) != inputs_hash(cells)


def test_points_are_all_cells_beside_the_law():
    cells = synthetic().assign(cell=lambda rows: rows.index.astype(str))
    fit = fit_law(cells)
    table = points(fit)
    assert sorted(table["cell"], key=int) == cells["cell"].tolist()
    assert int(table["saturated"].sum()) == len(fit.excluded) > 0
    used = table[~table["saturated"]]
    assert used["law_nats"].tolist() == pytest.approx(used["delta_loss_nats"].tolist(), rel=1e-3)


def test_a_record_holds_the_fit_with_its_quality_and_every_rival(tmp_path: Path):
    (findings,) = condition_findings(load_studies([write_study(tmp_path)]), with_tokens=True)
    record = json.loads(json.dumps(law_record(findings), allow_nan=False))
    fit = findings.law.fit
    assert record["parameters"]["alpha"]["value"] == fit.values["alpha"]
    assert (record["r_squared"], record["mape"]) == (fit.r_squared, fit.mean_relative_error)
    assert {row["form"] for row in record["rivals"]} == set(record["unseen_error"])
    assert all("mape" in row for row in (*record["rivals"], *record["sensitivity"]))
    assert record["tokens"]["violations"] == 0
    assert len(record["used"]) == record["cells_used"]


def test_without_a_law_the_record_says_why():
    record = law_record(find(synthetic().head(2), "m d", "", None))
    assert (record["fitted"], record["cells"]) == (False, 2)
    assert "unsaturated cells over" in str(record["reason"])
