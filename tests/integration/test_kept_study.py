"""The study that the documentation reports comes out again from the rows that it keeps."""

import pytest
from helpers.checkout import ROOT
from helpers.processes import python
from helpers.studies import write_study
from memlaw_analysis.law.capacity import fit_capacity
from memlaw_analysis.recall.transition import violations
from memlaw_analysis.tables.studies import load_studies
from memlaw_analysis.tables.tokens import all_tokens

STUDY = ROOT / "docs/study/smollm2"
LENGTHS = (128, 256, 512, 1024, 2048, 4096)


@pytest.mark.slow
def test_every_number_of_the_study_comes_out_again():
    done = python("-m", "memlaw_analysis.commands.report", STUDY, "--check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_token_of_the_study_has_p_above_one_half_and_another_argmax():
    for tokens in all_tokens(load_studies([STUDY])):
        assert violations(tokens).empty


def test_its_cells_did_not_count_effective_parameters_and_stand_beside_cells_that_did(tmp_path):
    new = write_study(tmp_path / "new", lengths=LENGTHS, effective_parameters=1000, input_rank=100)
    cells = load_studies([STUDY, new])
    assert cells["effective_parameters"].notna().tolist() == (cells["study"] == str(new)).tolist()
    assert len(fit_capacity(cells, "effective_parameters").loads) == 3 * len(LENGTHS)
    assert len(fit_capacity(cells).loads) == len(cells)
