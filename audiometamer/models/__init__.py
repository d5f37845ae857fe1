"""Models: a front end, a network and what is needed to use them; hooks, loading, published checkpoints, graphs."""
