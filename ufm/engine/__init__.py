"""Units of work mapped over processes, a Ray cluster, SLURM."""
