import subprocess
import sys
from pathlib import Path

import pytest
from helpers.rows import write_row
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
