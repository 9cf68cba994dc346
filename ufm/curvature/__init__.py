"""What is proved of curvature near a point whose spectrum is known."""
