"""Each check of `memlaw.doctor` on a faked environment."""

from helpers.processes import stub

from memlaw.backends.slurm.commands import PROGRAMS
from memlaw.config.compose import compose_config, first_values
from memlaw.doctor import examination

SLURM = """Configuration data as of 2026-01-01
ClusterName             = tiny
MaxArraySize            = 1001
PreemptMode             = REQUEUE
PreemptParameters       = (null)
SlurmctldParameters     = {parameters}
"""


def test_all_checks_run_here(path, tmp_path):
    found = examination.examine(
        compose_config(["model=random", "logger.mode=disabled"], with_hydra=True), tmp_path, try_job=False
    )
    expected = "GPU bf16 runs cache Hub+cache clock model W&B Slurm"
    assert [verdict.check for verdict in found] == [word.replace("+", " ") for word in expected.split()]
    assert [place.name for place in tmp_path.iterdir()] == ["bin"]


def test_a_sweep_that_is_to_be_queued_is_looked_at_with_its_launchers_options(path, tmp_path):
    for name in PROGRAMS:
        stub(path, name, "exit 1")
    sweep = ["model=random", "logger.mode=disabled", "hydra/launcher=slurm", "hydra.launcher.partition=gpu"]
    cfg = compose_config(first_values([*sweep, "hydra.launcher.account=me"]), with_hydra=True)
    lost = {verdict.check: verdict.level for verdict in examination.examine(cfg, tmp_path / "runs", try_job=False)}
    assert (lost["Slurm"], lost["submitit"]) == ("red", "green")
    stub(path, "scontrol", f"cat <<'X'\n{SLURM.format(parameters='(null)')}X")
    stub(path, "srun", f'echo "$*" > {tmp_path}/told; shift 6; exec "$@"')
    found = {verdict.check: verdict.level for verdict in examination.examine(cfg, tmp_path / "runs", try_job=True)}
    assert (found["Slurm"], found["shared files"]) == ("green", "green")
    assert (tmp_path / "told").read_text().startswith("--partition=gpu --account=me --ntasks=1")
