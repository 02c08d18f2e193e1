"""Scorers: one object for each figure, one file for each family."""
