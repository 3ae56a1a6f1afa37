"""The configuration and the launcher plugins are found from a checkout, an editable install and a wheel."""

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from helpers.checkout import ROOT
from helpers.configs import FAST
from helpers.processes import python
from helpers.studies import write_study
from helpers.study_files import states

import memlaw

FOLDERS = ("conf", "memlaw", "launchers", "analysis")
WHERE = "import memlaw, memlaw_analysis, hydra_plugins.memlaw_launchers as p; print(memlaw.__file__, p.__file__)"


def run(cwd: Path, *words: str, python_path: Iterable[Path] = ()) -> str:
    """What Python prints, with nothing on its path but `python_path`; it must succeed."""
    done = python(*words, cwd=cwd, PYTHONPATH=":".join(map(str, python_path)), HYDRA_FULL_ERROR="1")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All packages that are installed here, but memlaw."""
    directory = tmp_path_factory.mktemp("packages")
    places = [Path(entry) for entry in reversed(sys.path)]
    for place in (place for place in places if place.name in ("site-packages", "dist-packages")):
        for installed in place.iterdir():
            link = directory / installed.name
            if "memlaw" not in installed.name and installed.suffix != ".pth":
                link.unlink(missing_ok=True)
                link.symlink_to(installed)
    return directory


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The contents of the wheel, unpacked."""
    directory = tmp_path_factory.mktemp("wheel")
    run(ROOT, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(directory), ".")
    (built,) = directory.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        archive.extractall(directory / "site")
    return directory / "site"


def test_the_wheel_holds_three_packages_the_configuration_and_nothing_stray(wheel: Path):
    assert {path.name for path in wheel.iterdir() if not path.name.endswith(".dist-info")} == {
        "memlaw",
        "memlaw_analysis",
        "hydra_plugins",
    }
    assert (wheel / "memlaw/conf/config.yaml").is_file()
    assert (wheel / "hydra_plugins/memlaw_launchers/local.py").is_file()
    assert not (wheel / "hydra_plugins/__init__.py").exists()
    templates = wheel / "memlaw_analysis/experiments/pages"
    assert {path.suffix for path in templates.iterdir()} == {".md"}
    files = (path for path in wheel.rglob("*") if path.is_file())
    packed = [path for path in files if ".dist-info" not in str(path) and path.parent != templates]
    assert {path.suffix for path in packed} <= {".py", ".yaml", ".csv", ".html", ".css", ".js", ".json", ".txt"}


def test_the_console_script_of_the_wheel_is_one(wheel: Path):
    (entries,) = wheel.glob("*.dist-info/entry_points.txt")
    assert entries.read_text().split() == ["[console_scripts]", "memlaw", "=", "memlaw.__main__:main"]


@pytest.fixture
def beside_their_own(tmp_path: Path) -> Path:
    """A user's directory with a folder `analysis` of its own, whose modules go by names of ours."""
    own = tmp_path / "work/analysis"
    own.mkdir(parents=True)
    for name in ("__init__", "report", "api", "study"):
        (own / f"{name}.py").write_text("raise SystemExit('this is the code of a user')\n")
    return own.parent


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["-m", "memlaw", "--help"], "report "),
        (["-m", "memlaw", "report", "study"], "study/report/report.html"),
        (["-c", "import memlaw; print(repr(memlaw.load_study('study')))"], "study: 9 finished cells"),
    ],
    ids=["help", "report", "load_study"],
)
def test_the_wheel_works_beside_a_users_own_analysis(
    wheel: Path, packages: Path, beside_their_own: Path, words: list[str], shown: str
):
    write_study(beside_their_own / "study")
    assert shown in run(beside_their_own, "-S", *words, python_path=(wheel, packages))


@pytest.mark.slow
def test_a_sweep_runs_from_the_wheel_in_any_directory(wheel: Path, packages: Path, beside_their_own: Path):
    path = (wheel, packages)
    assert run(beside_their_own, "-S", "-c", WHERE, python_path=path).count(str(wheel)) == 2
    shown = run(beside_their_own, "-S", "-m", "memlaw.train", "-m", *FAST, "seq_len=8,16", python_path=path)
    assert f"Study: {beside_their_own}/runs/default" in shown
    assert list(states(beside_their_own / "runs/default").values()) == ["done", "done"]


def test_the_editable_install_works_in_any_directory(tmp_path: Path):
    assert run(tmp_path, "-c", WHERE).split() == [
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


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the checkout, which nobody has installed."""
    root = tmp_path / "a checkout"
    for name in FOLDERS:
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    return root


def test_a_checkout_trains_and_reports_without_installation(checkout: Path, packages: Path):
    told = python("-S", "-c", "from importlib.metadata import version; version('memlaw')", cwd=checkout,
                  PYTHONPATH=str(packages))  # fmt: skip
    assert "PackageNotFoundError: No package metadata was found for memlaw" in told.stderr
    run(checkout, "-S", "-m", "memlaw.train", *FAST, "seq_len=8", python_path=[packages])
    (result,) = checkout.glob("runs/default/*/result.json")
    assert json.loads(result.read_text())["version.memlaw"] == memlaw.__version__
    run(checkout, "-S", "-m", "memlaw", "report", "runs/default", python_path=[packages])
    assert (checkout / "runs/default/report/report.html").is_file()


def test_a_checkout_offers_its_launchers_without_installation(checkout: Path, packages: Path):
    assert "LocalLauncher" in run(checkout, "-S", "-m", "memlaw.train", "--info", "plugins", python_path=[packages])


@pytest.mark.parametrize(("command", "shown"), [("train", "powered by Hydra"), ("report", "usage:")])
def test_a_checkout_has_its_commands_in_any_directory(
    checkout: Path, packages: Path, tmp_path: Path, command: str, shown: str
):
    path = [packages, checkout]  # not the working directory, so that only memlaw itself can find the rest
    assert shown in run(tmp_path, "-S", "-m", "memlaw", command, "--help", python_path=path)


def test_a_checkout_is_found_before_anything_installed(checkout: Path):
    path = [checkout, checkout / "launchers"]
    assert str(checkout / "conf") in run(checkout, "-m", "memlaw.train", "--info", "searchpath", python_path=path)
