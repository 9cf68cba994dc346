"""Trained nets against the prediction."""
