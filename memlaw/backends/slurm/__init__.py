"""Everything that knows Slurm: its programs and queue, a job's options, and packs as tasks of job arrays."""
