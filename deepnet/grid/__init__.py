"""Grids of trainings."""
