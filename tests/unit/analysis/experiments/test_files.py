"""Pages of whole and of partial grids: written, checked, and found to differ where a row, a number or a page does."""

import json
from pathlib import Path

import pandas as pd
import pytest
from helpers.experiments import BASE_LOSS, law, rows_of
from memlaw_analysis.experiments import files
from memlaw_analysis.experiments.catalogue import CAPACITY, CONVERGENCE, EXPERIMENTS, HORIZON, LENGTH, PLACEMENT
from memlaw_analysis.experiments.files import analyze, check_pages, write_pages
from memlaw_analysis.experiments.grid import declared_points
from memlaw_analysis.tables.studies import NoCells, load_studies


def gain(point) -> float:
    return min(law(point), 0.99 * BASE_LOSS)


def write_rows(directory: Path, studies=("law", "horizon", "placement"), share: float = 1.0, seed: int = 0) -> None:
    """Rows of a share of the declared cells, chosen at random."""
    for study in studies:
        parts = [part for experiment in EXPERIMENTS if experiment.study == study for part in experiment.parts]
        rows = rows_of(parts, gain).drop_duplicates("cell").sample(frac=share, random_state=seed)
        rows.to_parquet(directory / f"{study}.parquet", index=False)


@pytest.fixture
def quick(monkeypatch):
    """The experiments without the one whose fits take long."""
    monkeypatch.setattr(files, "EXPERIMENTS", (LENGTH, PLACEMENT, CAPACITY))


def test_written_pages_hold_and_say_what_is_missing(tmp_path: Path, quick):
    write_rows(tmp_path, ("law",), share=0.6)
    found = write_pages(tmp_path)
    assert check_pages(tmp_path) == ([], [])
    page, index = (tmp_path / "length.md").read_text(), (tmp_path / "README.md").read_text()
    coverage = found[0].coverage
    assert 0 < len(coverage.missing) < coverage.declared
    assert f"{coverage.declared - len(coverage.missing)} of {coverage.declared} declared cells" in page
    assert all(gap in page for gap in coverage.gaps)
    assert "No declared cell has been run yet" in (tmp_path / "placement.md").read_text()
    assert index.index("docs/experiments/law.parquet") > 0 > index.find("placement.parquet")
    assert (tmp_path / "length.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_against_the_law_comes_first(tmp_path: Path, quick):
    write_rows(tmp_path, ("law", "placement"))
    for each in write_pages(tmp_path):
        stances = [claim.stance for claim in each.outcome.claims]
        assert stances == sorted(stances)
        text = (tmp_path / f"{each.experiment.name}.md").read_text()
        places = [text.index(claim.text) for claim in each.outcome.claims]
        assert places == sorted(places)
        assert all(claim.text in (tmp_path / "README.md").read_text() for claim in each.outcome.claims)


def test_check_finds_each_kind_of_difference(tmp_path: Path, quick):
    write_rows(tmp_path, ("law",))
    write_pages(tmp_path)
    rows = pd.read_parquet(tmp_path / "law.parquet")
    changed = rows.assign(delta_loss_nats=rows["delta_loss_nats"].where(rows["seq_len"] != 1024, 1.0))
    changed.to_parquet(tmp_path / "law.parquet", index=False)
    moved, _ = check_pages(tmp_path)
    assert any(line.startswith("length.json: drawn") for line in moved)
    assert any(line.startswith("length.json: rows.hash") for line in moved)
    assert any(line.startswith("length.md") for line in moved)
    rows.to_parquet(tmp_path / "law.parquet", index=False)
    assert check_pages(tmp_path) == ([], [])
    page = tmp_path / "capacity.md"
    page.write_text(page.read_text().replace("bf16", "bf17", 1))
    (tmp_path / "length.png").unlink()
    (tmp_path / "README.md").unlink()
    record = json.loads((tmp_path / "length.json").read_text())
    record["numbers"]["law_slope"] = 0.31
    (tmp_path / "length.json").write_text(json.dumps(record))
    moved, _ = check_pages(tmp_path)
    assert len(moved) == 4, moved
    assert any("law_slope: 0.31" in line for line in moved)


@pytest.mark.parametrize("experiment", [LENGTH, PLACEMENT, CAPACITY], ids=lambda experiment: experiment.name)
@pytest.mark.parametrize("seed", range(4))
def test_any_part_of_a_grid_is_analyzed(tmp_path: Path, experiment, seed: int):
    write_rows(tmp_path, (experiment.study,), share=[0.02, 0.05, 0.1, 0.3][seed], seed=seed)
    assert analyze(experiment, tmp_path).outcome.claims


@pytest.mark.slow
@pytest.mark.parametrize("experiment", [CONVERGENCE, HORIZON], ids=lambda experiment: experiment.name)
@pytest.mark.parametrize("share", [0.03, 0.1, 0.3, 1.0])
def test_any_part_of_a_slow_grid_is_analyzed(tmp_path: Path, experiment, share: float):
    write_rows(tmp_path, (experiment.study,), share=share)
    assert analyze(experiment, tmp_path).outcome.claims


def test_rows_of_two_models_are_refused(tmp_path: Path):
    write_rows(tmp_path, ("law",))
    rows = pd.read_parquet(tmp_path / "law.parquet")
    rows.loc[0, "model.name"] = "other"
    rows.to_parquet(tmp_path / "law.parquet", index=False)
    with pytest.raises(NoCells, match="several models"):
        analyze(LENGTH, tmp_path)


def test_kept_rows_are_read_like_a_study(tmp_path: Path):
    write_rows(tmp_path, ("horizon",))
    rows = load_studies([tmp_path / "horizon.parquet"])
    assert len(rows) == len(declared_points(HORIZON.parts))
    (tmp_path / "damaged.parquet").write_bytes(b"no parquet")
    pd.DataFrame({"cell": ["a"]}).to_parquet(tmp_path / "short.parquet")
    for name, reason in (("damaged", "arquet"), ("short", "it lacks model.name, data.name, method.name")):
        with pytest.raises(NoCells, match=reason):
            load_studies([tmp_path / f"{name}.parquet"])
