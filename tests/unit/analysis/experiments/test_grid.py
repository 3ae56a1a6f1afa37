import json
from pathlib import Path

import pandas as pd
import pytest
from helpers.configs import composed
from helpers.experiments import rows_of
from memlaw_analysis.experiments.catalogue import EXPERIMENTS
from memlaw_analysis.experiments.grid import DEPTHS, cover, declared_points

from memlaw.config.canonical import canonical_lora
from memlaw.core.paths import config_dir
from memlaw.planning.cells import compose_cell

LORA = {"target_modules": "auto", "block_modules": ["mlp"]}
PARTS = [part for experiment in EXPERIMENTS for part in experiment.parts]


@pytest.mark.parametrize("part", PARTS)
def test_declared_cells_have_the_config_that_a_sweep_gives_them(part: str):
    """The last one, for what a sweep sets, its tables look up, and canonical spelling changes."""
    point = declared_points([part])[-1]
    keys = ("seed", "steps", "precision", "batch_size", "optimizer.lr", "optimizer.betas")
    swept = [f"{key}={point[key]}" for key in keys]
    modules = point["lora.target_modules"]
    swept += [f"lora.rank={point['lora.rank']}", f"seq_len={point['seq_len']}", f"lora.layers={point['lora.layers']}"]
    swept += [f"lora.target_modules={modules}"]
    flat = compose_cell(composed(f"experiment={part}", *swept)).flat
    assert {key: point[key] for key in flat if key in point} == {key: flat[key] for key in flat if key in point}
    assert len(set(flat) - set(point)) == 0


@pytest.mark.parametrize("layers", ["[0.1]", "[0.9]", "[-1]"])
def test_fractions_of_the_depth_name_the_layers_of_the_model(layers: str):
    cell = compose_cell(composed("experiment=placement_depth", f"lora.layers={layers}"))
    lora = canonical_lora({**LORA, "layers": json.loads(layers)}, lambda: DEPTHS[cell.config.model.name])
    assert lora["layers"] == list(cell.config.lora.layers)


def test_the_parts_of_an_experiment_belong_to_its_study():
    for experiment in EXPERIMENTS:
        for part in experiment.parts:
            assert composed(f"experiment={part}").study == experiment.study
            assert (Path(config_dir()) / "experiment" / f"{part}.yaml").is_file()


def test_a_cell_that_two_parts_declare_counts_once():
    assert declared_points(["length", "length"]) == declared_points(["length"])


def test_rows_are_found_whatever_their_numbers_type():
    points = declared_points(["length"])
    rows = rows_of(["length"]).astype({"steps": float, "optimizer.lr": object})
    covered = cover(rows, points)
    assert (len(covered.rows), covered.missing) == (len(points), ())


def test_rows_beside_the_grid_are_left_out_and_missing_cells_named():
    points = declared_points(["convergence"])
    rows = rows_of(["convergence"])
    left = rows[(rows["lora.rank"] == 1) | (rows["steps"] == 200)]
    other = left.head(2).assign(**{"optimizer.lr": 0.5})
    covered = cover(pd.concat([left, other], ignore_index=True), points)
    assert len(covered.rows) == len(left)
    assert len(covered.missing) == len(points) - len(left)
    assert all(cell["lora.rank"] in {"2", "4"} and cell["steps"] == "1000" for cell in covered.missing)
    assert covered.gaps == ["`seq_len` 128, 256, 512, 1024; `steps` 1000; `lora.rank` 2, 4"]


def test_without_rows_every_declared_cell_is_missing():
    points = declared_points(["horizon"])
    covered = cover(pd.DataFrame(), points)
    assert (len(covered.rows), len(covered.missing)) == (0, len(points))
