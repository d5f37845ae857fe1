"""What a layer sees of small changes of a signal."""
