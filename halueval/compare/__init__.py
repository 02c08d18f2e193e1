"""Base against candidate, sample by sample: pairing, changes of state, figures with tests, gates."""
