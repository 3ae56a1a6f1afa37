import sys

import pytest

from memlaw.doctor import __main__ as command
from memlaw.doctor import examination
from memlaw.doctor.verdict import Verdict


@pytest.mark.parametrize(("level", "code"), [("green", 0), ("yellow", 0), ("red", 1)])
def test_the_command_ends_with_1_if_anything_is_red(monkeypatch, capsys, level, code: int):
    monkeypatch.setattr(examination, "examine", lambda *_: [Verdict("a check", level, "a [finding]", "what to do")])
    monkeypatch.setattr(sys, "argv", ["memlaw.doctor"])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == code
    assert type(ended.value.code) is int
    said = capsys.readouterr().out
    assert "a [finding]" in said
    assert "→ what to do" in said


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ("model=nonsense", "nonsense"),
        ("model=hub", "Missing mandatory value"),
        ("logger=null", "logger"),
        ("lora.rank=0", "lora.rank=0 is not"),
        ("+foo=1", "foo is not a key"),
        ("hydra.launcher.workers=0", "hydra.launcher.workers=0 is neither auto nor a number of at least 1"),
        ("hydra/launcher=slurm hydra.launcher.gpus=9", "hydra.launcher.gpus=9"),
        ("hydra/launcher=slurm_container", "MEMLAW_IMAGE"),
        ("checkpoint.every_min=-1", "checkpoint.every_min=-1"),
    ],
)
def test_what_the_sweep_refuses_is_refused(monkeypatch, capsys, overrides: str, said: str):
    monkeypatch.delenv("MEMLAW_IMAGE", raising=False)
    monkeypatch.setattr(sys, "argv", ["memlaw.doctor", "model=random", *overrides.split()])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_the_sweeps_own_words_are_taken(monkeypatch, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/mine.yaml").write_text("defaults: [long_context]\nname: mine\n")
    seen = []
    monkeypatch.setattr(examination, "examine", lambda cfg, *_: seen.append(cfg) or [])
    words = f"-m model=random data=mine --job lora.rank=4,2 seq_len=range(8,20,4) --config-dir {tmp_path}"
    monkeypatch.setattr(sys, "argv", ["memlaw.doctor", *words.split()])
    with pytest.raises(SystemExit):
        command.main()
    assert (seen[0].lora.rank, seen[0].seq_len, seen[0].data.name) == (4, 8, "mine")
