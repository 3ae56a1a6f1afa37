from rich.console import Console

from memlaw.core.errors import CellError
from memlaw.screens.tables import study_table, varied_keys
from memlaw.study.survey import survey


def test_the_table_shows_brackets_as_they_are_and_a_cell_that_failed(tiny):
    cell, _ = tiny("lora.target_modules=[up_proj]", "data.query='[/INST]'")
    other, _ = tiny("lora.target_modules=[gate_proj]", "data.query='[b]'")
    cell.plan()
    cell.fail(CellError("cause with [/closing] tag"))
    console = Console(record=True, width=200)
    console.print(study_table(survey([cell, other])))
    text = console.export_text()
    assert "[/INST]" in text
    assert "[b]" in text
    assert '["up_proj"]' in text
    assert "failed" in text


def test_columns_are_rank_length_and_whatever_varies(tiny):
    cells = [tiny(f"seed={seed}")[0] for seed in (0, 1)]
    assert varied_keys(cells) == ["seq_len", "lora.rank", "seed"]


def test_cells_whose_configs_have_different_keys_share_a_table(tiny):
    cells = [tiny(*overrides)[0] for overrides in (["method=sft"], ["method=memft_ot"], ["method=memft_sw"])]
    assert varied_keys(cells) == ["seq_len", "lora.rank", "method.name"]
    thresholds = [tiny("method=memft_ot", f"method.threshold={tau}")[0] for tau in (0.5, 0.6)]
    assert varied_keys([*cells[:1], *thresholds]) == ["seq_len", "lora.rank", "method.name", "method.threshold"]
    table = study_table(survey([*cells[:1], *thresholds]))
    assert list(table.columns[3].cells) == ["–", "0.5", "0.6"]
