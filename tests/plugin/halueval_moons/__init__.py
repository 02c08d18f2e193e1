"""A task about moons and a figure of hedging, for halueval."""
