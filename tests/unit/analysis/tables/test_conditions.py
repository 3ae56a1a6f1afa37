from pathlib import Path

import pandas as pd
from helpers.studies import write_cell, write_study
from memlaw_analysis.tables.conditions import condition_title, conditions
from memlaw_analysis.tables.studies import load_studies

from memlaw.screens.tables import varied_keys


def test_each_model_is_a_condition_and_the_label_names_it(tmp_path: Path):
    table = load_studies([write_study(tmp_path, models=("alpha", "beta"))])
    assert [label for label, _ in conditions(table)] == ["model.name=alpha", "model.name=beta"]
    assert [label for label, _ in conditions(table, ignoring=("model.",))] == [""]


def test_cells_of_another_precision_or_weights_are_a_condition_of_their_own(tmp_path: Path):
    table = load_studies([write_study(tmp_path, models=("alpha", "beta"))])
    assert len(list(conditions(table.assign(dtype=["float32", "bfloat16"] * 9)))) == 4
    assert len(list(conditions(table.assign(model_fingerprint=["x", "y"] * 9)))) == 4


def test_constants_that_the_method_s_name_implies_do_not_lengthen_the_label(tmp_path: Path):
    table = load_studies([write_study(tmp_path, models=("alpha", "beta"))])
    methods = table.assign(**{"method.name": ["sft", "ot"] * 9, "method.threshold": [None, 0.5] * 9})
    assert next(label for label, _ in conditions(methods)) == "model.name=alpha method.name=ot"
    thresholds = methods.assign(**{"method.threshold": [None, 0.5, None, 0.6, None, 0.7] * 3})
    assert any("method.threshold=0.6" in label for label, _ in conditions(thresholds))


def test_the_column_condition_names_each_cell_s_condition(tmp_path: Path):
    table = load_studies([write_study(tmp_path, models=("beta", "alpha"))])
    assert set(table["condition"]) == {"alpha long_context", "beta long_context"}
    assert (table["condition"] == table["model.name"] + " long_context").all()
    assert {condition_title(cells, label) for label, cells in conditions(table)} == set(table["condition"])


def test_null_is_a_value_like_any_other(tmp_path: Path):
    for seed, clip in enumerate((1.0, 1.0, None, None)):
        write_cell(tmp_path, 1, 128, seed, **{"optimizer.clip_norm": clip})
    table = load_studies([tmp_path])
    found = {label: len(rows) for label, rows in conditions(table)}
    assert found == {"optimizer.clip_norm=1": 2, "optimizer.clip_norm=null": 2}
    thresholds = [0.5, 0.9, None, None]
    tau = table.drop(columns="optimizer.clip_norm").assign(
        **{"method.threshold": thresholds, "method.name": ["memft_ot", "memft_ot", "sft", "sft"]}
    )
    assert sum(len(rows) for _, rows in conditions(tau)) == 4


def test_models_of_other_depths_are_one_condition_when_they_are_fitted_together(tiny):
    made = [tiny(f"model.sizes.num_hidden_layers={depth}", f"model.name=m{depth}", "lora.layers=[0.667]")[0]
            for depth in (3, 6)]  # fmt: skip
    assert [cell.config.lora.layers for cell in made] == [[2], [4]]
    table = pd.DataFrame([{**cell.flat, "model_fingerprint": cell.config.model.name} for cell in made])
    assert [label for label, _ in conditions(table, ignoring=("model.",))] == [""]
    assert [label for label, _ in conditions(table)] == ["model.name=m3", "model.name=m6"]
    assert varied_keys(made) == ["seq_len", "lora.rank", "model.name"]
