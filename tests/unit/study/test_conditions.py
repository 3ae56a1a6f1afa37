"""What makes a condition, and what it is called: the same for `status` and `report`."""

import json
from pathlib import Path

import pandas as pd
import pytest
from memlaw_analysis.tables.conditions import conditions as report_conditions

from memlaw.screens.status_map import conditions as status_conditions
from memlaw.study.conditions import condition_keys, short_name, spelled, split, title
from memlaw.study.identity import LATER_KEYS
from memlaw.study.status import Status
from memlaw.study.survey import Observation

ROWS = [{"lora.rank": rank, "seq_len": length, "steps": steps, "seed": 0} for rank in (1, 2) for length in (64, 128)
        for steps in (100, 200)]  # fmt: skip

GRIDS = {
    "data": ("data=long_context", "data=phonebook"),
    "ratio": ("data.random_ratio=1", "data.random_ratio=0.5"),
    "query": ("data.query=one", f"data.query='{' '.join(['what is'] * 40)}'"),
    "method": ("method=sft", "method=memft_ot", "method=memft_sw"),
    "threshold": ("method=sft", "method=memft_ot", "[method=memft_ot,method.threshold=0.75]"),
    "model": ("model=smollm2_135m", "model=qwen3_0.6b"),
    "layers": ("lora.layers=[20]", "lora.layers=[0,1,2]"),
    "modules": ("lora.target_modules=[up_proj]", "lora.target_modules=[down_proj,up_proj]"),
    "steps": ("steps=100", "steps=200", "[steps=null,epochs=7]"),
    "rate": ("optimizer.lr=0.01", "optimizer.lr=1"),
    "precision": ("precision=fp32", "precision=bf16"),
}


def read_back(cells: list) -> pd.DataFrame:
    """The cells' table as analysis has it: through JSON, with nulls that make floats of whole numbers."""
    measured = [{"model_fingerprint": cell.config.model.name + cell.config.precision} for cell in cells]
    return pd.DataFrame(
        [json.loads(json.dumps({**cell.flat, **more})) for cell, more in zip(cells, measured, strict=True)]
    )


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_status_and_report_tell_the_same_conditions_apart_by_the_same_words(tiny, grid):
    made = [tiny(*(word[1:-1].split(",") if word.startswith("[") else [word]))[0] for word in grid]
    seen = [Observation(cell.name, cell, Status(), "done") for cell in made]
    shown = [(label, [one.name for one in own]) for label, own in status_conditions(seen)]
    table = read_back(made).assign(cell=[cell.name for cell in made])
    assert [(label, rows["cell"].tolist()) for label, rows in report_conditions(table)] == shown
    assert len(shown) == len(grid)
    assert all(len(short_name(label)) <= 80 and len(label) <= 100 for label, _ in shown)


def test_rank_length_and_seed_make_no_condition():
    assert condition_keys(ROWS, ROWS[0]) == ["steps"]
    assert split(ROWS, ROWS[0]) == [("steps=100", [0, 2, 4, 6]), ("steps=200", [1, 3, 5, 7])]
    assert split(ROWS[::2], ROWS[0]) == [("", [0, 1, 2, 3])]


def test_what_a_method_sets_for_a_length_may_follow_it():
    rows = [{**row, "method.name": "sft", "optimizer.lr": row["seq_len"] / 1e4, "steps": 100} for row in ROWS]
    assert condition_keys(rows, rows[0]) == ["optimizer.lr"]
    assert condition_keys(rows, rows[0], following=["optimizer.lr"]) == []
    rows[0]["optimizer.lr"] = 0.5
    assert condition_keys(rows, rows[0], following=["optimizer.lr"]) == ["optimizer.lr"]


def test_a_cell_of_an_earlier_version_is_of_the_condition_with_neutral_values():
    old, new = {"lora.rank": 1, "seed": 0}, {"lora.rank": 2, "seed": 0, **LATER_KEYS}
    other = {**new, "lora.init": "paper"}
    for missing in (old, {**old, "lora.init": None, "lora.dropout": float("nan")}):  # absent, or as a table fills it
        assert split([missing, new], new) == [("", [0, 1])]
        assert split([missing, new, other], other) == [("lora.init=paper", [2]), ("lora.init=peft", [0, 1])]


def test_values_are_spelled_as_yaml_does():
    values = (None, float("nan"), True, 1.0, 1, 0.02, 1e-8, "text")
    assert [spelled(value) for value in values] == ["null", "null", "true", "1", "1", "0.02", "1e-08", "text"]


def test_a_title_says_model_and_data_once():
    assert title("m", "prose", "model.name=m data.name=prose method.name=sft") == "m prose method.name=sft"


def test_names_of_directories_are_short_and_stay_apart():
    assert short_name("data.random_ratio=1 steps=200") == "data.random_ratio=1_steps=200"
    assert short_name("lora.layers=[1]") != short_name("lora.layers=[-1]")
    long = [short_name(f"data.query={'x' * 200}{end}") for end in "ab"]
    assert long[0] != long[1]
    assert max(map(len, long)) == 80
    assert Path(long[0]).name == long[0]
