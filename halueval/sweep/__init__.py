"""Mitigations against each other: arms × seeds × checkpoints, compared where each has learnt as much."""
