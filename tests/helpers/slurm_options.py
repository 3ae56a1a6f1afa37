"""Options of Slurm jobs: the defaults, with a test's own."""

from omegaconf import OmegaConf

from helpers.checkout import ROOT
from memlaw.backends.slurm.options import SlurmOptions

DEFAULTS = OmegaConf.to_container(OmegaConf.load(ROOT / "conf/hydra/launcher/slurm.yaml"))


def options(**own) -> SlurmOptions:
    assert isinstance(DEFAULTS, dict)
    return SlurmOptions(**{key: value for key, value in {**DEFAULTS, **own}.items() if key != "_target_"})
