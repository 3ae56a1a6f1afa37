"""The command's start: groups that get no name, and Ctrl-C, end in one line."""

import sys

import pytest

from memlaw import train
from memlaw.groups import misused_group


@pytest.mark.parametrize("override", ["lora=null", "optimizer=3", "data=[1,2]", "logger=null"])
def test_a_group_that_gets_no_name_is_one_line_and_ends_with_2(monkeypatch, capsys, tmp_path, override: str):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    monkeypatch.setattr(sys, "argv", ["memlaw.train", "model=random", override])
    with pytest.raises(SystemExit) as ended:
        train.main()
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert f"{override}: {override.partition('=')[0]} is a group of settings; choose one of " in said
    assert said.count("\n") == 1


def test_names_of_groups_and_values_of_keys_are_no_misuse():
    assert misused_group(["lora=mlp", "-m", "seq_len=8", "stop=null", "--cfg", "job", "=3"]) is None


def test_other_errors_of_values_are_shown_whole(monkeypatch):
    def broken() -> None:
        raise ValueError("a mistake of ours")

    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    monkeypatch.setattr(sys, "argv", ["memlaw.train", "lora=null"])
    monkeypatch.setattr(train, "run", broken)
    with pytest.raises(ValueError, match="a mistake of ours"):
        train.main()


def test_ctrl_c_while_hydra_starts_is_one_line(monkeypatch, capsys):
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    monkeypatch.setattr(train, "run", interrupted)
    with pytest.raises(SystemExit) as ended:
        train.main()
    assert ended.value.code == 130
    assert capsys.readouterr().err.startswith("Interrupted.")
