"""The sweep: `python -m memlaw.train -m lora.rank=1,4,16 seq_len=64,256,1024`. Without `-m`, one cell."""

from typing import TYPE_CHECKING

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from memlaw.cell import Cell
from memlaw.errors import ConfigError, leave_interrupted, refuse
from memlaw.paths import add_launchers, config_dir

if TYPE_CHECKING:
    from memlaw.plan import Plan

add_launchers()


@hydra.main(version_base="1.3", config_path=config_dir(), config_name="config")
def run(cfg: DictConfig) -> None:
    """Train the one cell that `cfg` describes, unless the study has it."""
    from memlaw.sweep import run_sweep

    def run_plan(plan: "Plan", settings: DictConfig) -> None:
        from memlaw.pack import train_pack

        for pack in plan.packs:
            train_pack(pack.cells, settings)

    try:
        run_sweep([Cell.from_config(cfg)], cfg, run_plan)
    except ConfigError as error:
        if HydraConfig.get().mode == RunMode.MULTIRUN:  # the sweep's other jobs are not to blame
            raise
        refuse(error)
    except KeyboardInterrupt:
        leave_interrupted()


def main() -> None:
    """Command line entry."""
    run()


if __name__ == "__main__":
    main()
