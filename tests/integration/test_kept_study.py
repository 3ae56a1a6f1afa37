"""The study that the documentation reports comes out again from the rows that it keeps."""

import pytest
from helpers.checkout import ROOT
from helpers.processes import python
from memlaw_analysis.recall.transition import violations
from memlaw_analysis.tables.studies import load_studies
from memlaw_analysis.tables.tokens import all_tokens

STUDY = ROOT / "docs/study/smollm2"


@pytest.mark.slow
def test_every_number_of_the_study_comes_out_again():
    done = python("-m", "memlaw_analysis.commands.report", STUDY, "--check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_token_of_the_study_has_p_above_one_half_and_another_argmax():
    for tokens in all_tokens(load_studies([STUDY])):
        assert violations(tokens).empty
