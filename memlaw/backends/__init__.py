"""Run packs in this process, in local worker processes or with Slurm."""
