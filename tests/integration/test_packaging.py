"""The configuration and the launcher plugins are found from a checkout, an editable install and a wheel."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from helpers.checkout import ROOT
from helpers.configs import FAST

import memlaw


def run(cwd: Path, *arguments: str, python_path: str = "") -> str:
    environment = {**os.environ, "PYTHONPATH": python_path, "HYDRA_FULL_ERROR": "1"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The contents of the wheel, unpacked."""
    directory = tmp_path_factory.mktemp("wheel")
    run(ROOT, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(directory), ".")
    (built,) = directory.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        archive.extractall(directory / "site")
    return directory / "site"


def test_the_wheel_brings_configuration_and_launchers_and_nothing_stray(wheel: Path):
    assert {path.name for path in wheel.iterdir() if not path.name.endswith(".dist-info")} == {
        "memlaw",
        "analysis",
        "hydra_plugins",
    }
    assert (wheel / "memlaw/conf/config.yaml").is_file()
    assert (wheel / "hydra_plugins/memlaw_launchers/local.py").is_file()
    assert not (wheel / "hydra_plugins/__init__.py").exists()


@pytest.mark.slow
def test_a_sweep_runs_from_the_wheel_in_any_directory(wheel: Path, tmp_path: Path):
    where = "import memlaw, hydra_plugins.memlaw_launchers as p; print(memlaw.__file__, p.__file__)"
    assert run(tmp_path, "-c", where, python_path=str(wheel)).count(str(wheel)) == 2
    shown = run(tmp_path, "-m", "memlaw.train", "-m", *FAST, "seq_len=8,16", python_path=str(wheel))
    assert f"Study: {tmp_path}/runs/default" in shown
    assert len(list(tmp_path.glob("runs/default/*/result.json"))) == 2


def test_the_editable_install_works_in_any_directory(tmp_path: Path):
    where = "import memlaw, hydra_plugins.memlaw_launchers as p; print(memlaw.__file__, p.__file__)"
    assert run(tmp_path, "-c", where).split() == [
        str(ROOT / "memlaw/__init__.py"),
        str(ROOT / "launchers/hydra_plugins/memlaw_launchers/__init__.py"),
    ]
    shown = run(tmp_path, "-m", "memlaw.train", "--cfg", "hydra", "--package", "hydra.launcher")
    assert "hydra_plugins.memlaw_launchers.local.LocalLauncher" in shown
    assert "model:" in run(tmp_path, "-m", "memlaw.train", "--cfg", "job")


def test_the_console_script_works(tmp_path: Path):
    script = Path(sys.executable).parent / "memlaw"
    for arguments in (["--help"], ["train", "--cfg", "job"], ["report", "--help"]):
        done = subprocess.run([script, *arguments], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All packages that are installed here, but memlaw."""
    directory = tmp_path_factory.mktemp("packages")
    for place in (
        Path(entry) for entry in reversed(sys.path) if Path(entry).name in ("site-packages", "dist-packages")
    ):
        for found in place.iterdir():
            link = directory / found.name
            if "memlaw" not in found.name and found.suffix != ".pth":
                link.unlink(missing_ok=True)
                link.symlink_to(found)
    return directory


@pytest.mark.parametrize("arguments", [["--info", "plugins"], [*FAST, "seq_len=8"]])
def test_a_checkout_needs_no_installation(tmp_path: Path, packages: Path, arguments: list[str]):
    checkout = tmp_path / "a checkout"
    for name in ("conf", "memlaw", "launchers"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    alone = ["-S", "-c", "import importlib.metadata as found; found.version('memlaw')"]
    environment = {**os.environ, "PYTHONPATH": str(packages)}
    told = subprocess.run([sys.executable, *alone], cwd=checkout, env=environment, capture_output=True, text=True)
    assert "PackageNotFoundError: No package metadata was found for memlaw" in told.stderr
    shown = run(checkout, "-S", "-m", "memlaw.train", *arguments, python_path=str(packages))
    if "--info" in arguments:
        assert "LocalLauncher" in shown
    else:
        (result,) = checkout.glob("runs/default/*/result.json")
        assert json.loads(result.read_text())["version.memlaw"] == memlaw.__version__


@pytest.mark.parametrize("command", ["train", "report"])
def test_a_checkout_has_every_command_without_installation(tmp_path: Path, packages: Path, command: str):
    checkout = tmp_path / "a checkout"
    for name in ("conf", "memlaw", "launchers", "analysis"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    path = f"{packages}:{checkout}"  # not the working directory, so that only memlaw itself can find the rest
    shown = run(tmp_path, "-S", "-m", "memlaw", command, "--help", python_path=path)
    assert ("powered by Hydra" if command == "train" else "usage:") in shown


def test_a_checkout_is_found_before_anything_installed(tmp_path: Path):
    for name in ("conf", "memlaw", "launchers"):
        shutil.copytree(ROOT / name, tmp_path / "a checkout" / name, ignore=shutil.ignore_patterns("__pycache__"))
    checkout = tmp_path / "a checkout"
    path = f"{checkout}:{checkout / 'launchers'}"
    shown = run(checkout, "-m", "memlaw.train", "--info", "searchpath", python_path=path)
    assert str(checkout / "conf") in shown
