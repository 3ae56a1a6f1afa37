from helpers.processes import stub

from memlaw.backends.slurm.commands import PROGRAMS
from memlaw.doctor import cluster
from memlaw.doctor.verdict import Verdict

SLURM = """Configuration data as of 2026-01-01
ClusterName             = tiny
MaxArraySize            = 1001
PreemptMode             = REQUEUE
PreemptParameters       = (null)
SlurmctldParameters     = {parameters}
"""


def test_slurm_by_its_commands_and_its_answer(path):
    assert [cluster.commands({}, wanted).level for wanted in (False, True)] == ["green", "red"]
    stub(path, "scontrol", "exit 1")
    missing = cluster.commands({}, chosen=True)
    assert missing.finding == "no sbatch, srun, squeue on PATH of this machine, from which jobs are submitted"
    for name in PROGRAMS[:3]:
        stub(path, name, "exit 1")
    assert cluster.slurm_config() == {}
    assert [cluster.commands({}, wanted).level for wanted in (False, True)] == ["yellow", "red"]
    stub(path, "scontrol", f"cat <<'X'\n{SLURM.format(parameters='(null)')}X")
    assert cluster.commands(cluster.slurm_config(), chosen=True) == Verdict("Slurm", "green", "cluster tiny answers")


def test_the_limits_and_signals_of_a_cluster(path):
    stub(path, "scontrol", f"cat <<'X'\n{SLURM.format(parameters='a,preempt_send_user_signal')}X")
    config = cluster.slurm_config()
    assert cluster.array_size(config).finding == "1001: up to 1001 tasks in one array"
    assert [cluster.array_size({"MaxArraySize": size}).level for size in ("1", "(null)")] == ["red", "yellow"]
    assert cluster.preemption(config).level == "green"
    assert cluster.preemption({**config, "SlurmctldParameters": "(null)"}).level == "yellow"
    assert cluster.preemption({**config, "PreemptMode": "CANCEL"}).level == "yellow"
    assert cluster.preemption({"PreemptMode": "OFF"}).level == "green"


def test_a_job_is_asked_only_if_told_and_must_see_the_file(path, tmp_path):
    runs = tmp_path / "with space"
    assert cluster.shared_directory(runs, try_job=False).level == "yellow"
    assert not runs.exists()
    assert cluster.shared_directory(runs, try_job=True).level == "red"  # no srun
    stub(path, "srun", 'shift 4; exec "$@"')
    assert cluster.shared_directory(runs, try_job=True).level == "green"
    stub(path, "srun", "echo something else")
    assert cluster.shared_directory(runs, try_job=True).level == "red"
    stub(path, "srun", "echo 'cat: x: No such file' >&2; exit 1")
    assert cluster.shared_directory(runs, try_job=True).finding.endswith("cat: x: No such file")
    stub(path, "srun", "echo 'srun: error: Unable to allocate resources' >&2; exit 1")
    assert cluster.shared_directory(runs, try_job=True).level == "yellow"
    assert list(runs.iterdir()) == []
