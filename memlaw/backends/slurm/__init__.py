"""Everything about Slurm: its programs and queue, options of jobs, and packs as tasks of job arrays."""
