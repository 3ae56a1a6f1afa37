"""A study's files are data: reading, resuming and reporting it runs none of them."""

import json
import os
import pickle
from pathlib import Path

import numpy as np
import torch
from helpers.interruption import EACH_STEP, interrupted
from helpers.packs import LONG, make_cells, train
from memlaw_analysis.tables.studies import load_studies
from memlaw_analysis.tables.tokens import all_tokens

from memlaw.backends.slurm.queue import study_jobs
from memlaw.backends.this_process import ThisProcess
from memlaw.status import as_json, view
from memlaw.study.survey import survey_study
from memlaw.sweep.run_sweep import run_sweep


class Planted:
    def __init__(self, path: Path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def refused(*_, **__):
    raise AssertionError("something is unpickled")


def test_nothing_in_a_study_is_unpickled(tiny, tmp_path: Path, monkeypatch):
    cells, cfg = make_cells(tiny, [("lora.rank=2", *LONG), ("lora.rank=1", *LONG)], EACH_STEP)
    train(cells[:1], cfg)
    interrupted(monkeypatch, cells[1:], cfg, 20)
    study = cells[0].study
    for place in ("slurm/now/1_submitted.pkl", "logs/a.pkl", f"{cells[1].name}/last.ckpt", f"{cells[1].name}/a.npy"):
        (study / place).parent.mkdir(parents=True, exist_ok=True)
        (study / place).write_bytes(pickle.dumps(Planted(tmp_path / "ran")))
    with monkeypatch.context() as patched:
        for name in ("load", "loads", "Unpickler"):
            patched.setattr(pickle, name, refused)
        patched.setattr(torch, "load", refused)
        patched.setattr(np, "load", refused)
        cfg.rerun = "failed"
        run_sweep(cells, cfg, ThisProcess())
        seen = survey_study(study)
        view(study, seen, study_jobs(study))
        json.dumps(as_json(study, seen, []))
        rows = load_studies([study])
        assert len(rows) == len(list(all_tokens(rows))) == 2
    assert [cell.state for cell in cells] == ["done", "done"]
    assert not (tmp_path / "ran").exists()
    pickle.loads((study / "logs/a.pkl").read_bytes())
    assert (tmp_path / "ran").exists()  # what was planted would have told
