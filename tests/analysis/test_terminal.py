"""What the report prints on a narrow terminal: nothing is cut, words stay whole, commands can be copied."""

import io

import pandas as pd
from rich.console import Console

from analysis.sections import CAUTION, INFO, Section
from analysis.terminal import print_sections

COMMAND = "python -m memlaw.train -m study=smollm2 runs_dir=/somewhere/far/away lora.rank=1 seq_len=2048,4096"
SENTENCE = "the largest residual is at the smallest rank and the longest length of all that were measured in this study"


def printed(*parts: Section) -> list[str]:
    console = Console(file=io.StringIO(), width=40, force_terminal=True, color_system=None)
    print_sections(list(parts), "a condition", console)
    return console.file.getvalue().splitlines()


def test_sentences_break_between_words_and_commands_not_at_all():
    lines = printed(Section("findings", "Findings", notes=((INFO, SENTENCE), (CAUTION, SENTENCE), (INFO, COMMAND))))
    assert all(line.startswith("  ") for line in lines[2:])
    assert lines[-1] == f"  {COMMAND}"
    said = " ".join(line.strip() for line in lines[2:-1])
    assert said == f"{SENTENCE} caution: {SENTENCE}"
    assert max(map(len, lines[:-1])) <= 40


def test_names_in_tables_are_never_cut():
    table = pd.DataFrame({"form": ["saturating_no_offset"], **{name: [1.25] for name in "abcdefg"}})
    text = "\n".join(printed(Section("rivals", "Rivals", table=table, brief=True)))
    assert "…" not in text
    kept = "".join(line.split()[0] for line in text.splitlines()[3:] if line.split())
    assert "saturating_no_offset" in kept
