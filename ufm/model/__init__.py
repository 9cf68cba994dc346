"""Losses, and the models of free features they are minimised in."""
