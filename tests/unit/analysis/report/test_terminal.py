"""What the report prints: few lines, words stay whole, commands can be copied."""

import io
import shlex
from pathlib import Path

import pandas as pd
import pytest
from helpers.checkout import ROOT
from helpers.studies import write_cell, write_study
from memlaw_analysis.report import terminal
from memlaw_analysis.report.part import Kind, Part
from memlaw_analysis.report.section import CAUTION, COMMAND, INFO
from memlaw_analysis.report.study_parts import study_parts
from memlaw_analysis.report.summary import Line
from memlaw_analysis.report.terminal import headline, print_summary
from memlaw_analysis.tables.studies import load_studies
from rich.console import Console

COMMANDS = (
    "python -m memlaw.train -m study=s runs_dir='\"/far away/it'\"'\"'s\"' lora.rank=1,2,4,8,16 seq_len=2048,4096"
)
SENTENCE = "the largest residual is at the smallest rank and the longest length of all that were measured in this study"


def flat_study(directory: Path) -> Path:
    for number, (rank, length) in enumerate([(r, l) for r in (1, 2, 4) for l in (16, 32, 64)]):
        write_cell(directory, rank, length, delta_loss_nats=-float(number), loss_nats=13.24 + number)
    return directory


STUDIES = {
    "one condition": write_study,
    "nothing memorized": flat_study,
    "many conditions": lambda directory: ROOT / "docs/memft/smollm2",
}


def printed(parts: list[Part], cells: int, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    print_summary(parts, "runs/default", cells, console)
    return console.file.getvalue().splitlines()


def part(label: str = "", *lines: Line, **record: object) -> Part:
    row = {"fitted": False, "cells": 3, **record}
    return Part(Kind.CONDITION, label, f"m prose {label}".strip(), list(lines), [], dict, row, {}, {})


@pytest.mark.parametrize("study", STUDIES.values(), ids=STUDIES)
def test_a_study_is_summed_up_in_25_lines_of_80_columns(tmp_path: Path, study):
    directory = study(tmp_path)
    table = load_studies([directory])
    parts = list(study_parts(table, directory, with_tokens=True))
    lines = printed(parts, len(table), 80)
    assert len(lines) <= 25
    words = {word for row in printed(parts, len(table), 4000) for word in row.split()}
    for line in lines:
        assert len(line) <= 80 or "=" in line, line  # an override of a command stays whole
        assert set(line.split()) <= {*words, "\\", "…"}, line
    assert pd.Series(lines).str.contains("p > 0.5").any()


def test_sentences_break_between_words_and_commands_where_a_shell_goes_on():
    lines = printed([part("", Line("law", SENTENCE, INFO), Line("next", COMMANDS, COMMAND))], 3, 60)
    assert max(map(len, lines)) <= 60
    start = next(index for index, line in enumerate(lines) if "next" in line)
    assert "…" not in "".join(lines[start:])
    copied = "\n".join(lines[start:]).replace("next", "", 1)
    assert shlex.split(copied.replace("\\\n", "")) == shlex.split(COMMANDS)


def test_a_long_sentence_is_cut_after_two_lines_and_a_long_name_at_the_edge():
    name = "saturating_no_offset_" * 5
    lines = printed([part("", Line("caution", " ".join([SENTENCE] * 3), CAUTION), Line("law", name))], 3, 80)
    assert len(lines) == 6
    assert lines[-2].endswith(" …")
    assert lines[-1].split() == ["law", name[:64] + "…"]
    assert len(lines[-1]) == 80


def test_the_condition_shown_in_full_has_an_identified_law_before_one_of_more_cells():
    few = part("a", fitted=True, identified=True, cells_used=5)
    many = part("b", fitted=True, identified=False, cells_used=9)
    assert headline([part("c"), many, few]) is few
    others = [part(f"steps={number}") for number in range(9)]
    text = "\n".join(printed([*others, few], 33, 80))
    assert "steps=3: 3 cells, no law" in text
    assert "and 5 more on the page" in text


def test_a_word_longer_than_a_row_is_cut_and_the_rest_of_the_sentence_stays():
    console = Console(file=io.StringIO(), width=60)
    terminal._print_lines([Line("p > 0.5", f"not checked: {'x' * 200} cannot be read")], console)
    rows = console.file.getvalue().splitlines()
    assert "not checked:" in rows[0]
    assert "…" in "".join(rows)
    assert max(map(len, rows)) <= 60
