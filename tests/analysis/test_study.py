"""The study that the documentation reports comes out again from the rows that it keeps."""

import subprocess
import sys

import pytest
from conftest import ROOT

from analysis.load import all_tokens, load_studies
from analysis.transition import violations

STUDY = ROOT / "docs/study/smollm2"


@pytest.mark.slow
def test_every_number_of_the_study_comes_out_again():
    command = [sys.executable, "-m", "analysis.report", str(STUDY), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_token_of_the_study_has_p_above_one_half_and_another_argmax():
    for tokens in all_tokens(load_studies([STUDY])):
        assert violations(tokens).empty
