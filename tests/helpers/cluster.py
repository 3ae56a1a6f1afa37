"""A real Slurm on this machine: one node, no systemd, no cgroups, everything in one short directory.

Partition `main` makes room for partition `high` by requeueing its jobs, which get their own signal first.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from helpers.processes import PATIENCE_S, wait_for

COMMANDS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol")
SEARCHED = f"{os.environ.get('PATH', '')}:/usr/sbin"
MAX_ARRAY_SIZE = 4

# cred_expire is also how long a requeued job waits before it starts again: 120 s unless told, 5 the least it takes.
CONFIG = """
ClusterName=memlaw
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort={controller_port}
SlurmdPort={node_port}
AuthType=auth/munge
AuthInfo=socket={root}/munge.sock,cred_expire=5
CredType=cred/munge
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd.log
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MailProg=/bin/true
ReturnToService=2
MessageTimeout=60
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,sched_interval=2,bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
MaxArraySize={max_array_size}
KillWait=2
JobRequeue=0
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
SlurmdParameters=config_overrides
NodeName=node1 NodeHostname={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=8000 State=UNKNOWN
PartitionName=main Nodes=node1 Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=20
PartitionName=high Nodes=node1 MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"""
# slurmd loads a cgroup plugin whatever ProctrackType says; version 1 starts without a cgroup of its own.
CGROUP = "CgroupPlugin=cgroup/v1\nCgroupAutomount=no\nCgroupMountpoint=/sys/fs/cgroup\n"


def missing() -> list[str]:
    """What a cluster wants and this machine lacks."""
    lacking = [name for name in COMMANDS if not shutil.which(name, path=SEARCHED)]
    return lacking if os.geteuid() == 0 else [*lacking, "root's rights"]


@dataclass(frozen=True)
class Cluster:
    """A running cluster; `environment` is what its commands need."""

    root: Path

    @property
    def environment(self) -> dict[str, str]:
        return {"SLURM_CONF": str(self.root / "slurm.conf")}

    def ask(self, *command: str) -> str:
        environment = {**os.environ, **self.environment}
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=PATIENCE_S)
        return done.stdout


@contextlib.contextmanager
def running_cluster() -> Iterator[Cluster]:
    """Start a cluster; on leaving, stop its daemons by their pids and remove its directory."""
    root = Path(tempfile.mkdtemp(prefix="mls", dir="/tmp"))  # paths of sockets are limited to some 107 characters
    root.chmod(0o755)  # munge refuses a socket in a directory that others cannot enter
    cluster = Cluster(root)
    try:
        _start(cluster)
        yield cluster
        _end_jobs(cluster)
    finally:
        for name in ("slurmd", "slurmctld", "munged"):
            _stop(root / f"{name}.pid")
        shutil.rmtree(root, ignore_errors=True)


def _end_jobs(cluster: Cluster) -> None:
    """Cancel what is left and wait for it: steps outlive a controller that is gone."""
    cluster.ask("scancel", "--me")
    wait_for(lambda: not cluster.ask("squeue", "--noheader"))


def _start(cluster: Cluster) -> None:
    root = cluster.root
    host = socket.gethostname().split(".")[0]
    for name in ("state", "spool"):
        (root / name).mkdir()
    controller_port, node_port = _free_ports(2)
    (root / "slurm.conf").write_text(
        CONFIG.format(
            root=root,
            host=host,
            controller_port=controller_port,
            node_port=node_port,
            max_array_size=MAX_ARRAY_SIZE,
        )
    )
    (root / "cgroup.conf").write_text(CGROUP)
    key = root / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(os.urandom(1024))
    _daemon(
        cluster,
        *("munged", "--force", f"--key-file={key}", f"--socket={root}/munge.sock", f"--pid-file={root}/munged.pid"),
        *(f"--log-file={root}/munged.log", f"--seed-file={root}/munge.seed"),
    )
    _daemon(cluster, "slurmctld", "-c", "-f", str(root / "slurm.conf"))
    _daemon(cluster, "slurmd", "-N", "node1", "-f", str(root / "slurm.conf"))
    wait_for(lambda: "idle" in _state(cluster), lambda: _state(cluster) + (root / "slurmctld.log").read_text())


def _state(cluster: Cluster) -> str:
    try:
        return cluster.ask("sinfo", "--noheader", "--format=%T", "--partition=main").strip()
    except subprocess.SubprocessError as error:
        return str(error)


def _daemon(cluster: Cluster, name: str, *arguments: str) -> None:
    command = [str(shutil.which(name, path=SEARCHED)), *arguments]
    environment = {**os.environ, **cluster.environment}
    log = cluster.root / f"{name}.out"
    with log.open("w") as output:  # no pipe: a daemon would hold it open
        started = subprocess.run(command, env=environment, stdout=output, stderr=output, timeout=PATIENCE_S)
    assert started.returncode == 0, log.read_text()


def _stop(pid_file: Path) -> None:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError, ValueError):
        pid = int(pid_file.read_text())
        os.kill(pid, signal.SIGTERM)
        for _ in range(80):
            os.kill(pid, 0)
            time.sleep(0.25)


def _free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
