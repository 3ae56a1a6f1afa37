from pathlib import Path

from helpers.experiments import law, rows_of
from memlaw_analysis.commands import experiments
from memlaw_analysis.experiments import files
from memlaw_analysis.experiments.catalogue import LENGTH


def test_pages_are_written_and_checked(tmp_path: Path, monkeypatch, call):
    monkeypatch.setattr(files, "EXPERIMENTS", (LENGTH,))
    rows = rows_of(LENGTH.parts, law)
    rows.to_parquet(tmp_path / "law.parquet", index=False)
    code, text, _ = call(experiments, tmp_path)
    assert (code, text.count("\n")) == (0, 1)
    assert f"length.md: {len(rows)} of {len(rows)} cells, " in text
    code, text, _ = call(experiments, tmp_path, "--check")
    assert (code, text) == (0, f"Every number of {tmp_path} comes out again.\n")
    (tmp_path / "length.md").write_text("by hand")
    code, text, _ = call(experiments, tmp_path, "--check")
    assert (code, text.splitlines()[-1]) == (1, "The pages differ from their rows.")


def test_what_cannot_be_read_is_one_line(tmp_path: Path, call):
    (tmp_path / "law.parquet").write_bytes(b"no parquet")
    for directory in (tmp_path, tmp_path / "none"):
        code, _, errors = call(experiments, directory)
        assert (code, len(errors.splitlines())) == (2, 1), errors
