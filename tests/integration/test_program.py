"""`memlaw.train([...])`: the sweep's command as a function."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from helpers.configs import FAST, TINY

import memlaw
from memlaw.core.errors import ConfigError, SweepFailed
from memlaw.sweep import program


def test_a_sweep_is_trained_shown_and_found_again(tmp_path: Path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    grid = [*FAST, "lora.rank=1,2", "seq_len=8", "study=s"]
    directory = memlaw.train(grid)
    assert directory == tmp_path / "runs/s"
    assert "2 cells to train in 1 pack" in capfd.readouterr().out
    assert sorted(memlaw.load_study(directory).cells["lora.rank"]) == [1, 2]
    memlaw.train(grid)
    assert "Nothing to train: 2 of 2 cells are done." in capfd.readouterr().out


def test_it_is_callable_whichever_was_imported_first():
    for imports in ("import memlaw", "import memlaw, memlaw.train", "import memlaw.train as t; import memlaw"):
        code = f"{imports}\ntry: memlaw.train(['lora.rnk=1'])\nexcept Exception as error: print(error)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert "lora.rnk is not a key" in done.stdout, done.stderr


@pytest.mark.slow
def test_impossible_values_and_failed_cells_are_raised(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"lora\.rank=0 is not a whole number"):
        memlaw.train([*TINY, "lora.rank=0,1"])
    (tmp_path / "short.txt").write_text("a few words")
    with pytest.raises(SweepFailed, match="1 of 1 cells failed"):
        memlaw.train([*FAST, "data=text", "data.path=short.txt", "seq_len=99"])


def test_an_interrupt_reaches_the_command(tmp_path: Path, monkeypatch):
    waits = "import signal, time; signal.signal(signal.SIGINT, lambda *_: exit(130)); print('ready'); time.sleep(600)"
    start, started = subprocess.Popen, []

    def stand_in(command, **kwargs):
        started.append(start([sys.executable, "-u", "-c", waits], start_new_session=True, **kwargs))
        threading.Timer(2, signal.pthread_kill, [threading.main_thread().ident, signal.SIGINT]).start()
        return started[0]

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(program.subprocess, "Popen", stand_in)
    with pytest.raises(KeyboardInterrupt):
        program.train(TINY)
    assert started[0].wait() == 130
