import socket
import sys

import pytest
from helpers.configs import composed

from memlaw.config.instantiation import instantiate_checked
from memlaw.doctor import services
from memlaw.doctor.verdict import Verdict
from memlaw.models.sources import HubModel, LocalModel, PackagedModel


def test_models_that_need_no_network(tmp_path, monkeypatch):
    assert services.base_model(instantiate_checked(composed("model=random").model)).level == "green"
    assert services.base_model(LocalModel("mine", str(tmp_path))).level == "red"
    (tmp_path / "config.json").write_text("{}")
    assert services.base_model(LocalModel("mine", str(tmp_path))).level == "green"
    (tmp_path / "a_package").mkdir()
    (tmp_path / "a_package/m.gguf").write_text("")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert services.base_model(PackagedModel("m", "a_package", "m.gguf", "nobody/none")).level == "green"


def test_a_hub_model_is_green_only_when_its_files_are_here(tmp_path, monkeypatch):
    monkeypatch.setattr(services, "is_offline_mode", lambda: False)
    missing = services.base_model(HubModel("m", "nobody/none"))
    assert (missing.level, missing.remedy) == ("yellow", "run once with a network: hf download nobody/none")
    monkeypatch.setattr(services, "is_offline_mode", lambda: True)  # which reads the environment once
    assert services.base_model(PackagedModel("m", "no_such_package", "m.gguf", "nobody/none")).level == "red"
    monkeypatch.setattr(services, "snapshot_download", lambda *_, **__: str(tmp_path))
    for name in ("config.json", "tokenizer.json", "model-1.safetensors"):
        (tmp_path / name).write_text("{}")
    assert services.base_model(HubModel("m", "nobody/none")).level == "green"
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-2.safetensors"}}')
    assert "only partly" in services.base_model(HubModel("m", "nobody/none")).finding


def test_wandb_by_mode_login_and_server(tmp_path, monkeypatch):
    for module in ("memlaw.tracking.mode", "memlaw.doctor.services"):
        monkeypatch.setattr(f"{module}.requested_mode", lambda: None)
    monkeypatch.setattr(services, "has_credentials", lambda: False)
    monkeypatch.setattr("memlaw.tracking.mode.has_credentials", lambda: False)
    assert services.wandb("disabled").level == "green"
    assert services.wandb("offline").level == "green"
    assert services.wandb("auto").level == "yellow"
    for module in ("memlaw.tracking.mode", "memlaw.doctor.services"):
        monkeypatch.setattr(f"{module}.requested_mode", lambda: "offline")
    assert services.wandb("auto") == Verdict("W&B", "green", "offline: runs are stored in the study's directory")
    assert services.wandb("online").level == "red"
    monkeypatch.setattr(services, "has_credentials", lambda: True)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setattr(services, "base_url", lambda: url)
        assert services.wandb("online").level == "yellow"
        server.listen()
        assert services.wandb("online").level == "green"


@pytest.mark.parametrize(
    ("overrides", "check", "level", "finding"),
    [
        (["logger=trackio"], "Trackio", "green", "runs are stored on this machine"),
        (["logger=trackio", "logger.mode=disabled"], "Trackio", "green", "disabled: results are on disk alone"),
        (["logger.mode=disabled"], "W&B", "green", "disabled: results are on disk alone"),
    ],
)
def test_each_logger_is_looked_at_by_its_own_service(overrides, check: str, level: str, finding: str):
    verdict = services.tracking(composed(*overrides).logger)
    assert (verdict.check, verdict.level, verdict.finding) == (check, level, finding)
