"""The law of Gekhman et al. 2024 at small scale: accuracy against fitted known and fitted unknown facts."""
