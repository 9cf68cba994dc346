"""Real images: train a network to the end and compare its last layer with the unconstrained feature model."""
