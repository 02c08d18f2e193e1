"""Uncertainty of answers: from likelihoods, from further draws, and from asking the model itself."""
