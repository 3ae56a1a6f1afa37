import subprocess
import sys

import pytest
from helpers.processes import PATIENCE_S
from helpers.rows import write_row

from memlaw.study import survey as survey_module
from memlaw.study.status import Status, read_status
from memlaw.study.survey import survey, survey_study


@pytest.fixture
def reads(monkeypatch) -> list[str]:
    """Names of the cells whose status has been read."""
    names = []

    def counting(path) -> Status:
        names.append(path.parent.name)
        return read_status(path)

    monkeypatch.setattr(survey_module, "read_status", counting)
    return names


def test_each_status_is_read_once_in_the_order_of_the_cells(tiny, reads):
    cells = [tiny(f"lora.rank={rank}", "seq_len=16")[0] for rank in (4, 1, 2)]
    for cell in cells:
        cell.plan()
    cells[0].set_status("failed", cause="a cause")
    seen = survey(cells)
    assert reads == [cell.name for cell in cells]
    assert [observation.cell for observation in seen] == cells
    assert [observation.state for observation in seen] == ["failed", "pending", "pending"]
    assert seen[0].status.cause == "a cause"
    assert len(reads) == 3
    assert survey_study(cells[0].study) == sorted(seen, key=lambda observation: observation.name)
    assert len(reads) == 6


def test_a_cell_that_was_never_planned_is_pending_and_nothing_is_written(tiny):
    cell, _ = tiny()
    assert [observation.state for observation in survey([cell])] == ["pending"]
    assert not cell.study.exists()


def test_the_row_of_a_done_cell_is_read_when_it_is_asked_for_and_once(tiny):
    cell, _ = tiny()
    cell.plan()
    write_row(cell.paths.directory)
    cell.set_status("done")
    (observation,) = survey([cell])
    write_row(cell.paths.directory, loss_nats=0.25)
    assert observation.result["loss_nats"] == 0.25
    cell.paths.result.unlink()
    assert observation.result["cell"] == cell.name


def test_cells_are_composed_surveyed_and_packed_without_torch():
    modules = """sweep.application study.cell planning.cells planning.cost screens.eta study.liveness study.identity
        planning.packing study.records study.directory study.survey
        backends.workers backends.slurm.backend""".split()
    imports = ", ".join(f"memlaw.{module}" for module in modules)
    code = f"import sys, {imports}; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=PATIENCE_S).returncode == 0
