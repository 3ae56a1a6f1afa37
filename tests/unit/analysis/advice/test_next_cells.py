import json
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.configs import composed
from helpers.synthetic import synthetic
from memlaw_analysis.advice.next_cells import longer, most_informative
from memlaw_analysis.advice.train_command import train_command
from memlaw_analysis.law.fit import fit_law
from memlaw_analysis.law.forms import POWER, Inputs
from memlaw_analysis.law.gradient import gradient
from memlaw_analysis.law.saturation import DEFAULT

from memlaw.planning.cells import compose_cell
from memlaw.study.cell import Cell


def config_of(*overrides: str) -> Cell:
    return compose_cell(composed(*overrides))


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("precision=fp32", "steps=77", "data.random_ratio=0.25", "optimizer.lr=0.003"),
        ("model=pythia_70m", "lora.placement=block", "lora.layers=[1,-1]", "stop.when_recalled=false"),
        ("data=phonebook", "steps=null", "epochs=50", "batch_size=8"),
        ("model=hub", "model.id=some/model"),
        ("model=random", "model.sizes.hidden_size=32"),
        ("model=local", "model.name=mine", "model.path=/a/b"),
        ("experiment=paper_long_context_qwen3_8b",),
    ],
)
def test_a_command_brings_cells_of_the_same_condition(overrides):
    given = config_of(*overrides, "lora.rank=3", "seq_len=50")
    words = shlex.split(train_command(pd.DataFrame([given.flat]), Path("runs/mine"), [3], [50]))
    assert words[:4] == ["python", "-m", "memlaw.train", "-m"]
    again = config_of(*words[4:])
    assert again.hash == given.hash
    assert again.study.name == "mine"


def test_a_command_says_no_more_than_it_must():
    words = train_command(pd.DataFrame([config_of("lora.rank=3").flat]), Path("runs/mine"), [2.0, 1.0], [64])
    assert words == "python -m memlaw.train -m study=mine lora.layers='[20]' lora.rank=1,2 seq_len=64"


def test_a_study_elsewhere_is_named_with_its_place(tmp_path: Path):
    words = train_command(pd.DataFrame([config_of().flat]), tmp_path / "mine", [1], [64])
    assert f"study=mine runs_dir={tmp_path}" in words
    relative = train_command(pd.DataFrame([config_of().flat]), Path("docs/study/mine"), [1], [64])
    assert "study=mine runs_dir=docs/study" in relative


@pytest.mark.parametrize("name", ["a b", "it's", 'say "x"', "x,y", "k=v", "é", "back\\\\", "#1"])
def test_names_that_shells_and_hydra_would_take_apart_are_quoted(tmp_path: Path, name: str):
    given = config_of("model=random", f"model.name={json.dumps(name, ensure_ascii=False)}", "lora.rank=3", "seq_len=50")
    assert given.flat["model.name"] == name
    words = shlex.split(train_command(pd.DataFrame([given.flat]), tmp_path / "of mine" / "s", [3], [50]))
    again = config_of(*words[4:])
    assert again.hash == given.hash
    assert again.study == tmp_path / "of mine" / "s"


def test_one_rank_is_joined_by_another():
    cells = synthetic().query("`lora.rank` == 1")
    assert longer(cells, DEFAULT.excludes(cells))[0] == [1, 2]


def test_longer_texts_are_longer_than_what_the_ranks_hold():
    cells = synthetic()
    ranks, lengths = longer(cells, DEFAULT.excludes(cells))
    assert ranks == [1, 2, 4, 8]
    assert min(lengths) > cells[DEFAULT.excludes(cells)]["target_tokens"].max()


def test_the_cells_suggested_narrow_the_quantity_more_than_others_do():
    cells = synthetic(0.1)
    fit = fit_law(cells, POWER)
    wanted = np.array([float(name == "alpha") for name in fit.result.var_names])
    (best,) = most_informative(fit, cells, wanted, count=1)
    assert best not in set(zip(cells["lora.rank"], cells["target_tokens"], strict=True))

    def variance_after(rank: int, length: int) -> float:
        j = gradient(fit, lambda predict: float(predict(Inputs.grid(rank, length, 13.24))))
        precision = np.linalg.inv(fit.result.covar) + np.outer(j, j) / fit.result.redchi
        return float(wanted @ np.linalg.inv(precision) @ wanted)

    def gain(rank: int, length: int) -> float:
        return (float(wanted @ fit.result.covar @ wanted) - variance_after(rank, length)) / length

    others = [(rank, 4096) for rank in (1, 2, 4, 8, 16)] + [(16, length) for length in (128, 256, 512, 1024, 2048)]
    assert gain(*best) == pytest.approx(max(gain(*other) for other in others), rel=1e-4)
