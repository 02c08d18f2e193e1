"""Accuracy against the fitted share of known and unknown facts: Gekhman et al. 2024 at small scale (`make study`)."""
