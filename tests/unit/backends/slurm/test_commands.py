"""Slurm's programs as memlaw asks them."""

from pathlib import Path

import pytest
from helpers.processes import stub

from memlaw.backends.slurm.commands import ask, cluster_config, max_array_size
from memlaw.core.errors import ConfigError


def test_the_configuration_is_read_by_name(tmp_path: Path, monkeypatch):
    shown = "Configuration data as of 2026-01-01\nMaxArraySize            = 10001\nPreemptMode =\nMaxJobCount  = 20000"
    stub(tmp_path, "scontrol", f"printf '{shown}\\n'")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    config = cluster_config()
    assert config == {"MaxArraySize": "10001", "PreemptMode": "", "MaxJobCount": "20000"}
    assert max_array_size(config) == 10001


def test_slurms_default_holds_where_the_configuration_names_no_limit():
    assert max_array_size({}) == max_array_size({"MaxArraySize": "(null)"}) == 1001


def test_a_program_that_does_not_answer_is_named(tmp_path: Path, monkeypatch):
    stub(tmp_path, "scontrol", "exec sleep 60")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(ConfigError, match="scontrol has not answered for 0 s"):
        ask("scontrol", "ping", timeout_s=0.2)


def test_a_program_that_fails_in_silence_is_named(tmp_path: Path, monkeypatch):
    stub(tmp_path, "scontrol", "exit 3")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(ConfigError, match="scontrol ended with 3"):
        ask("scontrol", "ping")
