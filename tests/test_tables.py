from rich.console import Console

from memlaw.errors import CellError
from memlaw.tables import study_table, varied_keys


def test_the_table_shows_brackets_as_they_are_and_a_cell_that_failed(tiny):
    cell, _ = tiny("lora.target_modules=[up_proj]", "data.query='[/INST]'")
    other, _ = tiny("lora.target_modules=[gate_proj]", "data.query='[b]'")
    cell.plan()
    cell.fail(CellError("cause with [/closing] tag"))
    console = Console(record=True, width=200)
    console.print(study_table([cell, other]))
    text = console.export_text()
    assert "[/INST]" in text
    assert "[b]" in text
    assert '["up_proj"]' in text
    assert "failed" in text


def test_columns_are_rank_length_and_whatever_varies(tiny):
    cells = [tiny(f"seed={seed}")[0] for seed in (0, 1)]
    assert varied_keys(cells) == ["seq_len", "lora.rank", "seed"]
