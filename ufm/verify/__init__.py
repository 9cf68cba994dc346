"""The main job: random starts against the prediction."""
