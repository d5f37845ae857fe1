"""Whatever is made item by item: claims, workers, Slurm."""
