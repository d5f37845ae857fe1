"""Whatever is made item by item: claims, workers, the queue, Slurm."""
