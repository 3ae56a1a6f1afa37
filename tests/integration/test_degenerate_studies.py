"""Studies and points of which little can be said: it is said, and the rest of the report stands."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.studies import page_text, write_cell, write_study
from helpers.synthetic import synthetic, table
from memlaw_analysis.commands import advise, export, publish, report
from memlaw_analysis.findings import find
from memlaw_analysis.law.capacity import fit_capacity
from memlaw_analysis.law.enough import TooFewCells
from memlaw_analysis.law.fit import fit_law
from memlaw_analysis.law.residuals import diagnose
from memlaw_analysis.law.usable import usable
from memlaw_analysis.report.part import findings_part
from memlaw_analysis.report.section import CAUTION, Section
from memlaw_analysis.report.sections import sections
from memlaw_analysis.report.study_parts import condition_findings
from memlaw_analysis.tables.points import load_points
from memlaw_analysis.tables.studies import load_studies

HEADER = "rank,seq_len,delta_loss_nats"
FLAT = [HEADER, *(f"{r},{l},3" for l in (64, 128, 256) for r in (1, 2, 4))]
TWICE = [HEADER, *["1,64,5"] * 4, "2,64,6", "2,128,4", "1,128,3"]
ONE_RANK = [HEADER, "4,64,8", "4,128,5", "4,256,4", "4,512,3", "4,1024,2"]
SOUND = [HEADER, "1,64,5", "2,64,6", "4,64,7.5", "1,128,3", "2,128,4", "4,128,5", "1,256,2", "2,256,2.5", "4,256,3.1"]
"""A point's columns, and what stands in files that are not at their best."""


def points(directory: Path, lines: list[str], **options: str) -> Path:
    file = directory / "points.csv"
    file.write_text("\n".join(lines), **options)
    return file


def nine(diverged: float | None = None) -> pd.DataFrame:
    """Nine cells with an exponent of capacity of 0.6; the last may be something else."""
    cells = table([(r, l, 60 * r**0.6 * l**-0.4 * r**-0.2) for r in (1, 2, 4) for l in (64, 256, 1024)])
    cells = cells.assign(trainable_parameters=2112 * cells["lora.rank"], cell=[f"c{number}" for number in range(9)])
    if diverged is not None:
        cells.loc[8, ["delta_loss_nats", "loss_nats"]] = [diverged, 13.24 - diverged]
    return cells


def notes(parts: list[Section], slug: str) -> str:
    (part,) = [part for part in parts if part.slug == slug]
    return " | ".join(f"{kind}: {text}" for kind, text in part.notes)


def test_a_cell_that_diverged_moves_no_fit_and_is_named():
    with_it, without = find(nine(-3.0), "", "", None), find(nine().iloc[:8], "", "", None)
    assert with_it.capacity.slope == without.capacity.slope
    assert with_it.capacity.slope_interval == without.capacity.slope_interval
    assert with_it.law.fit.values == without.law.fit.values
    pd.testing.assert_frame_equal(with_it.rivals, without.rivals)
    said = notes(sections(with_it, None), "cells")
    assert "9 cells" in said
    assert f"{CAUTION}: left out of every fit" in said
    assert "c8 (ΔL = -3)" in said
    assert findings_part(with_it, None).record["left_out"] == {"silent": ["c8"]}
    assert "left_out" not in findings_part(without, None).record


@pytest.mark.parametrize("spoilt", [-50.0, 0.0, 1e-9])
def test_nothing_small_stands_in_for_a_capacity_of_nothing(spoilt: float):
    assert fit_capacity(nine(spoilt)).slope == fit_capacity(nine().iloc[:8]).slope
    assert usable(nine(spoilt)).record() == {"silent": ["c8"]}


def test_a_slope_without_a_draw_has_no_interval(monkeypatch):
    monkeypatch.setattr("memlaw_analysis.law.capacity.resamples", lambda rows, seed: [rows.iloc[:2], rows.iloc[3:5]])
    found = find(nine(), "", "", None)
    assert np.isnan(found.capacity.slope_interval).all()
    assert "(interval not known; a plateau" in notes(sections(found, None), "capacity")
    assert findings_part(found, None).record["capacity"]["slope_95"] == [None, None]


def test_what_is_no_number_is_left_out_too():
    cells = nine()
    cells["seq_len"] = cells["target_tokens"] = cells["target_tokens"].astype(float)
    cells.loc[0, "delta_loss_nats"], cells.loc[1, "target_tokens"] = np.nan, np.inf
    sorted_out = usable(cells)
    assert sorted_out.record() == {"unknown": ["c0", "c1"]}
    assert sorted_out.cells["cell"].tolist() == [f"c{number}" for number in range(2, 9)]


@pytest.mark.parametrize("levels", [[0.0], [0.0, -2.0, -50.0]])
def test_where_nothing_was_memorized_the_report_says_so(tmp_path: Path, call, levels: list[float]):
    study = tmp_path / "flat"
    for number, (rank, length) in enumerate([(r, l) for r in (1, 2, 4) for l in (16, 32, 64)]):
        delta = levels[number % len(levels)]
        write_cell(study, rank, length, delta_loss_nats=delta, loss_nats=13.24 - delta, bits_per_parameter=0.0)
    ended = call(report, study)
    assert ended.returncode == 0
    said = f"missing: nothing was memorized: ΔL is 0 or less in all of 9 cells, down to {min(levels):g} nats"
    assert said in page_text(study / "report")
    assert "python -m memlaw.train" not in ended.output  # more cells of this kind say nothing either
    law = json.loads((study / "report/law.json").read_text())
    assert (law["fitted"], law["capacity"]) == (False, None)
    assert len(law["left_out"]["silent"]) == 9
    assert (study / "report/loss.png").exists()
    assert not (study / "report/law.png").exists()
    assert call(report, study, "--check").returncode == 0
    ended = call(advise, study, "--tokens", 32)
    assert (ended.returncode, "No answer: nothing was memorized" in ended.output) == (1, True)


def test_a_bad_condition_leaves_the_others_their_findings(tmp_path: Path):
    write_study(tmp_path, models=("good", "torn"))
    write_study(tmp_path, models=("none",), delta_loss_nats=0.0, loss_nats=13.24)
    (tmp_path / "torn-1-128-0/tokens.parquet").write_bytes(b"half a table")
    found = condition_findings(load_studies([tmp_path]), with_tokens=True)
    good, none, torn = (findings_part(one, tmp_path) for one in found)
    assert good.record["parameters"]["alpha"]["value"] == pytest.approx(0.7, rel=0.01)
    assert torn.record["parameters"] == good.record["parameters"]
    assert none.record["reason"].startswith("nothing was memorized")
    assert good.record["tokens"]["tokens"] == 36
    assert torn.record["tokens"] is None
    assert "torn-1-128-0/tokens.parquet cannot be read" in notes(torn.sections, "transition")


def test_flat_points_have_no_law_and_strict_json(tmp_path: Path, call):
    file = points(tmp_path, FLAT)
    ended = call(report, "--points", file, "--base-loss", 13)
    assert ended.returncode == 0
    assert "law          none: ΔL is the same 3 nats in all of 9 cells" in ended.output
    assert "missing: ΔL is the same 3 nats in all of 9 cells" in page_text(tmp_path / "points-report")
    written = (tmp_path / "points-report/law.json").read_text()
    assert json.loads(written, parse_constant=pytest.fail)["fitted"] is False
    with pytest.raises(TooFewCells, match="the same 3 nats"):
        fit_law(load_points(file, 13))


def test_points_given_twice_count_once_and_are_nothing_systematic(tmp_path: Path):
    found = find(load_points(points(tmp_path, TWICE), 13), "", "", None)
    assert len(found.usable.cells) == 4
    assert not found.law.residuals.systematic
    assert np.isnan(found.law.residuals.lack_of_fit_p)
    assert "repeat a measurement in every digit, which counts once: r = 1, ℓ = 64 (ΔL = 5)" in notes(
        sections(found, None), "cells"
    )


def test_doubled_points_say_what_single_ones_say(tmp_path: Path):
    once = find(load_points(points(tmp_path, SOUND), 13), "", "", None)
    twice = find(load_points(points(tmp_path, [*SOUND, *SOUND[1:]]), 13), "", "", None)
    assert twice.law.residuals.curvature_p == once.law.residuals.curvature_p
    assert twice.law.fit.parameters == once.law.fit.parameters


def test_replicates_that_agree_in_every_digit_are_no_noise_to_test_against():
    cells = synthetic(0.1)
    seeds = pd.concat([cells.assign(seed=seed) for seed in (0, 1)], ignore_index=True)
    found = diagnose(fit_law(seeds))
    assert np.isnan(found.noise_nats)
    assert np.isnan(found.lack_of_fit_p)
    four = seeds[seeds["lora.rank"].isin([1, 2]) & seeds["target_tokens"].isin([1024, 2048])]
    assert np.isnan(diagnose(fit_law(four)).curvature_p)  # curves go through all four: nothing is left to test


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path: Path):
    plain = load_points(points(tmp_path, SOUND), 13)
    marked = load_points(points(tmp_path, ["# a comment", *SOUND], encoding="utf-8-sig"), 13)
    pd.testing.assert_frame_equal(plain, marked)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([HEADER, "1,64,5", "2,64,nan"], "row 2 of the points"),
        ([HEADER, "1,64,5", "2,64,-1"], "row 2 of the points"),
        (["rank;seq_len;delta_loss_nats", "1;64;5,0"], "commas must separate the fields"),
        ([HEADER, "1,64,5,0"], "more fields than its first line has names"),
        ([f"{HEADER},trainable_parameters", "1,64,5,many"], "row 1 of the points"),
    ],
)
def test_points_that_are_none_are_one_line_and_exit_code_2(tmp_path: Path, call, lines: list[str], said: str):
    ended = call(report, "--points", points(tmp_path, lines), "--base-loss", 13)
    assert ended.returncode == 2
    assert said in ended.output
    assert len(ended.output.strip().splitlines()) == 1


def test_one_rank_says_what_is_missing(tmp_path: Path, call):
    ended = call(report, "--points", points(tmp_path, ONE_RANK), "--base-loss", 13)
    assert (ended.returncode, "none: 5 unsaturated cells over 1 ranks and 5 lengths" in ended.output) == (0, True)


def test_what_the_user_can_mend_is_exit_code_2_in_every_command(tmp_path: Path, call):
    nothing = tmp_path / "nothing"
    study = write_study(tmp_path / "study", lengths=(512,))
    (tmp_path / "file").touch()
    for module, arguments in (
        (report, [nothing]),
        (export, [nothing, "--out", tmp_path / "cells.csv"]),
        (export, [study, "--out", tmp_path / "cells.xlsx"]),
        (export, [study, "--out", tmp_path / "file/cells.csv"]),
        (report, [study, "--out", tmp_path / "file/report"]),
        (report, [study, "--out", tmp_path / "file"]),
        (advise, [nothing, "--tokens", 9]),
        (publish, [nothing, "--mode", "offline"]),
    ):
        ended = call(module, *arguments)
        assert (ended.returncode, "Traceback" in ended.output) == (2, False), (module, ended.output)
        assert ended.output.splitlines()[-1].startswith("Configuration error: "), ended.output


@pytest.mark.parametrize("share", ["1.5", "0", "-0.1", "nan", "half"])
def test_a_recall_that_is_no_share_is_refused(tmp_path: Path, call, share: str):
    ended = call(advise, tmp_path, "--tokens", 9, f"--recall={share}")
    assert ended.returncode == 2
    assert "argument --recall: " in ended.output.splitlines()[-1]


def test_pairs_that_break_off_too_early_are_explained_and_their_cells_named(tmp_path: Path, call):
    decoded = {
        "recall_exact_share": 0.0, "recall_unlike_predicted": 1, "recall_order_violations": 1, "pairs": 1,
        "control_exact_share": 0.0, "control_token_accuracy": 0.0, "recall_matched_share": 0.0,
    }  # fmt: skip
    study = write_study(tmp_path / "study", lengths=(512,), **decoded)
    shutil.rmtree(study / "m-4-512-0")
    write_cell(study, 4, 512, **{**decoded, "recall_order_violations": 0})
    assert call(report, study).returncode == 0
    said = "caution: decoded pairs fail before their first p ≤ 0.5: m-1-512-0 (1), m-2-512-0 (1). Teacher forcing"
    assert said in page_text(study / "report")
