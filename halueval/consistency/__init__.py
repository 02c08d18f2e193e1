"""Factual consistency of a claim with its source: scorers of the field behind one protocol, a file each."""
