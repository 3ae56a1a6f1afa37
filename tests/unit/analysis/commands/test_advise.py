import subprocess
import sys
from pathlib import Path

import pytest
from helpers.checkout import ROOT
from helpers.rows import write_row
from memlaw_analysis.advice import data_bits
from memlaw_analysis.commands import advise
from memlaw_analysis.law.forms import Inputs, saturating

from memlaw.core.files import write_json


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """Finished cells of a known saturating law whose recalled share is a known function of ΔL/L0."""
    directory = tmp_path_factory.mktemp("study")
    for rank, length in ((r, l) for r in (1, 2, 4, 8, 16) for l in (64, 128, 256, 512, 1024)):
        delta_loss = float(saturating(Inputs.grid(rank, length, 13.24), C=60, alpha=0.7, beta=0.6, q=4))
        cell = directory / f"r{rank}-l{length}"
        cell.mkdir()
        write_row(cell, **{
            "lora.rank": rank, "seq_len": length, "target_tokens": length, "base_loss_nats": 13.24,
            "loss_nats": 13.24 - delta_loss, "delta_loss_nats": delta_loss,
            "recalled_share": (delta_loss / 13.24) ** 3, "trainable_parameters": 2112 * rank,
        })  # fmt: skip
        write_json(cell / "status.json", {"state": "done"})
    return directory


def test_the_command_answers_with_the_cells_to_train_next(study: Path):
    command = [sys.executable, "-m", advise.__name__, str(study), "--tokens", "300", "--recall", "0.6"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "300 tokens need rank" in done.stdout
    assert f"python -m memlaw.train -m study={study.name}" in done.stdout


def test_a_length_is_answered_too(study: Path, call):
    code, out, _ = call(advise, study, "--rank", 4, "--delta-loss", 8)
    assert (code, out.startswith("Rank 4 holds up to ")) == (0, True)


def test_an_answer_too_far_beyond_the_cells_is_refused_unless_allowed(study: Path, call):
    code, out, errors = call(advise, study, "--tokens", 100000, "--recall", 0.6)
    assert (code, out) == (1, "")
    assert "times beyond the measured cells" in errors
    code, out, _ = call(advise, study, "--tokens", 100000, "--recall", 0.6, "--extrapolate")
    assert (code, "an extrapolation" in out) == (0, True)


@pytest.mark.parametrize("arguments", [("--recall", 0.9), ("--rank", 0), ("--rank", 4, "--recall", 1.5)])
def test_what_makes_no_sense_is_refused(study: Path, call, arguments):
    assert call(advise, study, *arguments)[0] == 2


def test_an_empty_study_is_refused(tmp_path: Path, call):
    code, _, errors = call(advise, tmp_path, "--rank", 4)
    assert (code, "holds no finished cell" in errors) == (2, True)


@pytest.fixture
def stand_in(monkeypatch):
    """Data is scored by a stand-in, without a model."""
    command = (sys.executable, str(ROOT / "tests/helpers/verify_stand_in.py"))
    monkeypatch.setattr(data_bits, "VERIFY", command)


def test_bits_are_answered_with_the_error_of_the_translation(study: Path, call):
    code, out, errors = call(advise, study, "--bits", 6000, "--recall", 0.6, "--parameters-per-rank", 4224)
    assert (code, errors) == (0, "")
    assert "6,000 bits (like 314 tokens of the study) need rank" in out
    assert "docs/study/bits.md" in out and "docs/experiments/placement.md" in out


def test_data_is_scored_and_answered_with_a_sweep_on_it(study: Path, call, stand_in, tmp_path: Path):
    file = tmp_path / "facts.jsonl"
    file.write_text("a row\n" * 150)
    code, out, errors = call(advise, study, "--data", file, "--recall", 0.6)
    assert (code, errors) == (0, "")
    assert f"{file}: 150 pairs, 1,500 target tokens, 6,000 bits that m does not know." in out
    assert "6,000 bits (like 314 tokens of the study) need rank" in out
    assert "the law is that of one text" in out
    command = out.splitlines()[-1]
    assert f"data=table data.path={file} " in command
    assert command.endswith("seq_len=1500")


def test_data_without_an_answer_gets_the_sweep_alone(study: Path, call, stand_in, tmp_path: Path):
    file = tmp_path / "facts.jsonl"
    file.write_text("a row\n" * 150_000)
    code, out, errors = call(advise, study, "--data", file, "--recall", 0.6)
    assert (code, "times beyond the measured cells" in errors) == (1, True)
    assert "data=table" in out.splitlines()[-1]


def test_data_that_cannot_be_scored_is_refused(study: Path, call, stand_in, tmp_path: Path):
    file = tmp_path / "facts.jsonl"
    file.touch()
    code, _, errors = call(advise, study, "--data", file)
    assert (code, "could not be scored" in errors) == (2, True)
