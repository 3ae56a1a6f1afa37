"""Where packs run: this process, local worker processes or Slurm. All have the shape of `memlaw.backends.backend`."""
