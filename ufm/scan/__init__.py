"""Grids of settings, cell by cell."""
