"""Paired benchmarks of the engine; `make bench` runs them, `benchmarks/README.md` describes them."""
