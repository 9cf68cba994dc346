"""Minimisers, critical points, curvature: for all starts at once."""
