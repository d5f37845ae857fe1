"""Training of the zoo's networks: data, augmentation, the loop."""
