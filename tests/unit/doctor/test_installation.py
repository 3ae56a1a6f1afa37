import importlib.metadata

from packaging.requirements import Requirement

from memlaw.doctor import installation
from memlaw.doctor.verdict import Verdict


def test_python_and_packages_against_what_is_required():
    needed, packages = installation.requirements()
    assert installation.python(needed).level == "green"
    assert installation.python(needed, "3.9.1").level == "red"
    assert {one.name for one in packages} >= {"torch", "rich", "packaging"}
    assert installation.packages(packages).level == "green"


def test_packages_that_are_old_or_missing_are_named_with_a_command():
    def version(name: str) -> str:
        if name == "rich":
            raise importlib.metadata.PackageNotFoundError
        return "2.0"

    found = installation.packages(
        [Requirement("torch>=2.8"), Requirement("rich>=13"), Requirement("wandb>=1")], version
    )
    assert found == Verdict(
        "packages", "red", "torch 2.0, needs >=2.8; rich missing", "pip install 'torch>=2.8' 'rich>=13'"
    )
